#include <gtest/gtest.h>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval1;
using testing::F;
using testing::I64;
using testing::Values;

const Tensor kA = F({2}, {1, 2}), kB = F({1}, {3});

Tensor Pair() { return Eval1("SequenceConstruct", {kA, kB}); }

TEST(SequenceTest, NegativePositionsCountFromTheEnd) {
  EXPECT_TRUE(Eval1("SequenceAt", {Pair(), I64({}, {-1})}).SameBytes(kB));
  EXPECT_TRUE(Eval1("SequenceAt", {Pair(), I64({}, {0})}).SameBytes(kA));
  EXPECT_THROW(Eval1("SequenceAt", {Pair(), I64({}, {2})}), Error);
  EXPECT_THROW(Eval1("SequenceAt", {Pair(), I64({}, {-3})}), Error);
}

TEST(SequenceTest, InsertAndEraseLeaveTheirInputAlone) {
  const Tensor pair = Pair(), c = F({}, {9});
  const Tensor longer = Eval1("SequenceInsert", {pair, c, I64({}, {0})});
  EXPECT_EQ(Values<int64_t>(Eval1("SequenceLength", {longer})), std::vector<int64_t>{3});
  EXPECT_TRUE(longer.items()[0].SameBytes(c));
  EXPECT_EQ(pair.size(), 2);
  EXPECT_TRUE(Eval1("SequenceErase", {longer, I64({}, {-3})}).SameBytes(pair));
  EXPECT_TRUE(Eval1("SequenceErase", {longer}).items()[1].SameBytes(kA));
}

TEST(SequenceTest, OtherElementTypesAndEmptySequencesAreRefused) {
  EXPECT_THROW(Eval1("SequenceInsert", {Pair(), I64({1}, {1})}), Error);
  const Tensor empty = Eval1("SequenceEmpty", {});
  EXPECT_EQ(empty.size(), 0);
  EXPECT_THROW(Eval1("SequenceErase", {empty}), Error);
  EXPECT_THROW(Eval1("ConcatFromSequence", {empty}, {{"axis", Attribute::Int(0)}}), Error);
}

TEST(SequenceTest, SplitAndConcatAreInverse) {
  const Tensor x = F({2, 5}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const testing::Attributes last{{"axis", Attribute::Int(-1)}};
  const Tensor parts = Eval1("SplitToSequence", {x, I64({}, {2})}, last);
  EXPECT_EQ(parts.size(), 3);
  EXPECT_EQ(parts.items()[2].shape(), (Shape{2, 1}));
  EXPECT_TRUE(Eval1("ConcatFromSequence", {parts}, last).SameBytes(x));
  EXPECT_THROW(Eval1("SplitToSequence", {x, I64({2}, {2, 2})}, last), Error);
  EXPECT_THROW(Eval1("SplitToSequence", {x, I64({}, {0})}, last), Error);
  EXPECT_THROW(Eval1("SplitToSequence", {x, I64({2}, {6, -1})}, last), Error);
}

TEST(SequenceTest, RowsWithoutTheirAxisStackAgain) {
  const Tensor x = F({2, 1}, {4, 5});
  const Tensor rows = Eval1("SplitToSequence", {x}, {{"keepdims", Attribute::Int(0)}});
  EXPECT_EQ(rows.items()[1].shape(), (Shape{1}));
  EXPECT_TRUE(
      Eval1("ConcatFromSequence", {rows}, {{"axis", Attribute::Int(0)}, {"new_axis", Attribute::Int(1)}})
          .SameBytes(x));
  EXPECT_EQ(
      Eval1("ConcatFromSequence", {rows}, {{"axis", Attribute::Int(-1)}, {"new_axis", Attribute::Int(1)}})
          .shape(),
      (Shape{1, 2}));
}

TEST(SequenceTest, OptionalsHoldTheirValue) {
  const Tensor none = Eval1("Optional", {}), some = Eval1("Optional", {Pair()});
  EXPECT_FALSE(Eval1("OptionalHasElement", {none}).data<bool>()[0]);
  EXPECT_TRUE(Eval1("OptionalHasElement", {some}).data<bool>()[0]);
  EXPECT_TRUE(Eval1("OptionalGetElement", {some}).SameBytes(Pair()));
  EXPECT_THROW(Eval1("OptionalGetElement", {none}), Error);
}

TEST(SequenceTest, OperatorsOnTensorsRefuseSequences) {
  for (const char* op : {"Relu", "Shape", "Transpose", "Softmax", "Cast", "Flatten"}) {
    EXPECT_THROW(Eval1(op, {Pair()}, {{"to", Attribute::Int(1)}}), Error) << op;
  }
  EXPECT_THROW(Eval1("SequenceLength", {kA}), Error);
}

}  // namespace
}  // namespace xslim
