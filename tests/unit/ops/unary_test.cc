#include <gtest/gtest.h>

#include <cmath>

#include "eval_helper.h"
#include "ops/precise_math.h"

namespace xslim::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(PreciseMath, AgreesWithTheLibrary) {
  const auto check = [](double (*ours)(double), double (*library)(double), double lo, double hi,
                        const char* name) {
    for (int i = 0; i <= 1000; ++i) {
      const double x = lo + (hi - lo) * i / 1000, want = library(x);
      EXPECT_NEAR(ours(x), want, 4e-15 * std::fmax(1e-3, std::fabs(want))) << name << "(" << x << ")";
    }
  };
  check(precise::Exp, std::exp, -700, 700, "exp");
  check(precise::Expm1, std::expm1, -3, 3, "expm1");
  check(precise::Log, std::log, 1e-3, 50, "log");
  check(precise::Log1p, std::log1p, -0.9, 5, "log1p");
  check(precise::Sin, std::sin, -100, 100, "sin");
  check(precise::Cos, std::cos, -100, 100, "cos");
  check(precise::Tan, std::tan, -1.5, 1.5, "tan");
  check(precise::Asin, std::asin, -1, 1, "asin");
  check(precise::Acos, std::acos, -1, 1, "acos");
  check(precise::Atan, std::atan, -20, 20, "atan");
  check(precise::Sinh, std::sinh, -20, 20, "sinh");
  check(precise::Cosh, std::cosh, -20, 20, "cosh");
  check(precise::Tanh, std::tanh, -25, 25, "tanh");
  check(precise::Asinh, std::asinh, -50, 50, "asinh");
  check(precise::Acosh, std::acosh, 1, 50, "acosh");
  check(precise::Atanh, std::atanh, -0.99, 0.99, "atanh");
  check(precise::Erf, std::erf, -7, 7, "erf");
}

TEST(PreciseMath, Pow) {
  EXPECT_EQ(precise::Pow(3, 4), 81);
  EXPECT_EQ(precise::Pow(2, -2), 0.25);
  EXPECT_EQ(precise::Pow(-2, 3), -8);
  EXPECT_EQ(precise::Pow(9, 0.5), 3);
  EXPECT_EQ(precise::Pow(0, 0), 1);
  EXPECT_TRUE(std::isnan(precise::Pow(-2, 0.3)));
  EXPECT_NEAR(precise::Pow(2.5, 1.7), std::pow(2.5, 1.7), 1e-14);
  EXPECT_EQ(precise::Pow(0, -1.5), std::numeric_limits<double>::infinity());
}

TEST(Unary, FloatFunctions) {
  const Tensor x = F({5}, {-2, -0.5f, 0, 0.5f, 2});
  const auto check = [&](const char* op, double (*fn)(double), Attributes attributes = {}, int opset = 24) {
    std::vector<float> want;
    for (float v : Values<float>(x)) want.push_back(static_cast<float>(fn(v)));
    SCOPED_TRACE(op);
    ExpectNear(Eval1(op, {x}, std::move(attributes), {.opset = opset}), F({5}, want), 1e-6);
  };
  check("Relu", [](double v) { return v > 0 ? v : 0; });
  check("LeakyRelu", [](double v) { return v > 0 ? v : 0.01 * v; });
  check("Elu", [](double v) { return v > 0 ? v : 3 * std::expm1(v); }, {{"alpha", Attribute::Float(3)}});
  check("Celu", [](double v) { return v > 0 ? v : 2 * std::expm1(v / 2); }, {{"alpha", Attribute::Float(2)}});
  check("Selu", [](double v) { return 1.0507010 * (v > 0 ? v : 1.6732632 * std::expm1(v)); });
  check("ThresholdedRelu", [](double v) { return v > 1 ? v : 0; });
  check("Sigmoid", [](double v) { return 1 / (1 + std::exp(-v)); });
  check("HardSigmoid", [](double v) { return std::fmin(std::fmax(0.2 * v + 0.5, 0), 1); });
  check("HardSwish", [](double v) { return v * std::fmin(std::fmax(v / 6 + 0.5, 0), 1); });
  check("Gelu", [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); });
  check("Swish", [](double v) { return v / (1 + std::exp(-2 * v)); }, {{"alpha", Attribute::Float(2)}});
  check("Mish", [](double v) { return v * std::tanh(std::log1p(std::exp(v))); });
  check("Softplus", [](double v) { return std::log1p(std::exp(v)); });
  check("Softsign", [](double v) { return v / (1 + std::fabs(v)); });
  check("Shrink", [](double v) { return v < -1  ? v + 0.25
                                        : v > 1 ? v - 0.25
                                                : 0; },
        {{"lambd", Attribute::Float(1)}, {"bias", Attribute::Float(0.25f)}});
  check("Atan", std::atan);
  check("Tanh", std::tanh);
  check("Exp", std::exp);
  check("Round", std::nearbyint);
  check("Sign", [](double v) { return (v > 0) - (v < 0) + 0.0; });
}

