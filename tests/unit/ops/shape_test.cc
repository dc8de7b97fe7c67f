#include "eval_helper.h"

namespace xslim::testing {
namespace {

Tensor CastTo(const Tensor& x, DType to) {
  return Eval1("Cast", {x}, {{"to", Attribute::Int(static_cast<int64_t>(to))}});
}

TEST(ShapeOp, StartAndEndAreClamped) {
  const Tensor x = Tensor(DType::kFloat, {2, 3, 4});
  const auto shape = [&](int64_t start, int64_t end) {
    return Values<int64_t>(
        Eval1("Shape", {x}, {{"start", Attribute::Int(start)}, {"end", Attribute::Int(end)}}));
  };
  EXPECT_EQ(shape(1, 3), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(shape(-9, -1), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(shape(2, 1), std::vector<int64_t>());
  EXPECT_EQ(Values<int64_t>(Eval1("Size", {x})), std::vector<int64_t>{24});
}

TEST(Constant, EveryKindOfValue) {
  EXPECT_TRUE(Eval1("Constant", {}, {{"value_ints", Attribute::Ints({1, 2})}}).SameBytes(I64({2}, {1, 2})));
  EXPECT_TRUE(Eval1("Constant", {}, {{"value_float", Attribute::Float(2)}}).SameBytes(F({}, {2})));
  EXPECT_EQ(Eval1("Constant", {}, {{"value_string", Attribute::String("a")}}).strings()[0], "a");
  EXPECT_THROW(Eval1("Constant", {}), Error);
}

TEST(ConstantOfShape, DefaultsToFloatZero) {
  ExpectNear(Eval1("ConstantOfShape", {I64({1}, {2})}), F({2}, {0, 0}));
  EXPECT_TRUE(Eval1("ConstantOfShape", {I64({1}, {2})}, {{"value", Attribute::OfTensor(I32({1}, {7}))}})
                  .SameBytes(I32({2}, {7, 7})));
}

TEST(Range, CountsUpAndDown) {
  EXPECT_TRUE(Eval1("Range", {I64({}, {10}), I64({}, {4}), I64({}, {-3})}).SameBytes(I64({2}, {10, 7})));
  ExpectNear(Eval1("Range", {F({}, {1}), F({}, {2}), F({}, {0.5f})}), F({2}, {1, 1.5f}));
  const int64_t least = std::numeric_limits<int64_t>::min(), step = int64_t{1} << 62;
  EXPECT_TRUE(Eval1("Range", {I64({}, {least}), I64({}, {-(least + 1)}), I64({}, {step})})
                  .SameBytes(I64({4}, {least, -step, 0, step})));
  EXPECT_EQ(Eval1("Range", {I64({}, {3}), I64({}, {1}), I64({}, {1})}).size(), 0);
  EXPECT_THROW(Eval1("Range", {I64({}, {0}), I64({}, {1}), I64({}, {0})}), Error);
}

TEST(Cast, TruncatesTowardsZero) {
  EXPECT_EQ(Values<int32_t>(CastTo(F({3}, {1.9f, -1.9f, 0.5f}), DType::kInt32)),
            (std::vector<int32_t>{1, -1, 0}));
  EXPECT_EQ(Values<int8_t>(CastTo(F({2}, {127.5f, 130.0f}), DType::kInt8)), (std::vector<int8_t>{127, -126}));
}

TEST(Cast, OutOfRangeIsDefined) {
  const Tensor x = F({3}, {NAN, 3e9f, INFINITY});
  EXPECT_EQ(Values<int32_t>(CastTo(x, DType::kInt32)),
            (std::vector<int32_t>{INT32_MIN, INT32_MIN, INT32_MIN}));
  EXPECT_EQ(Values<int64_t>(CastTo(x, DType::kInt64)),
            (std::vector<int64_t>{INT64_MIN, 3000000000, INT64_MIN}));
}

TEST(Cast, BoolHalfAndStrings) {
  EXPECT_TRUE(CastTo(F({3}, {0.5f, -0.0f, NAN}), DType::kBool).SameBytes(B({3}, {true, false, true})));
  ExpectNear(CastTo(CastTo(F({2}, {1.5f, 1e6f}), DType::kFloat16), DType::kFloat), F({2}, {1.5f, INFINITY}));
  EXPECT_EQ(CastTo(F({2}, {1.5f, NAN}), DType::kString).strings(), (std::vector<std::string>{"1.5", "NaN"}));
  ExpectNear(CastTo(Tensor::Strings({2}, {"+1.25", "-3e2"}), DType::kFloat), F({2}, {1.25f, -300}));
  EXPECT_THROW(CastTo(Tensor::Strings({1}, {"one"}), DType::kFloat), Error);
}

TEST(CastLike, TakesTheTypeOfTheSecondInput) {
  EXPECT_TRUE(Eval1("CastLike", {F({1}, {2}), I64({}, {0})}).SameBytes(I64({1}, {2})));
}

TEST(EyeLike, ShiftedDiagonal) {
  ExpectNear(Eval1("EyeLike", {F({2, 3}, std::vector<float>(6))}, {{"k", Attribute::Int(1)}}),
             F({2, 3}, {0, 1, 0, 0, 0, 1}));
}

}  // namespace
}  // namespace xslim::testing
