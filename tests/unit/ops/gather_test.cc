#include "eval_helper.h"

namespace xslim::testing {
namespace {

const Tensor kData = F({2, 3}, {0, 1, 2, 3, 4, 5});

TEST(Gather, NegativeIndicesAndScalars) {
  ExpectNear(Eval1("Gather", {kData, I64({2}, {-1, 0})}, {{"axis", Attribute::Int(1)}}),
             F({2, 2}, {2, 0, 5, 3}));
  ExpectNear(Eval1("Gather", {kData, I32({}, {1})}), F({3}, {3, 4, 5}));
  EXPECT_THROW(Eval1("Gather", {kData, I64({1}, {2})}), Error);
  EXPECT_THROW(Eval1("Gather", {kData, I64({1}, {0})}, {{"axis", Attribute::Int(2)}}), Error);
}

TEST(GatherElements, PicksAlongTheAxis) {
  ExpectNear(Eval1("GatherElements", {kData, I64({1, 3}, {1, 0, -1})}), F({1, 3}, {3, 1, 5}));
  EXPECT_THROW(Eval1("GatherElements", {kData, I64({1, 4}, {1, 0, 1, 0})}), Error);
}

TEST(GatherND, WithBatchDims) {
  ExpectNear(Eval1("GatherND", {kData, I64({2, 1}, {2, 0})}, {{"batch_dims", Attribute::Int(1)}}),
             F({2}, {2, 3}));
  ExpectNear(Eval1("GatherND", {kData, I64({1, 1}, {1})}), F({1, 3}, {3, 4, 5}));
  EXPECT_THROW(Eval1("GatherND", {kData, I64({1, 2}, {0, 3})}), Error);
}

TEST(ScatterElements, ReducesRepeatedIndices) {
  const Tensor x = F({3}, {1, 2, 3}), index = I64({2}, {1, 1}), updates = F({2}, {5, 7});
  const auto scatter = [&](const char* reduction) {
    return Values<float>(
        Eval1("ScatterElements", {x, index, updates}, {{"reduction", Attribute::String(reduction)}}));
  };
  EXPECT_EQ(scatter("none"), (std::vector<float>{1, 7, 3}));
  EXPECT_EQ(scatter("add"), (std::vector<float>{1, 14, 3}));
  EXPECT_EQ(scatter("mul"), (std::vector<float>{1, 70, 3}));
  EXPECT_EQ(scatter("min"), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(scatter("max"), (std::vector<float>{1, 7, 3}));
  EXPECT_THROW(scatter("mean"), Error);
}

TEST(ScatterElements, IntegersWrapAround) {
  const Tensor y = Eval1("ScatterElements", {I32({1}, {INT32_MAX}), I64({1}, {0}), I32({1}, {1})},
                         {{"reduction", Attribute::String("add")}});
  EXPECT_EQ(Values<int32_t>(y), std::vector<int32_t>{INT32_MIN});
}

TEST(ScatterND, WritesSlices) {
  ExpectNear(Eval1("ScatterND", {kData, I64({1, 1}, {-1}), F({1, 3}, {7, 8, 9})}),
             F({2, 3}, {0, 1, 2, 7, 8, 9}));
  EXPECT_THROW(Eval1("ScatterND", {kData, I64({1, 1}, {0}), F({1, 2}, {7, 8})}), Error);
}

TEST(OneHot, LeavesIndicesOutsideOff) {
  ExpectNear(Eval1("OneHot", {I64({3}, {1, -1, 5}), I64({}, {3}), F({2}, {0, 1})}),
             F({3, 3}, {0, 1, 0, 0, 0, 1, 0, 0, 0}));
  ExpectNear(Eval1("OneHot", {I64({2}, {1, 0}), I64({}, {2}), F({2}, {2, 4})}, {{"axis", Attribute::Int(0)}}),
             F({2, 2}, {2, 4, 4, 2}));
}

TEST(NonZero, MinusZeroIsZero) {
  const Tensor y = Eval1("NonZero", {F({2, 2}, {-0.0f, 1, 2, 0})});
  EXPECT_TRUE(y.SameBytes(I64({2, 2}, {0, 1, 1, 0})));
}

}  // namespace
}  // namespace xslim::testing
