#include <numeric>

#include "eval_helper.h"

namespace xslim::testing {
namespace {

Tensor Ramp(Shape shape) {
  std::vector<float> values(static_cast<size_t>(ElementCount(shape)));
  std::iota(values.begin(), values.end(), 0.0f);
  return F(std::move(shape), values);
}

// Transposes element by element, straight from the definition.
Tensor SlowTranspose(const Tensor& x, const std::vector<int64_t>& perm) {
  Shape shape;
  for (int64_t axis : perm) shape.push_back(x.dim(axis));
  Tensor y(DType::kFloat, shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    std::vector<int64_t> at(perm.size());
    int64_t rest = i;
    for (size_t k = perm.size(); k-- > 0;) {
      at[static_cast<size_t>(perm[k])] = rest % shape[k];
      rest /= shape[k];
    }
    int64_t from = 0;
    for (size_t k = 0; k < at.size(); ++k) from = from * x.shape()[k] + at[k];
    y.data<float>()[i] = x.data<float>()[from];
  }
  return y;
}

TEST(Reshape, CopiesAndInfersDimensions) {
  const Tensor x = Ramp({2, 3, 4});
  const Tensor y = Eval1("Reshape", {x, I64({2}, {0, -1})});
  EXPECT_EQ(y.shape(), (Shape{2, 12}));
  EXPECT_EQ(y.raw(), x.raw());
  EXPECT_EQ(Eval1("Reshape", {Ramp({0, 3}), I64({2}, {3, 0})}, {{"allowzero", Attribute::Int(1)}}).shape(),
            (Shape{3, 0}));
}

TEST(Reshape, RefusesImpossibleShapes) {
  EXPECT_THROW(Eval1("Reshape", {Ramp({2, 3}), I64({2}, {-1, -1})}), Error);
  EXPECT_THROW(Eval1("Reshape", {Ramp({2, 3}), I64({2}, {4, -1})}), Error);
  EXPECT_THROW(Eval1("Reshape", {Ramp({2, 3}), I64({3}, {int64_t{1} << 62, 4, -1})}), Error);  // no overflow
  EXPECT_THROW(Eval1("Reshape", {Ramp({2, 3}), I64({3}, {2, 3, 0})}), Error);
  EXPECT_THROW(Eval1("Reshape", {Ramp({2, 3}), I64({1}, {5})}), Error);
}

TEST(Squeeze, ByAttributeAndByInput) {
  const Tensor x = Ramp({1, 2, 1, 3});
  EXPECT_EQ(Eval1("Squeeze", {x}, {{"axes", Attribute::Ints({0})}}, {.opset = 11}).shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(Eval1("Squeeze", {x, I64({1}, {-2})}).shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(Eval1("Squeeze", {x}).shape(), (Shape{2, 3}));
  EXPECT_THROW(Eval1("Squeeze", {x, I64({1}, {1})}), Error);
}

TEST(Unsqueeze, CountsAxesInTheResult) {
  EXPECT_EQ(Eval1("Unsqueeze", {Ramp({2, 3}), I64({2}, {-1, 0})}).shape(), (Shape{1, 2, 3, 1}));
  EXPECT_THROW(Eval1("Unsqueeze", {Ramp({2}), I64({2}, {0, 0})}), Error);
}

TEST(Transpose, AgreesWithTheDefinitionForAnyThreads) {
  const std::vector<std::pair<Shape, std::vector<int64_t>>> cases = {{{2, 3, 37, 41}, {0, 2, 3, 1}},
                                                                     {{2, 37, 41, 3}, {0, 3, 1, 2}},
                                                                     {{2, 5, 7, 9}, {0, 2, 1, 3}},
                                                                     {{2, 5, 7, 9}, {3, 2, 1, 0}},
                                                                     {{70, 90}, {1, 0}},
                                                                     {{1, 4, 1, 6}, {2, 3, 0, 1}},
                                                                     {{3, 4, 5, 6, 2}, {4, 0, 3, 1, 2}}};
  for (const auto& [shape, perm] : cases) {
    const Tensor x = Ramp(shape), want = SlowTranspose(x, perm);
    for (int threads : {1, 3}) {
      const Tensor y = Eval1("Transpose", {x}, {{"perm", Attribute::Ints(perm)}}, {.threads = threads});
      EXPECT_TRUE(y.SameBytes(want)) << ToString(shape) << " " << ToString(perm);
    }
  }
}

TEST(Slice, NegativeStepsAndOpenEnds) {
  const Tensor x = Ramp({6});
  const auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return Values<float>(
        Eval1("Slice", {x, I64({1}, {start}), I64({1}, {end}), I64({1}, {0}), I64({1}, {step})}));
  };
  EXPECT_EQ(slice(4, 0, -2), (std::vector<float>{4, 2}));
  EXPECT_EQ(slice(-1, INT64_MIN, -1), (std::vector<float>{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(slice(-4, INT64_MAX, 3), (std::vector<float>{2, 5}));
  EXPECT_EQ(slice(3, 3, 1), std::vector<float>());
  EXPECT_EQ(slice(5, 100, INT64_MAX), std::vector<float>{5});
  EXPECT_EQ(slice(0, INT64_MIN, INT64_MIN), std::vector<float>{0});
  EXPECT_THROW(slice(0, 3, 0), Error);
}

TEST(Slice, ByAttributes) {
  const Tensor y = Eval1(
      "Slice", {Ramp({2, 4})},
      {{"starts", Attribute::Ints({1})}, {"ends", Attribute::Ints({3})}, {"axes", Attribute::Ints({1})}},
      {.opset = 9});
  ExpectNear(y, F({2, 2}, {1, 2, 5, 6}));
}

TEST(Concat, JoinsOnAnyAxis) {
  const Tensor y = Eval1("Concat", {Ramp({2, 1}), Ramp({2, 2})}, {{"axis", Attribute::Int(-1)}});
  ExpectNear(y, F({2, 3}, {0, 0, 1, 1, 2, 3}));
  EXPECT_THROW(Eval1("Concat", {Ramp({2, 1}), Ramp({3, 1})}, {{"axis", Attribute::Int(1)}}), Error);
}

TEST(Split, LastPartMayBeSmallerFromOpset18) {
  const auto parts = Eval("Split", {Ramp({7})}, {{"num_outputs", Attribute::Int(3)}}, {.num_outputs = 3});
  EXPECT_EQ(Values<float>(parts[0]), (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(Values<float>(parts[2]), std::vector<float>{6});
  EXPECT_THROW(Eval("Split", {Ramp({7})}, {}, {.opset = 13, .num_outputs = 3}), Error);
  EXPECT_THROW(Eval("Split", {Ramp({4}), I64({2}, {1, 2})}, {}, {.num_outputs = 2}), Error);
}

TEST(Pad, EveryMode) {
  const Tensor x = F({3}, {1, 2, 3}), pads = I64({2}, {4, 2});
  const auto pad = [&](const char* mode) {
    return Values<float>(Eval1("Pad", {x, pads}, {{"mode", Attribute::String(mode)}}));
  };
  EXPECT_EQ(pad("reflect"), (std::vector<float>{1, 2, 3, 2, 1, 2, 3, 2, 1}));
  EXPECT_EQ(pad("edge"), (std::vector<float>{1, 1, 1, 1, 1, 2, 3, 3, 3}));
  EXPECT_EQ(pad("wrap"), (std::vector<float>{3, 1, 2, 3, 1, 2, 3, 1, 2}));
  EXPECT_THROW(pad("mirror"), Error);
}

TEST(Pad, ConstantWithNegativePadsAndAxes) {
  ExpectNear(Eval1("Pad", {F({2, 3}, {1, 2, 3, 4, 5, 6}), I64({4}, {1, -1, 0, 1}), F({}, {9})}),
             F({3, 3}, {9, 9, 9, 2, 3, 9, 5, 6, 9}));
  ExpectNear(Eval1("Pad", {F({1, 2}, {1, 2}), I64({2}, {1, 0}), Tensor(), I64({1}, {-1})}),
             F({1, 3}, {0, 1, 2}));
  EXPECT_THROW(Eval1("Pad", {F({2}, {1, 2}), I64({2}, {-2, -1})}), Error);
}

TEST(TileAndExpand, Repeat) {
  ExpectNear(Eval1("Tile", {F({1, 2}, {1, 2}), I64({2}, {2, 2})}), F({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}));
  ExpectNear(Eval1("Expand", {F({2, 1}, {1, 2}), I64({3}, {2, 1, 2})}),
             F({2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2}));
  EXPECT_EQ(Eval1("Expand", {Tensor::Strings({1}, {"a"}), I64({1}, {2})}).strings(),
            (std::vector<std::string>{"a", "a"}));
}

TEST(DepthToSpace, IsUndoneBySpaceToDepth) {
  const Tensor x = Ramp({1, 8, 2, 3});
  const Tensor y = Eval1("DepthToSpace", {x}, {{"blocksize", Attribute::Int(2)}});
  EXPECT_EQ(y.shape(), (Shape{1, 2, 4, 6}));
  EXPECT_EQ(y.data<float>()[1], 12);  // channel 2 beside channel 0
  EXPECT_TRUE(Eval1("SpaceToDepth", {y}, {{"blocksize", Attribute::Int(2)}}).SameBytes(x));
}

TEST(ReverseSequence, KeepsTheTail) {
  ExpectNear(Eval1("ReverseSequence", {Ramp({3, 2}), I64({2}, {3, 2})}), F({3, 2}, {4, 3, 2, 1, 0, 5}));
  EXPECT_THROW(Eval1("ReverseSequence", {Ramp({3, 2}), I64({2}, {4, 2})}), Error);
}

TEST(Dropout, PassesThroughWithATrueMask) {
  const auto outputs = Eval("Dropout", {F({2}, {1, 2})}, {}, {.num_outputs = 2});
  ExpectNear(outputs[0], F({2}, {1, 2}));
  EXPECT_TRUE(outputs[1].SameBytes(B({2}, {true, true})));
}

TEST(Trilu, KeepsOneSideOfADiagonal) {
  const Tensor x = F({2, 2}, {1, 2, 3, 4});
  ExpectNear(Eval1("Trilu", {x}), F({2, 2}, {1, 2, 0, 4}));
  ExpectNear(Eval1("Trilu", {x, I64({}, {-1})}, {{"upper", Attribute::Int(0)}}), F({2, 2}, {0, 0, 3, 0}));
  ExpectNear(Eval1("Trilu", {x, I64({}, {INT64_MIN})}), x);
}

TEST(Compress, TakesWhereTrue) {
  ExpectNear(Eval1("Compress", {Ramp({2, 3}), B({2}, {false, true})}, {{"axis", Attribute::Int(1)}}),
             F({2, 1}, {1, 4}));
  ExpectNear(Eval1("Compress", {Ramp({2, 3}), B({4}, {true, false, false, true})}), F({2}, {0, 3}));
}

}  // namespace
}  // namespace xslim::testing
