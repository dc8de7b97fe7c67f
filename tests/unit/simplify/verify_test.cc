// The comparison of a simplified graph with the original, and 500 random graphs through all passes.
#include "simplify/verify.h"

#include <gmock/gmock.h>

#include <limits>
#include <memory>

#include "rewrite_helper.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Model SmallConv() {
  Model m;
  const ValueId x = m.Op("Conv", {m.Input("x", {-1, 3, 8, 8}), m.Random({4, 3, 3, 3})});
  m.Output(m.Op("Relu", {m.Op("Add", {x, m.Random({1, 4, 1, 1})})}));
  return m;
}

TEST(Verify, EqualGraphsAndDifferentOnes) {
  ThreadPool pool(1);
  const Model m = SmallConv();
  const Reference reference(m.graph, pool, 3);
  EXPECT_EQ(reference.obstacle(), "");
  EXPECT_EQ(reference.samples(), 3);
  EXPECT_EQ(reference.outputs(), 1);
  EXPECT_EQ(reference.Differs(m.graph), "");
  Graph changed = m.graph;
  for (NodeId id : m.graph.Order()) {
    if (!changed.node(id).Is("Add")) continue;
    Tensor bias = changed.Constant(changed.node(id).input(1))->Clone();
    bias.data<float>()[2] += 0.01f;
    changed.SetConstant(changed.node(id).input(1), bias);
  }
  EXPECT_THAT(reference.Differs(changed), HasSubstr("differs by"));
  Graph renamed = m.graph;
  for (NodeId id : m.graph.Order()) {
    if (renamed.node(id).Is("Relu")) renamed.node(id).op_type = "NoSuchOperator";
  }
  EXPECT_THAT(reference.Differs(renamed), HasSubstr("no longer runs"));
}

TEST(Verify, DoesNotWaitForALoopWithoutEnd) {
  ThreadPool pool(1);
  Model m;
  auto body = std::make_shared<Graph>();
  const ValueId i = body->AddValue("i", DType::kInt64), go = body->AddValue("go", DType::kBool),
                sum = body->AddValue("sum", DType::kFloat), next = body->AddValue("next"),
                on = body->AddValue("on");
  for (ValueId input : {i, go, sum}) body->AddInput(input);
  body->AddNode("Identity", "", {go}, {on});
  body->AddNode("Add", "", {sum, sum}, {next});
  body->AddOutput(on);
  body->AddOutput(next);
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = std::move(body);
  const Tensor trips = Tensor::Scalar(std::numeric_limits<int64_t>::max());
  m.Output(m.Op("Loop", {m.graph.AddConstant("trips", trips), kNone, m.Input("x", {2})},
                {{"body", std::move(attribute)}}));
  EXPECT_THAT(Reference(m.graph, pool, 3).obstacle(), AllOf(HasSubstr("[Loop]"), HasSubstr("2000 steps")));
}

// Of numbers under 1e-4 the last bits before the Sigmoid are a large part.
TEST(Verify, SensitiveOutputsAreComparedWithRounding) {
  ThreadPool pool(1);
  const auto far = [](float factor) {
    Model m;
    const ValueId x = m.Op("Conv", {m.Input("x", {-1, 3, 8, 8}), m.Random({4, 3, 3, 3})});
    m.Output(m.Op("Sigmoid", {m.Op("Mul", {m.Op("Sub", {x, m.F(300)}), m.F(0.1f * factor)})}));
    return m;
  };
  const Model m = far(1), off = far(1 + 2e-5f);
  Model rounded;  // the same in another order
  const ValueId x = rounded.Op("Conv", {rounded.Input("x", {-1, 3, 8, 8}), rounded.Random({4, 3, 3, 3})});
  rounded.Output(
      rounded.Op("Sigmoid", {rounded.Op("Sub", {rounded.Op("Mul", {x, rounded.F(0.1f)}), rounded.F(30)})}));
  const Reference reference(m.graph, pool, 1);
  EXPECT_EQ(reference.Differs(rounded.graph), "");
  EXPECT_THAT(reference.Differs(off.graph), HasSubstr("differs by"));
  EXPECT_TRUE(reference.rounding_mattered());
}

// What is left of two equal numbers: nothing where both are rounded the same way.
TEST(Verify, OneNumberIsComparedWithSeveralRoundings) {
  ThreadPool pool(1);
  const auto model = [](float error) {
    Model m;
    const ValueId x = m.Input("x", {1, 1});
    for (int i = 0; i < 20; ++i) {
      const ValueId numbers = m.Const(Tensor::Of<float>({2}, {1, -1 - error}));
      const ValueId rest = m.Op("Mul", {m.Op("ReduceSum", {numbers}), m.F(1000)});
      m.Output(m.Op("Add", {x, rest}));
    }
    return m;
  };
  const Model m = model(0);
  const Reference reference(m.graph, pool, 1);
  EXPECT_EQ(reference.Differs(model(0x1p-23f).graph), "");
  EXPECT_THAT(reference.Differs(model(0x1p-19f).graph), HasSubstr("differs by"));
}

