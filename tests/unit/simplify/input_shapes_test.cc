#include "simplify/input_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xslim/error.h"

namespace xslim {
namespace {

using testing::HasSubstr;

// x [batch, 3, ?] and mask [batch] -> y [batch]; with an If whose branch makes z [batch].
struct Model {
  Graph graph;
  ValueId x, mask, y, z;
  std::shared_ptr<Graph> branch = std::make_shared<Graph>();

  Model() {
    graph.opset_imports[""] = 13;
    x = Input("x", {{-1, "batch"}, {3, ""}, {-1, ""}});
    mask = Input("mask", {{-1, "batch"}});
    z = branch->AddValue("z");
    branch->value(z).has_shape = true;
    branch->value(z).dims = {{-1, "batch"}};
    branch->AddNode("Identity", "inner", {branch->AddConstant("c", Tensor::Of<float>({1}, {1}))}, {z});
    branch->AddOutput(z);
    Attribute body;
    body.kind = Attribute::Kind::kGraph;
    body.graph = branch;
    y = graph.AddValue("y");
    graph.value(y).has_shape = true;
    graph.value(y).dims = {{-1, "batch"}};
    graph.AddNode("If", "if", {mask}, {y}, {{"then_branch", body}});
    graph.AddOutput(y);
  }
  ValueId Input(const char* name, std::vector<Dim> dims) {
    const ValueId id = graph.AddValue(name, DType::kFloat);
    graph.value(id).has_shape = true;
    graph.value(id).dims = std::move(dims);
    graph.AddInput(id);
    return id;
  }
  std::string ErrorOf(const std::vector<InputShape>& shapes) {
    try {
      FixInputShapes(&graph, shapes);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST(InputShapes, SettleSymbolsEverywhere) {
  Model model;
  FixInputShapes(&model.graph, {{"x", {2, 3, -1}}});
  EXPECT_EQ(model.graph.value(model.x).dims[0].size, 2);
  EXPECT_EQ(model.graph.value(model.x).dims[2].size, -1);
  EXPECT_EQ(model.graph.value(model.mask).dims[0].size, 2);
  EXPECT_EQ(model.graph.value(model.y).dims[0].size, 2);
  EXPECT_EQ(model.branch->value(model.z).dims[0].size, 2);
}

TEST(InputShapes, GiveARankWhereThereIsNone) {
  Model model;
  model.graph.value(model.mask).has_shape = false;
  model.graph.value(model.mask).dims.clear();
  FixInputShapes(&model.graph, {{"mask", {4}}});
  EXPECT_TRUE(model.graph.value(model.mask).has_shape);
  EXPECT_EQ(model.graph.value(model.mask).dims.size(), 1u);
  EXPECT_EQ(model.graph.value(model.mask).dims[0].size, 4);
}

// A model may be made for it.
TEST(InputShapes, TakeTheZeroThatTheModelSays) {
  Model model;
  model.graph.value(model.x).dims[1].size = 0;
  EXPECT_EQ(model.ErrorOf({{"x", {2, 0, 8}}}), "");
}

TEST(InputShapes, RefuseWhatDoesNotFit) {
  EXPECT_THAT(Model().ErrorOf({{"maks", {1}}}),
              HasSubstr("input_shapes: maks: the model has no input of this name"));
  EXPECT_THAT(Model().ErrorOf({{"", {1}}}), HasSubstr("names no input, and the model has 2"));
  EXPECT_THAT(Model().ErrorOf({{"x", {1, 3}}}),
              HasSubstr("input_shapes: x: has 3 sizes, 2 are given (the model says [batch,3,?])"));
  EXPECT_THAT(Model().ErrorOf({{"x", {1, 4, 8}}}),
              HasSubstr("its size 3 on axis 1 is not the 4 that is given"));
  EXPECT_THAT(Model().ErrorOf({{"x", {1, 4, 8}}}), HasSubstr("(the model says [batch,3,?])"));
  EXPECT_THAT(Model().ErrorOf({{"x", {1, 3, 8}}, {"mask", {2}}}), HasSubstr("two sizes for batch: 1 and 2"));
  EXPECT_THAT(Model().ErrorOf({{"x", {0, 3, 8}}}),
              HasSubstr("input_shapes: x: the size 0 on axis 0 leaves it without elements (give 1 or more"));
  EXPECT_THAT(Model().ErrorOf({{"x", {1, 0, 8}}}),
              HasSubstr("its size 3 on axis 1 is not the 0 that is given"));
  Model sequence;
  sequence.graph.value(sequence.mask).dtype = DType::kUndefined;
  EXPECT_THAT(sequence.ErrorOf({{"mask", {2}}}), HasSubstr("input_shapes: mask: is no tensor"));
}

}  // namespace
}  // namespace xslim
