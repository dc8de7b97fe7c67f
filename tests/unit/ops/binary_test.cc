#include <gtest/gtest.h>

#include "eval_helper.h"

namespace xslim::testing {
namespace {

TEST(Binary, BroadcastsLikeNumpy) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{2, 3, 4}, {2, 3, 4}},       {{2, 3, 4}, {}},        {{}, {2, 3, 4}},  {{2, 3, 4}, {4}},
      {{2, 3, 4}, {3, 1}},          {{2, 1, 4}, {1, 3, 1}}, {{4}, {2, 3, 1}}, {{2, 3, 2, 2}, {1, 3, 1, 1}},
      {{2, 3, 2, 2}, {2, 1, 2, 1}}, {{1, 1}, {1}},          {{0, 3}, {3}}};
  for (const auto& [sa, sb] : cases) {
    const Shape out = BroadcastShapes(sa, sb);
    Tensor a(DType::kFloat, sa), b(DType::kFloat, sb), want(DType::kFloat, out);
    for (int64_t i = 0; i < a.size(); ++i) a.data<float>()[i] = static_cast<float>(i + 1);
    for (int64_t i = 0; i < b.size(); ++i) b.data<float>()[i] = static_cast<float>(100 * i);
    for (int64_t i = 0; i < want.size(); ++i) {
      const auto at = [&](const Tensor& t) {
        int64_t rest = i, offset = 0, stride = 1;
        for (int64_t axis = 1; axis <= static_cast<int64_t>(out.size()); ++axis) {
          const int64_t index = rest % want.dim(-axis);
          rest /= want.dim(-axis);
          if (axis > t.rank()) continue;
          if (t.dim(-axis) != 1) offset += index * stride;
          stride *= t.dim(-axis);
        }
        return t.data<float>()[offset];
      };
      want.data<float>()[i] = at(a) - at(b);
    }
    SCOPED_TRACE(ToString(sa) + " - " + ToString(sb));
    ExpectNear(Eval1("Sub", {a, b}), want, 0);
  }
  EXPECT_THROW(Eval("Add", {F({2}, {1, 2}), F({3}, {1, 2, 3})}), Error);
  EXPECT_THROW(Eval("Add", {F({1}, {1}), I32({1}, {1})}), Error);
}

TEST(Binary, Integers) {
  EXPECT_EQ(Values<int32_t>(Eval1("Div", {I32({3}, {-7, 7, INT32_MIN}), I32({3}, {2, -2, -1})})),
            (std::vector<int32_t>{-3, -3, INT32_MIN}));
  EXPECT_THROW(Eval("Div", {I32({1}, {1}), I32({1}, {0})}), Error);
  EXPECT_EQ(Values<int64_t>(Eval1("Mod", {I64({4}, {-7, 7, -7, 7}), I64({4}, {3, -3, -3, 3})})),
            (std::vector<int64_t>{2, -2, -1, 1}));
  EXPECT_EQ(Values<int64_t>(Eval1("Mod", {I64({1}, {-7}), I64({1}, {3})}, {{"fmod", Attribute::Int(1)}})),
            std::vector<int64_t>{-1});
  const Tensor bytes = Tensor::Of<uint8_t>({2}, {200, 16}), shift = Tensor::Of<uint8_t>({2}, {1, 9});
  EXPECT_EQ(Values<uint8_t>(Eval1("BitShift", {bytes, shift}, {{"direction", Attribute::String("LEFT")}})),
            (std::vector<uint8_t>{144, 0}));
  EXPECT_EQ(Values<int32_t>(Eval1("BitwiseXor", {I32({1}, {6}), I32({1}, {3})})), std::vector<int32_t>{5});
}

TEST(Binary, Pow) {
  ExpectNear(Eval1("Pow", {F({3}, {-2, 3, 0.5f}), F({}, {2})}), F({3}, {4, 9, 0.25f}), 0);
  ExpectNear(Eval1("Pow", {F({2}, {-2, 4}), I64({2}, {3, -1})}), F({2}, {-8, 0.25f}), 0);
  ExpectNear(Eval1("Pow", {F({2}, {2, 4}), F({2}, {0.5f, 1.7f})}), F({2}, {1.41421356f, 10.5560633f}), 1e-6);
  EXPECT_EQ(Values<int64_t>(Eval1("Pow", {I64({3}, {3, -1, 2}), I64({3}, {4, -3, -1})})),
            (std::vector<int64_t>{81, -1, 0}));
}

TEST(Binary, Variadic) {
  const Tensor a = F({2}, {1, 8}), b = F({2}, {4, 2}), c = F({1}, {3});
  ExpectNear(Eval1("Max", {a, b, c}), F({2}, {4, 8}), 0);
  ExpectNear(Eval1("Min", {a, b, c}), F({2}, {1, 2}), 0);
  ExpectNear(Eval1("Sum", {a, b, c}), F({2}, {8, 13}), 0);
  ExpectNear(Eval1("Mean", {a, F({2}, {3, 2})}), F({2}, {2, 5}), 0);
  ExpectNear(Eval1("Mean", {a}), a, 0);
  ExpectNear(Eval1("Max", {a, F({}, {NAN})}), F({2}, {NAN, NAN}), 0);
}

TEST(Binary, ComparisonAndLogic) {
  const Tensor a = I64({3}, {1, 2, 3}), b = I64({}, {2});
  EXPECT_EQ(Values<bool>(Eval1("Less", {a, b})), (std::vector<bool>{true, false, false}));
  EXPECT_EQ(Values<bool>(Eval1("GreaterOrEqual", {a, b})), (std::vector<bool>{false, true, true}));
  EXPECT_EQ(Values<bool>(Eval1("Equal", {Tensor::Strings({2}, {"x", "y"}), Tensor::Strings({}, {"y"})})),
            (std::vector<bool>{false, true}));
  EXPECT_EQ(Values<bool>(Eval1("Equal", {F({1}, {NAN}), F({1}, {NAN})})), std::vector<bool>{false});
  EXPECT_EQ(Values<bool>(Eval1("Xor", {B({2}, {true, false}), B({1}, {true})})),
            (std::vector<bool>{false, true}));
}

TEST(Binary, WhereBroadcastsThreeOperands) {
  const Tensor got = Eval1("Where", {B({2, 1}, {true, false}), F({3}, {1, 2, 3}), F({}, {9})});
  ExpectNear(got, F({2, 3}, {1, 2, 3, 9, 9, 9}), 0);
  EXPECT_EQ(Eval1("Where", {B({1}, {false}), Tensor::Strings({1}, {"a"}), Tensor::Strings({1}, {"b"})})
                .strings()[0],
            "b");
}

TEST(Binary, PReluSlopes) {
  const Tensor x = F({1, 2, 2}, {-1, 1, -2, 2});
  ExpectNear(Eval1("PRelu", {x, F({2, 1}, {0.5f, 0.25f})}), F({1, 2, 2}, {-0.5f, 1, -0.5f, 2}), 0);
  ExpectNear(Eval1("PRelu", {x, F({2}, {0.5f, 9})}), F({1, 2, 2}, {-0.5f, 1, -1, 2}), 0);
  EXPECT_THROW(Eval("PRelu", {x, F({3, 1, 1, 1}, {1, 2, 3})}), Error);
}

}  // namespace
}  // namespace xslim::testing
