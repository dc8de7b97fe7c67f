// What was not changed comes out as it was read; the rest is written.
#include "onnx_helper.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

using namespace testing;

TEST(WriteModelTest, UntouchedNodesAndTypesComeOutByteEqual) {
  const onnx::ModelProto before = Proto(ReadFile(kRoundTrip));
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_NO_THROW(graph.Validate());
  const onnx::ModelProto after = Proto(SerializeModel(graph));
  ASSERT_EQ(before.graph().node_size(), after.graph().node_size());
  for (int i = 0; i < before.graph().node_size(); ++i) {
    onnx::NodeProto wanted = before.graph().node(i);
    if (i == 2) wanted.set_name("same_2");  // two nodes of one name are no valid model
    EXPECT_TRUE(wanted.SerializeAsString() == after.graph().node(i).SerializeAsString()) << i;
  }
  EXPECT_EQ(before.graph().input(0).SerializeAsString(), after.graph().input(0).SerializeAsString());
  EXPECT_EQ(before.graph().output(0).SerializeAsString(), after.graph().output(0).SerializeAsString());
  ASSERT_EQ(after.graph().value_info_size(), 1);
  EXPECT_EQ(before.graph().value_info(0).SerializeAsString(),
            after.graph().value_info(0).SerializeAsString());
  EXPECT_EQ(after.doc_string(), "model doc");
  EXPECT_EQ(after.graph().doc_string(), "graph doc");
  EXPECT_EQ(after.producer_name(), "xslim");
  EXPECT_EQ(after.metadata_props_size(), 2);
  const Graph again = ParseModel(SerializeModel(graph), "", "again");
  EXPECT_EQ(again.metadata.at("note"), "kept");
  EXPECT_EQ(again.metadata.at("xslim_version"), Version());
  EXPECT_EQ(SerializeModel(again), SerializeModel(graph));
}

TEST(WriteModelTest, ChangedPartsAreWritten) {
  Graph graph = LoadModel(kRoundTrip);
  graph.node(0).attributes["group"] = Attribute::Int(1);
  graph.node(0).attributes["pads"].ints = {0, 0, 0, 0};
  graph.node(4).name = "renamed";
  graph.Rename(graph.Find("c"), "conv_out");
  graph.value(graph.Find("conv_out")).dims[2].size = 14;
  const onnx::ModelProto model = Proto(SerializeModel(graph));
  const onnx::NodeProto& conv = model.graph().node(0);
  EXPECT_FALSE(conv.has_name());
  EXPECT_EQ(conv.output(0), "conv_out");
  ASSERT_EQ(conv.attribute_size(), 3);
  EXPECT_EQ(conv.attribute(2).name(), "group");
  EXPECT_EQ(conv.attribute(1).ints(3), 0);
  EXPECT_EQ(model.graph().node(4).name(), "renamed");
  EXPECT_EQ(model.graph().node(4).doc_string(), "kept");
  EXPECT_EQ(model.graph().value_info(0).name(), "conv_out");
  EXPECT_EQ(model.graph().value_info(0).type().tensor_type().shape().dim(2).dim_value(), 14);
  EXPECT_EQ(model.graph().value_info(0).type().tensor_type().shape().dim(0).dim_param(), "n");
}

TEST(WriteModelTest, AChangedBodyIsWritten) {
  Graph graph = LoadModel(kRoundTrip);
  Graph& body = *graph.node(3).attributes.at("then_branch").graph;
  EXPECT_EQ(body.FreeNames(), std::vector<std::string>{"act"});
  body.SetConstant(body.Find("k"), Tensor::Of<float>({1}, {3}));
  const onnx::ModelProto model = Proto(SerializeModel(graph));
  const std::string raw = model.graph().node(3).attribute(1).g().initializer(0).raw_data();
  EXPECT_EQ(raw, std::string("\0\0\x40\x40", 4));
}

// Each body is compared with what was read of it, all that is in it included: not once for each one around
// it.
TEST(WriteModelTest, BodiesInBodiesAreWrittenInTime) {
  const auto add_if = [](onnx::GraphProto* graph, const std::string& output) {
    onnx::NodeProto* node = graph->add_node();
    node->set_op_type("If");
    node->add_input("x");
    node->add_output(output);
    for (const char* key : {"then_branch", "else_branch"}) {
      onnx::AttributeProto* branch = node->add_attribute();
      branch->set_name(key);
      branch->set_type(onnx::AttributeProto::GRAPH);
      branch->mutable_g()->set_name(key);
    }
    return node;
  };
  const auto add_relu = [](onnx::GraphProto* graph, const std::string& output) {
    onnx::NodeProto* node = graph->add_node();
    node->set_op_type("Relu");
    node->add_input("x");
    node->add_output(output);
    graph->add_output()->set_name(output);
  };
  Small s;
  onnx::GraphProto* graph = s.graph;
  constexpr int kDepth = 25;
  for (int depth = 0; depth < kDepth; ++depth) {
    const std::string output = "o" + std::to_string(depth);
    onnx::NodeProto* node = add_if(graph, output);
    if (depth > 0) graph->add_output()->set_name(output);
    add_relu(node->mutable_attribute(0)->mutable_g(), output + "_then");
    graph = node->mutable_attribute(1)->mutable_g();
  }
  add_relu(graph, "last");
  Graph model = s.Parse();
  const std::string plain = SerializeModel(model);
  EXPECT_EQ(Proto(plain).graph().node(1).SerializeAsString(), s.graph->node(1).SerializeAsString());
  Graph* inner = &model;
  for (int depth = 0; depth < kDepth; ++depth) {
    Node& node = inner->node(inner->node_slots() > 1 ? 1 : 0);
    inner = node.attributes.at("else_branch").graph.get();
  }
  inner->node(0).op_type = "Neg";
  const std::string changed = SerializeModel(model);
  EXPECT_EQ(changed.size() + 1, plain.size());
}

TEST(WriteModelTest, IrVersionFollowsWhatIsWritten) {
  Small s;
  EXPECT_EQ(Proto(SerializeModel(s.Parse())).ir_version(), 8);
  Graph graph = s.Parse();
  graph.opset_imports[""] = 21;
  EXPECT_EQ(Proto(SerializeModel(graph)).ir_version(), 10);
}

}  // namespace
}  // namespace xslim
