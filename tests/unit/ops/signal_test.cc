#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "eval_helper.h"
#include "noise.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::ExpectNear;
using testing::F;
using testing::I64;

// The definition, for lengths that are powers of two, primes and between.
TEST(SignalTest, DftIsTheSumItStandsFor) {
  for (const int64_t n : {1, 2, 3, 8, 12, 13, 31}) {
    const Tensor x = Noise({1, n, 2}, 5, 2);
    Tensor want(DType::kFloat, {1, n, 2});
    for (int64_t k = 0; k < n; ++k) {
      double re = 0, im = 0;
      for (int64_t i = 0; i < n; ++i) {
        const double angle = -2 * std::numbers::pi * static_cast<double>(k * i % n) / static_cast<double>(n);
        const double a = x.data<float>()[2 * i], b = x.data<float>()[2 * i + 1];
        re += a * std::cos(angle) - b * std::sin(angle);
        im += a * std::sin(angle) + b * std::cos(angle);
      }
      want.data<float>()[2 * k] = static_cast<float>(re);
      want.data<float>()[2 * k + 1] = static_cast<float>(im);
    }
    const Tensor y = Eval1("DFT", {x});
    ExpectNear(y, want);
    ExpectNear(Eval1("DFT", {y}, {{"inverse", Attribute::Int(1)}}), x);
  }
}

TEST(SignalTest, HalfASpectrumIsEnoughForRealSignals) {
  const Tensor x = Noise({2, 6, 1}, 5, 2);
  const Tensor half = Eval1("DFT", {x}, {{"onesided", Attribute::Int(1)}});
  EXPECT_EQ(half.shape(), (Shape{2, 4, 2}));
  ExpectNear(Eval1("DFT", {half}, {{"onesided", Attribute::Int(1)}, {"inverse", Attribute::Int(1)}}), x);
}

TEST(SignalTest, BadLengthsAndAxesAreRefused) {
  const Tensor x = Noise({1, 4, 1}, 5, 2);
  EXPECT_THROW(Eval1("DFT", {x, I64({}, {0})}), Error);
  EXPECT_THROW(Eval1("DFT", {x, Tensor(), I64({}, {2})}), Error);
  EXPECT_THROW(Eval1("DFT", {Noise({4, 3}, 5, 2)}), Error);
  EXPECT_THROW(Eval1("STFT", {Noise({1, 8}, 5, 2), I64({}, {0}), Tensor(), I64({}, {4})}), Error);
  EXPECT_THROW(Eval1("STFT", {Noise({1, 8}, 5, 2), I64({}, {2})}), Error);
}

TEST(SignalTest, StftOfASignalShorterThanAFrameIsEmpty) {
  EXPECT_EQ(Eval1("STFT", {Noise({1, 3}, 5, 2), I64({}, {2}), Tensor(), I64({}, {4})}).shape(),
            (Shape{1, 0, 3, 2}));
}

TEST(SignalTest, Windows) {
  ExpectNear(Eval1("HannWindow", {I64({}, {4})}), F({4}, {0, 0.5f, 1, 0.5f}));
  ExpectNear(Eval1("HannWindow", {I64({}, {3})}, {{"periodic", Attribute::Int(0)}}), F({3}, {0, 1, 0}));
  ExpectNear(Eval1("BlackmanWindow", {I64({}, {2})}), F({2}, {0, 1}));
  EXPECT_EQ(Eval1("HammingWindow", {I64({}, {0})}).size(), 0);
  EXPECT_THROW(Eval1("HammingWindow", {I64({}, {-1})}), Error);
}

}  // namespace
}  // namespace xslim