TEST(Unary, ClipTakesBoundsFromAttributesThenInputs) {
  const Tensor x = F({4}, {-3, 0, 3, kNaN});
  const Attributes bounds{{"min", Attribute::Float(-1)}, {"max", Attribute::Float(2)}};
  ExpectNear(Eval1("Clip", {x}, bounds, {.opset = 6}), F({4}, {-1, 0, 2, kNaN}), 0);
  ExpectNear(Eval1("Clip", {x, F({}, {-1}), F({}, {2})}), F({4}, {-1, 0, 2, kNaN}), 0);
  ExpectNear(Eval1("Clip", {x, {}, F({}, {2})}), F({4}, {-3, 0, 2, kNaN}), 0);
  ExpectNear(Eval1("Clip", {x, F({}, {2}), F({}, {1})}), F({4}, {1, 1, 1, kNaN}), 0);
  EXPECT_EQ(Values<int64_t>(Eval1("Clip", {I64({3}, {-9, 1, 9}), I64({}, {-2}), {}})),
            (std::vector<int64_t>{-2, 1, 9}));
}

TEST(Unary, OtherTypes) {
  EXPECT_EQ(Values<int32_t>(Eval1("Abs", {I32({2}, {-7, 3})})), (std::vector<int32_t>{7, 3}));
  EXPECT_EQ(Values<int64_t>(Eval1("Neg", {I64({2}, {-7, 3})})), (std::vector<int64_t>{7, -3}));
  const Tensor half = Tensor::Of<Half>({2}, {ToHalf(-1.5f), ToHalf(2.25f)});
  const Tensor relu = Eval1("Relu", {half});
  EXPECT_EQ(relu.dtype(), DType::kFloat16);
  ExpectNear(relu.ToFloat32(), F({2}, {0, 2.25f}), 0);
  EXPECT_DOUBLE_EQ(Eval1("Exp", {Tensor::Scalar<double>(1.0)}).data<double>()[0], std::exp(1.0));
  EXPECT_THROW(Eval("Exp", {I64({1}, {1})}), Error);
  EXPECT_EQ(Values<bool>(Eval1("Not", {B({2}, {true, false})})), (std::vector<bool>{false, true}));
  EXPECT_EQ(
      Values<bool>(Eval1("IsInf", {F({3}, {-kInf, kInf, kNaN})}, {{"detect_negative", Attribute::Int(0)}})),
      (std::vector<bool>{false, true, false}));
  EXPECT_EQ(Values<int32_t>(Eval1("BitwiseNot", {I32({1}, {5})})), std::vector<int32_t>{-6});
}

TEST(Unary, MicrosoftGelus) {
  EvalOptions options{.opset = 1, .domain = "com.microsoft"};
  const Tensor x = F({2, 2}, {0.5f, 0, -1, 1}), bias = F({2}, {0.5f, 1});
  const auto gelu = [](double v) { return static_cast<float>(0.5 * v * (1 + std::erf(v / std::sqrt(2.0)))); };
  ExpectNear(Eval1("BiasGelu", {x, bias}, {}, options), F({2, 2}, {gelu(1), gelu(1), gelu(-0.5), gelu(2)}),
             1e-6);
  EXPECT_THROW(Eval("BiasGelu", {x, F({3}, {1, 2, 3})}, {}, options), Error);
  ExpectNear(Eval1("QuickGelu", {x}, {}, options), F({2, 2}, {0.350388f, 0, -0.154204f, 0.845796f}), 1e-5);
}

TEST(Unary, BitsDoNotDependOnThreads) {
  std::vector<float> values(100003);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 977) * 0.013f - 6.0f;
  const Tensor x = F({100003}, values);
  for (const char* op : {"Gelu", "Selu", "Tan", "Mish"}) {
    EXPECT_TRUE(Eval1(op, {x}, {}, {.threads = 1}).SameBytes(Eval1(op, {x}, {}, {.threads = 3}))) << op;
  }
}

}  // namespace
}  // namespace xslim::testing