// Which of two equal numbers is larger, and how many are, hangs on last bits.
TEST(Verify, ChoicesAmongEqualsAreComparedWithRounding) {
  ThreadPool pool(1);
  const auto model = [](float first, float second) {
    Model m;
    const ValueId x = m.Input("x", {1, 20});
    const ValueId a = m.Op("Mul", {x, m.F(0.3f)});
    const ValueId b = m.Op("Mul", {m.Op("Mul", {x, m.F(first)}), m.F(second)});
    m.Output(m.Op("ArgMax", {m.Op("Concat", {a, b}, {{"axis", I(0)}})}));
    m.Output(m.Op("NonZero", {m.Op("Less", {a, b})}));
    return m;
  };
  const Model m = model(0.1f, 3);
  const Reference reference(m.graph, pool, 1);
  ASSERT_EQ(reference.obstacle(), "");
  EXPECT_EQ(reference.Differs(model(3, 0.1f).graph), "");
}

TEST(Verify, OnlySizesThatRoundingChangesMayDiffer) {
  ThreadPool pool(1);
  const auto model = [](bool twice) {
    Model m;
    const ValueId x = m.Input("x", {1, 20});
    const ValueId a = m.Op("Mul", {x, m.F(0.3f)});
    const ValueId b = m.Op("Mul", {m.Op("Mul", {x, m.F(0.1f)}), m.F(3)});
    const ValueId found = m.Op("NonZero", {m.Op("Less", {a, b})});
    m.Output(twice ? m.Op("Concat", {found, found}, {{"axis", I(0)}}) : m.Op("Identity", {found}));
    return m;
  };
  const Model m = model(false);
  EXPECT_THAT(Reference(m.graph, pool, 1).Differs(model(true).graph), HasSubstr("has shape"));
}

// With scales that were rounded, too, nothing would fit what is added.
TEST(Verify, RoundingLeavesShapesAlone) {
  ThreadPool pool(1);
  const auto far = [](float factor) {
    Model m;
    const ValueId x = m.Op("Conv", {m.Input("x", {1, 3, 8, 8}), m.Random({4, 3, 3, 3})});
    const ValueId scales = m.Const(Tensor::Of<float>({4}, {1, 1, 2, 2}));
    const ValueId y = m.Op("Add", {m.Op("Resize", {x, kNone, scales}), m.Random({1, 4, 12, 12})});
    m.Output(m.Op("Sigmoid", {m.Op("Mul", {m.Op("Sub", {y, m.F(300)}), m.F(0.1f * factor)})}));
    return m;
  };
  const Model m = far(1);
  const Reference reference(m.graph, pool, 1);
  ASSERT_EQ(reference.obstacle(), "");
  EXPECT_EQ(reference.Differs(far(1 + 5e-7f).graph), "");
  EXPECT_TRUE(reference.rounding_mattered());
  EXPECT_THAT(reference.Differs(far(1 + 2e-5f).graph), HasSubstr("differs by"));
}

// A size that is right for one batch alone is seen.
TEST(Verify, AFixedBatchIsFound) {
  ThreadPool pool(1);
  Model m, fixed;
  for (Model* each : {&m, &fixed}) {
    const ValueId x = each->Input("x", {-1, 4});
    each->Output(each->Op("Reshape", {x, each->Ints({each == &m ? -1 : 1, 2, 2})}));
  }
  EXPECT_THAT(Reference(m.graph, pool, 3).Differs(fixed.graph), HasSubstr("no longer runs"));
}

// An index that is 32 as it stands and more as soon as one of 32 ones is rounded down.
TEST(Verify, WhatFailsAfterRoundingIsNotBlamedOnAPass) {
  ThreadPool pool(1);
  const auto model = [](float factor) {
    Model m;
    const ValueId ones = m.Const(Tensor::Of<float>({32}, std::vector<float>(32, 1.0f)));
    const ValueId count = m.Op("ReduceSum", {m.Op("Floor", {ones})}, {{"keepdims", I(0)}});
    const ValueId index =
        m.Op("Cast", {m.Op("Sub", {m.Int(64), m.Op("Cast", {count}, {{"to", I(7)}})})}, {{"to", I(7)}});
    const ValueId x = m.Op("Mul", {m.Input("x", {4, 33}), m.F(factor)});
    m.Output(m.Op("Gather", {x, index}, {{"axis", I(1)}}));
    return m;
  };
  const Model m = model(1), off = model(1.001f);
  const Reference reference(m.graph, pool, 1);
  EXPECT_EQ(reference.obstacle(), "");
  EXPECT_THAT(reference.Differs(off.graph), HasSubstr("differs by"));
}

