// Depthwise convolution of several planes at once, where vectors may run across channels: against plain
// loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace xslim::kernels {
namespace {

std::vector<float> Values(int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(static_cast<int>(engine() % 2001) - 1000) / 79.0f;
  return values;
}

// kernels.h's formula, element by element.
std::vector<float> Plain(int64_t planes, const std::vector<float>& in, const DepthwiseShape& s,
                         const std::vector<float>& weight, const float* bias, const Epilogue& epilogue) {
  std::vector<float> out;
  const auto at = [](const std::vector<float>& of, int64_t i) { return of[static_cast<size_t>(i)]; };
  for (int64_t c = 0; c < planes; ++c) {
    for (int64_t oy = 0; oy < s.out_h; ++oy) {
      for (int64_t ox = 0; ox < s.out_w; ++ox) {
        float sum = bias != nullptr ? bias[c] : 0.0f;
        for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
          for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
            const int64_t y = oy * s.stride_h - s.pad_top + ky * s.dilation_h;
            const int64_t x = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
            const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
            sum = std::fma(inside ? at(in, (c * s.height + y) * s.width + x) : 0.0f,
                           at(weight, (c * s.kernel_h + ky) * s.kernel_w + kx), sum);
          }
        }
        if (epilogue.activation == kClamp) sum = std::fmin(std::fmax(sum, epilogue.lo), epilogue.hi);
        out.push_back(sum);
      }
    }
  }
  return out;
}

void Expect(int64_t planes, DepthwiseShape s, int64_t pad_bottom, int64_t pad_right) {
  const auto outputs = [](int64_t size, int64_t pads, int64_t kernel, int64_t stride, int64_t dilation) {
    return (size + pads - (kernel - 1) * dilation - 1) / stride + 1;
  };
  s.out_h = outputs(s.height, s.pad_top + pad_bottom, s.kernel_h, s.stride_h, s.dilation_h);
  s.out_w = outputs(s.width, s.pad_left + pad_right, s.kernel_w, s.stride_w, s.dilation_w);
  ASSERT_GT(s.out_h, 0);
  ASSERT_GT(s.out_w, 0);
  const auto in = Values(planes * s.height * s.width, 1),
             weight = Values(planes * s.kernel_h * s.kernel_w, 2), bias = Values(planes, 3);
  const Table* tables[kMostTables];
  const int count = Available(tables);
  for (const bool plain : {false, true}) {
    const float* const start = plain ? nullptr : bias.data();
    const Epilogue epilogue = plain ? Epilogue{} : Epilogue{kClamp, -40, 90};
    const std::vector<float> want = Plain(planes, in, s, weight, start, epilogue);
    for (int t = 0; t < count; ++t) {
      constexpr float kGuard = 12345.5f;
      std::vector<float> got(want.size() + 16, kGuard);
      tables[t]->depthwise(planes, in.data(), s, weight.data(), start, got.data(), epilogue);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
          << tables[t]->name << ": " << planes << " planes of " << s.height << " x " << s.width << ", kernel "
          << s.kernel_h << " x " << s.kernel_w << ", stride " << s.stride_w << ", outputs " << s.out_h
          << " x " << s.out_w;
      for (size_t i = want.size(); i < got.size(); ++i) ASSERT_EQ(got[i], kGuard) << tables[t]->name;
    }
  }
}

TEST(Depthwise, SquareKernels) {
  for (const int64_t size : {4, 5, 7, 10, 13, 14, 15, 20, 27, 28, 29, 33}) {
    for (const int64_t kernel : {3, 5, 7}) {
      if (size < kernel) continue;
      for (const int64_t stride : {1, 2}) {
        const int64_t pad = kernel / 2;
        Expect(19, {size, size, kernel, kernel, stride, stride, 1, 1, pad, pad, 0, 0}, pad, pad);
      }
    }
  }
}

TEST(Depthwise, NumbersOfPlanes) {
  for (const int64_t planes : {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 40}) {
    Expect(planes, {6, 9, 3, 3, 1, 1, 1, 1, 1, 1, 0, 0}, 1, 1);
  }
}

