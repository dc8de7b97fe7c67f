#include <gtest/gtest.h>

#include "eval_helper.h"

namespace xslim::testing {
namespace {

const Tensor kX = F({2, 3, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});

TEST(Reduce, AxesAsInputAndAttribute) {
  ExpectNear(Eval1("ReduceSum", {kX, I64({1}, {1})}), F({2, 1, 2}, {9, 12, 27, 30}));
  ExpectNear(Eval1("ReduceSum", {kX}, {{"axes", Attribute::Ints({0, -1})}, {"keepdims", Attribute::Int(0)}},
                   {.opset = 11}),
             F({3}, {18, 26, 34}));
  ExpectNear(Eval1("ReduceMean", {kX}, {{"axes", Attribute::Ints({1, 2})}}, {.opset = 13}),
             F({2, 1, 1}, {3.5f, 9.5f}));
  ExpectNear(Eval1("ReduceMax", {kX}, {{"keepdims", Attribute::Int(0)}}), F({}, {12}));
  ExpectNear(Eval1("ReduceSum", {kX, I64({0}, {})}, {{"noop_with_empty_axes", Attribute::Int(1)}}), kX);
  EXPECT_THROW(Eval("ReduceSum", {kX, I64({1}, {3})}), Error);
}

TEST(Reduce, EveryReduction) {
  const Tensor x = F({1, 3}, {1, -2, 4}), axis = I64({1}, {1});
  const auto one = [&](const char* op) { return Eval1(op, {x, axis}).data<float>()[0]; };
  EXPECT_FLOAT_EQ(one("ReduceMean"), 1);
  EXPECT_FLOAT_EQ(one("ReduceMin"), -2);
  EXPECT_FLOAT_EQ(one("ReduceProd"), -8);
  EXPECT_FLOAT_EQ(one("ReduceL1"), 7);
  EXPECT_FLOAT_EQ(one("ReduceL2"), std::sqrt(21.0f));
  EXPECT_FLOAT_EQ(one("ReduceLogSum"), std::log(3.0f));
  EXPECT_FLOAT_EQ(one("ReduceSumSquare"), 21);
  EXPECT_FLOAT_EQ(one("ReduceLogSumExp"),
                  static_cast<float>(std::log(std::exp(1.0) + std::exp(-2.0) + std::exp(4.0))));
}

TEST(Reduce, EmptySetsAndOtherTypes) {
  const Tensor none(DType::kFloat, {2, 0}), axis = I64({1}, {1});
  EXPECT_EQ(Eval1("ReduceSum", {none, axis}).data<float>()[1], 0);
  EXPECT_EQ(Eval1("ReduceProd", {none, axis}).data<float>()[1], 1);
  EXPECT_EQ(Eval1("ReduceMax", {none, axis}).data<float>()[1], -INFINITY);
  EXPECT_EQ(Eval1("ReduceLogSum", {none, axis}).data<float>()[1], -INFINITY);
  EXPECT_EQ(Values<int32_t>(Eval1("ReduceL1", {I32({2, 2}, {-1, 2, 3, -4}), axis})),
            (std::vector<int32_t>{3, 7}));
  EXPECT_EQ(Values<bool>(Eval1("ReduceMin", {B({2, 2}, {true, false, true, true}), axis})),
            (std::vector<bool>{false, true}));
}

TEST(ArgMax, TiesAndShapes) {
  const Tensor x = F({2, 3}, {2, 5, 5, 1, 1, 0});
  EXPECT_EQ(Values<int64_t>(Eval1("ArgMax", {x}, {{"axis", Attribute::Int(1)}})),
            (std::vector<int64_t>{1, 0}));
  const Tensor last = Eval1("ArgMax", {x},
                            {{"axis", Attribute::Int(-1)},
                             {"select_last_index", Attribute::Int(1)},
                             {"keepdims", Attribute::Int(0)}});
  EXPECT_EQ(last.shape(), Shape{2});
  EXPECT_EQ(Values<int64_t>(last), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(Values<int64_t>(Eval1("ArgMin", {x})), (std::vector<int64_t>{1, 1, 1}));
}

TEST(CumSum, ExclusiveAndReverse) {
  const Tensor x = F({3}, {1, 2, 3}), axis = I32({}, {0});
  ExpectNear(Eval1("CumSum", {x, axis}), F({3}, {1, 3, 6}));
  ExpectNear(Eval1("CumSum", {x, axis}, {{"exclusive", Attribute::Int(1)}}), F({3}, {0, 1, 3}));
  ExpectNear(Eval1("CumSum", {x, axis}, {{"reverse", Attribute::Int(1)}}), F({3}, {6, 5, 3}));
}

TEST(TopK, OrderTiesAndAxes) {
  const Tensor x = F({2, 4}, {3, 1, 3, 2, 0, 5, 4, 5});
  auto got = Eval("TopK", {x, I64({1}, {3})}, {}, {.num_outputs = 2});
  ExpectNear(got[0], F({2, 3}, {3, 3, 2, 5, 5, 4}), 0);
  EXPECT_EQ(Values<int64_t>(got[1]), (std::vector<int64_t>{0, 2, 3, 1, 3, 2}));
  got = Eval("TopK", {x, I64({1}, {1})}, {{"axis", Attribute::Int(0)}, {"largest", Attribute::Int(0)}},
             {.num_outputs = 2});
  EXPECT_EQ(Values<int64_t>(got[1]), (std::vector<int64_t>{1, 0, 0, 0}));
  got = Eval("TopK", {x}, {{"k", Attribute::Int(1)}}, {.opset = 9, .num_outputs = 2});
  ExpectNear(got[0], F({2, 1}, {3, 5}), 0);
  EXPECT_THROW(Eval("TopK", {x, I64({1}, {5})}), Error);
}

}  // namespace
}  // namespace xslim::testing