// Only what no input can mend ends a run: not an index that was made up.
TEST(Verify, AModelThatNobodyCanRunIsRefused) {
  ThreadPool pool(1);
  Model slope;
  slope.Output(
      slope.Op("Conv", {slope.Input("x", {1, 3, 8, 8}), slope.Random({4, 3, 3, 3}), slope.Random({5})}));
  SimplifyOptions options;
  try {
    SimplifyVerified(&slope.graph, options, pool, 1);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the model is not valid: Conv[Conv]"));
    EXPECT_THAT(error.what(), HasSubstr("the bias has 5 elements"));
  }
  Model index;
  index.Output(index.Op("Gather", {index.Random({1, 3}), index.Input("i", {2}, DType::kInt64)}));
  const Reference reference(index.graph, pool, 1);
  EXPECT_FALSE(reference.impossible());
  EXPECT_NO_THROW(SimplifyVerified(&index.graph, options, pool, 1));
}

TEST(Verify, AModelThatCannotBeRunIsTold) {
  ThreadPool pool(1);
  for (const int64_t size : {4, -1}) {  // a size that is open may have been guessed wrong
    Model m;
    m.Output(m.Op("Gather", {m.Input("x", {size}), m.Ints({9999})}));
    const Reference reference(m.graph, pool, 1);
    EXPECT_THAT(reference.obstacle(), HasSubstr("[Gather]"));
    EXPECT_EQ(reference.fails(), size == 4);
    EXPECT_EQ(reference.impossible(), size == 4);
  }
}

TEST(Verify, SaysWhyNothingCanBeCompared) {
  ThreadPool pool(1);
  Model constant;
  constant.Output(constant.Op("Mul", {constant.Input("x", {4}), constant.F(0)}));
  EXPECT_THAT(Reference(constant.graph, pool, 1).obstacle(), HasSubstr("finite and varied"));
  Model unknown;
  unknown.Output(unknown.Op("NoSuchOperator", {unknown.Input("x", {4})}));
  EXPECT_THAT(Reference(unknown.graph, pool, 1).obstacle(), HasSubstr("NoSuchOperator"));
}

// What does not depend on the unknown operator is compared all the same.
TEST(Verify, UnknownOperatorsAreLeftOut) {
  ThreadPool pool(1);
  Model m, changed;
  for (Model* each : {&m, &changed}) {
    const ValueId x = each->Input("x", {4});
    each->Output(each->Op("NoSuchOperator", {x}));
    each->Output(each->Op("Mul", {x, each->F(each == &m ? 2 : 3)}));
  }
  const Reference reference(m.graph, pool, 1);
  EXPECT_EQ(reference.obstacle(), "");
  EXPECT_EQ(reference.outputs(), 1);
  EXPECT_EQ(reference.Differs(m.graph), "");
  EXPECT_THAT(reference.Differs(changed.graph), HasSubstr("differs by"));
}

// Indices stay below what Gather takes; the first sizes do not fit, later ones do.
TEST(Verify, GuessesInputsThatTheModelTakes) {
  ThreadPool pool(1);
  Model m;
  const ValueId ids = m.Input("ids", {-1, 5}, DType::kInt64), x = m.Input("x", {1, -1});
  const ValueId rows = m.Op("ReduceMean", {m.Op("Gather", {m.Random({3, 8}), ids})}, {{"axes", Is({0, 1})}});
  m.Output(m.Op("Add", {rows, m.Op("Reshape", {x, m.Ints({1, 1, 8})})}));
  EXPECT_EQ(Reference(m.graph, pool, 1).obstacle(), "");
}

// Of 16 samples no spectrum of 64 can be computed: what comes out are the zeros between frames.
TEST(Verify, GuessesSizesThatGiveNumbers) {
  ThreadPool pool(1);
  Model m;
  const ValueId frames =
      m.Op("Conv", {m.Input("x", {1, 1, -1}), m.Random({8, 1, 64})}, {{"strides", Is({32})}});
  m.Output(m.Op("ConvTranspose", {frames, m.Random({8, 1, 64})}, {{"strides", Is({32})}}));
  const Reference reference(m.graph, pool, 2);
  EXPECT_EQ(reference.obstacle(), "");
  EXPECT_EQ(reference.outputs(), 1);
}