TEST(Depthwise, UnevenShapes) {
  Expect(16, {9, 4, 3, 3, 1, 1, 1, 1, 1, 1, 0, 0}, 1, 1);
  Expect(17, {5, 30, 1, 9, 1, 1, 1, 1, 0, 4, 0, 0}, 0, 4);     // a row's kernel
  Expect(17, {30, 5, 9, 1, 1, 1, 1, 1, 4, 0, 0, 0}, 4, 0);     // a column's
  Expect(16, {12, 12, 3, 3, 1, 1, 2, 3, 2, 3, 0, 0}, 2, 3);    // dilated
  Expect(16, {13, 12, 3, 3, 2, 1, 1, 1, 0, 1, 0, 0}, 1, 1);    // padding at one end
  Expect(16, {14, 14, 3, 3, 2, 2, 1, 1, 0, 0, 0, 0}, 0, 0);    // the last column is not read
  Expect(16, {16, 16, 2, 2, 4, 4, 1, 1, 0, 0, 0, 0}, 0, 0);    // stride beyond the kernel
  Expect(16, {6, 6, 5, 5, 1, 1, 1, 1, 6, 6, 0, 0}, 6, 6);      // outputs of padding alone
  Expect(20, {200, 8, 3, 3, 1, 1, 1, 1, 1, 1, 0, 0}, 1, 1);    // taller than what is held at once
  Expect(16, {2, 4, 5, 5, 1, 1, 1, 1, 2, 2, 0, 0}, 2, 2);      // less than the kernel
  Expect(16, {40, 40, 7, 7, 1, 1, 6, 6, 18, 18, 0, 0}, 3, 3);  // reaches too far for one buffer
  Expect(16, {9, 9, 3, 3, 1, 1, 1, 1, 0, 2, 0, 0}, 2, 0);      // padding at opposite ends
  Expect(9, {1, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0);       // one tap, one row
  Expect(16, {21, 21, 3, 3, 5, 6, 1, 1, 1, 1, 0, 0}, 1, 1);    // large uneven strides
}

// Attributes may be up to 2^31 - 1: what a window covers must not wrap around to something small.
TEST(Depthwise, WindowsThatReachFarIntoThePadding) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  Expect(16, {4, 4, 2, 2, 1, 1, kMost, kMost - 3, kMost - 3, 2, 0, 0}, 0, kMost - 5);
  Expect(16, {4, 4, 3, 1, 1, 1 << 28, kMost, 1, kMost, 0, 0, 0}, kMost - 3, 0);
}

// Infinite weights make NaN of the padding's zeros, in whichever form planes are convolved.
TEST(Depthwise, EqualBitsOfSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float odd[] = {0.0f, -0.0f, kInf, -kInf, std::numeric_limits<float>::quiet_NaN(), 1e-40f, 3.4e38f};
  const auto with_odd = [&](int64_t n, unsigned seed) {
    std::vector<float> values = Values(n, seed);
    for (size_t i = seed; i < values.size(); i += 5 + i % 3) values[i] = odd[i % 7];
    return values;
  };
  const DepthwiseShape shapes[] = {
      {7, 7, 3, 3, 1, 1, 1, 1, 1, 1, 7, 7},         {14, 9, 5, 5, 2, 2, 1, 1, 2, 2, 7, 5},
      {6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 8, 8},         {12, 12, 2, 3, 1, 1, 3, 2, 1, 2, 11, 12},
      {40, 4, 3, 1, 1, 100, 200, 1, 200, 0, 40, 1}, {4, 4, 1, 1, 1, 50, 1, 1, 0, 60, 4, 4},
  };
  const Table* tables[kMostTables];
  const int count = Available(tables);
  for (const DepthwiseShape& s : shapes) {
    constexpr int64_t kPlanes = 21;
    const auto in = with_odd(kPlanes * s.height * s.width, 1),
               weight = with_odd(kPlanes * s.kernel_h * s.kernel_w, 2), bias = with_odd(kPlanes, 3);
    for (const Epilogue& epilogue : {Epilogue{}, Epilogue{kClamp, 0, 6}}) {
      std::vector<float> want(static_cast<size_t>(kPlanes * s.out_h * s.out_w)), got = want;
      tables[0]->depthwise(kPlanes, in.data(), s, weight.data(), bias.data(), want.data(), epilogue);
      for (int t = 1; t < count; ++t) {
        tables[t]->depthwise(kPlanes, in.data(), s, weight.data(), bias.data(), got.data(), epilogue);
        for (size_t i = 0; i < want.size(); ++i) {
          if (std::isnan(want[i])) {  // which NaN is not fixed
            ASSERT_TRUE(std::isnan(got[i])) << tables[t]->name << " at " << i;
          } else {
            ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(float)), 0) << tables[t]->name << " at " << i;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace xslim::kernels