// With an epsilon that float32 cannot hold, the folded weights overflow while the graph itself does not.
TEST(Verify, APassThatChangesTheResultIsUndone) {
  ThreadPool pool(1);
  Model m;
  const ValueId x = m.Op("Identity", {m.Input("x", {1, 2, 4, 4})});
  const ValueId y = m.Op("Conv", {x, m.Const(Tensor::Of<float>({1, 2, 1, 1}, {1e30f, 1e30f}))});
  m.Output(m.Op("Mul", {m.Op("Mul", {y, m.F(1e-20f)}), m.F(1e-10f)}));
  Model large;
  const ValueId z = large.Op("Conv", {large.Op("Identity", {large.Input("x", {1, 1, 4, 4})}),
                                      large.Const(Tensor::Of<float>({1, 1, 1, 1}, {1e-30f}))});
  const ValueId small = large.Op("Mul", {z, large.F(1e-12f)});
  large.Output(large.Op("Mul", {large.Op("Relu", {small}), large.F(1e38f)}));
  for (const Model* each : {&m, &large}) {
    Graph graph = each->graph;
    SimplifyOptions options;
    options.highest_opset = 17;
    const std::vector<std::string> undone = SimplifyVerified(&graph, options, pool, 2);
    EXPECT_EQ(Reference(each->graph, pool, 2).Differs(graph), "");
    EXPECT_EQ(CountsOf(graph).count("Identity"), 0u) << "other passes still run";
    for (const std::string& pass : undone) EXPECT_EQ(pass, "fold-affine");
  }
}

TEST(PassTable, NamesAreChecked) {
  CheckPassNames({"fuse-pad", "fold-constants"});
  try {
    CheckPassNames({"fuse-pads"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean fuse-pad?"));
  }
}

TEST(PassTable, SkippedPassesDoNotRun) {
  const Model m = SmallConv();
  Graph graph = m.graph;
  SimplifyOptions options;
  options.skip = {"fold-affine"};
  Simplify(&graph, options);
  EXPECT_EQ(CountsOf(graph), (Counts{{"Conv", 1}, {"Add", 1}, {"Relu", 1}}));
}

// ---- random graphs

// Operators that simplifying touches, in random order on a tensor of rank 4.
class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : random_(seed) {
    m_.seed = seed * 1000;
    shape_ = {2, 4, 6, 6};
    x_ = m_.Input("x", {random_.Below(2) ? -1 : 2, 4, 6, 6});
    const int steps = 4 + static_cast<int>(random_.Below(12));
    for (int i = 0; i < steps; ++i) {
      Step();
      if (random_.Below(6) == 0) m_.Output(x_), x_ = m_.Op("Neg", {x_});
    }
    m_.Output(m_.Op("Neg", {x_}));
  }
  const Model& model() const { return m_; }

 private:
  int64_t Channels() const { return shape_[1]; }
  ValueId PerChannel() { return m_.Const(Positive({1, Channels(), 1, 1}, ++m_.seed)); }

  void Transposed() {
    static const std::vector<std::vector<int64_t>> perms = {
        {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 1, 3, 2}, {0, 1, 2, 3}};
    const std::vector<int64_t>& perm = perms[random_.Below(perms.size())];
    x_ = m_.Op("Transpose", {x_}, {{"perm", Is(perm)}});
    const Shape old = shape_;
    for (size_t i = 0; i < 4; ++i) shape_[i] = old[static_cast<size_t>(perm[i])];
  }

  void Convolved() {
    const int64_t out = 2 + static_cast<int64_t>(random_.Below(4));
    x_ = m_.Op("Conv", {x_, m_.Random({out, Channels(), 1, 1}), m_.Random({out})});
    shape_[1] = out;
  }

  void Normalised() {
    const int64_t c = Channels();
    x_ = m_.Op("BatchNormalization", {x_, m_.Const(Positive({c}, ++m_.seed)), m_.Random({c}), m_.Random({c}),
                                      m_.Const(Positive({c}, ++m_.seed))});
  }

  void Affine() {
    static const char* const types[] = {"Add", "Sub", "Mul", "Div"};
    const char* type = types[random_.Below(4)];
    const uint64_t kind = random_.Below(3);
    const ValueId k = kind == 0 ? m_.F(1) : kind == 1 ? m_.F(0.5f + random_.Unit()) : PerChannel();
    const bool first = random_.Below(2) && type != std::string("Div");
    x_ = m_.Op(type, first ? std::vector<ValueId>{k, x_} : std::vector<ValueId>{x_, k});
  }

  void Reshaped() {
    if (random_.Below(2)) {  // there and back with sizes from the tensor
      std::vector<ValueId> parts;
      m_.Dim(x_, 0, &parts);
      parts.push_back(m_.Ints({-1}));
      const ValueId flat = m_.Op("Reshape", {x_, m_.Op("Concat", parts, {{"axis", I(0)}})});
      x_ = m_.Op("Reshape", {flat, m_.Ints({-1, shape_[1], shape_[2], shape_[3]})});
    } else {
      x_ = m_.Op("Squeeze", {m_.Op("Unsqueeze", {x_, m_.Ints({1})}), m_.Ints({1})});
    }
  }

  void Cut() {
    if (Channels() < 2) return;
    const int64_t at = 1 + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(Channels() - 1)));
    const ValueId a = m_.Op("Slice", {x_, m_.Ints({0}), m_.Ints({at}), m_.Ints({1})});
    const ValueId b = m_.Op("Slice", {x_, m_.Ints({at}), m_.Ints({INT64_MAX}), m_.Ints({1})});
    x_ = random_.Below(3) ? m_.Op("Concat", {b, a}, {{"axis", I(1)}}) : a;
    if (x_ == a) shape_[1] = at;
  }

  void Padded() {
    x_ = m_.Op("Pad", {x_, m_.Ints({0, 0, 1, 0, 0, 0, 0, 1})});
    const Attributes pool = {{"kernel_shape", Is({2, 2})}};
    if (random_.Below(2)) {
      x_ = m_.Op(random_.Below(2) ? "AveragePool" : "MaxPool", {x_}, pool);
    } else {
      x_ = m_.Op("Conv", {x_, m_.Random({Channels(), Channels(), 2, 2})});
    }
  }

  void Twice() {
    const ValueId a = m_.Op("Tanh", {x_}), b = m_.Op("Tanh", {x_});
    x_ = m_.Op(random_.Below(2) ? "Add" : "Max", {a, b});
  }

  void Active() {
    const uint64_t kind = random_.Below(4);
    const ValueId clip = kind == 0 ? m_.Op("Clip", {m_.Op("Add", {x_, m_.F(3)}), m_.F(0), m_.F(6)}) : kNone;
    if (kind == 0) x_ = m_.Op("Mul", {m_.Op("Div", {clip, m_.F(6)}), x_});
    if (kind == 1)
      x_ = m_.Op("Mul",
                 {x_, m_.Op("Reciprocal", {m_.Op("Add", {m_.Op("Exp", {m_.Op("Neg", {x_})}), m_.F(1)})})});
    if (kind == 2) x_ = m_.Op("Relu", {x_});
    if (kind == 3) x_ = m_.Op("Identity", {m_.Op("Tanh", {m_.Op("Dropout", {x_})})});
  }

  void Normed() {
    const Attributes last = {{"axes", Is({-1})}};
    const ValueId d = m_.Op("Sub", {x_, m_.Op("ReduceMean", {x_}, last)});
    const ValueId v = m_.Op("ReduceMean", {m_.Op("Mul", {d, d})}, last);
    x_ = m_.Op("Div", {d, m_.Op("Sqrt", {m_.Op("Add", {v, m_.F(0.1f)})})});
  }

  void Step() {
    using Make = void (RandomGraph::*)();
    static constexpr Make makes[] = {
        &RandomGraph::Transposed, &RandomGraph::Convolved, &RandomGraph::Normalised, &RandomGraph::Affine,
        &RandomGraph::Reshaped,   &RandomGraph::Cut,       &RandomGraph::Padded,     &RandomGraph::Twice,
        &RandomGraph::Active,     &RandomGraph::Normed,    &RandomGraph::Affine,     &RandomGraph::Convolved};
    (this->*makes[random_.Below(std::size(makes))])();
  }

  Model m_;
  Random random_;
  Shape shape_;
  ValueId x_ = kNone;
};

TEST(RandomGraphs, ComputeTheSameAfterAllPasses) {
  int removed = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    const RandomGraph made(seed);
    Graph graph = made.model().graph;
    SimplifyOptions options;
    options.legalize = seed % 3 == 0;
    options.highest_opset = seed % 2 ? 17 : 24;
    Simplify(&graph, options);
    graph.Validate();
    removed += static_cast<int>(made.model().graph.Order().size()) - static_cast<int>(graph.Order().size());
    ExpectSame(made.model().graph, graph, InputsFor(made.model().graph, 3), 1e-4);
    if (HasFailure()) return;
  }
  EXPECT_GT(removed, 1000);
}

}  // namespace
}  // namespace xslim
