// The model's own functions.
#include "graph/function.h"
#include "onnx_helper.h"

namespace xslim {
namespace {

using namespace testing;

// lib::half(a) -> b: b = a * k, with an overload and a default in the fields that IR 10 brought
std::string FunctionModel() {
  onnx::ModelProto model;
  model.set_ir_version(10);
  model.add_opset_import()->set_version(21);
  onnx::OperatorSetIdProto* lib = model.add_opset_import();
  lib->set_domain("lib");
  lib->set_version(1);
  onnx::GraphProto* graph = model.mutable_graph();
  graph->add_input()->set_name("x");
  graph->add_output()->set_name("y");
  onnx::NodeProto call;
  call.set_op_type("half");
  call.set_domain("lib");
  call.add_input("x");
  call.add_output("y");
  // Field 8 is NodeProto.overload, whether or not these message classes know it.
  graph->add_node()->ParseFromString(call.SerializeAsString() +
                                     "\x42\x04"
                                     "fast");
  onnx::FunctionProto function;
  function.set_name("half");
  function.set_domain("lib");
  function.add_input("a");
  function.add_output("b");
  function.add_opset_import()->set_version(21);
  onnx::NodeProto* node = function.add_node();
  node->set_op_type("LeakyRelu");
  node->add_input("a");
  node->add_output("b");
  onnx::AttributeProto* alpha = node->add_attribute();
  alpha->set_name("alpha");
  alpha->set_ref_attr_name("slope");
  alpha->set_type(onnx::AttributeProto::FLOAT);
  onnx::AttributeProto slope;
  slope.set_name("slope");
  slope.set_type(onnx::AttributeProto::FLOAT);
  slope.set_f(0.25f);
  const std::string given = slope.SerializeAsString();
  model.add_functions()->ParseFromString(function.SerializeAsString() + "\x5a" +
                                         static_cast<char>(given.size()) + given +
                                         "\x6a\x04"
                                         "fast");
  return model.SerializeAsString();
}

TEST(OnnxFunctionsTest, FunctionsComeOutByteEqual) {
  const Graph graph = ParseModel(FunctionModel(), "", "functions");
  ASSERT_EQ(graph.functions.size(), 1u);
  EXPECT_EQ(graph.functions[0]->Title(), "lib::half:fast");
  EXPECT_EQ(graph.functions[0]->defaults.at("slope").f, 0.25f);
  EXPECT_EQ(FindFunction(graph, graph.node(0)), graph.functions[0].get());
  const onnx::ModelProto before = Proto(FunctionModel()), after = Proto(SerializeModel(graph));
  ASSERT_EQ(after.functions_size(), 1);
  EXPECT_EQ(after.functions(0).SerializeAsString(), before.functions(0).SerializeAsString());
}

// Also what lies in a body: the functions are written as they are, and the file may be gone by then.
TEST(OnnxFunctionsTest, FunctionsTakeTheirExternalDataWithThem) {
  const Folder folder;
  Put(folder / "model/d.bin", std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  onnx::ModelProto model = Proto(FunctionModel());
  onnx::NodeProto* node = model.mutable_functions(0)->add_node();
  node->set_op_type("If");
  node->add_input("a");
  node->add_output("c");
  onnx::AttributeProto* branch = node->add_attribute();
  branch->set_name("then_branch");
  branch->set_type(onnx::AttributeProto::GRAPH);
  onnx::TensorProto constant = Small().graph->initializer(0);
  SetExternal(&constant, {{"location", "d.bin"}});
  branch->mutable_g()->add_initializer()->CopyFrom(constant);
  onnx::NodeProto* inner = branch->mutable_g()->add_node();
  inner->set_op_type("Constant");
  inner->add_output("inner");
  onnx::AttributeProto* value = inner->add_attribute();
  value->set_name("value");
  value->set_type(onnx::AttributeProto::TENSOR);
  value->mutable_t()->CopyFrom(constant);
  branch->mutable_g()->add_output()->set_name("inner");
  const Graph graph = ParseModel(model.SerializeAsString(), folder / "model", "functions");
  const onnx::ModelProto written = Proto(SerializeModel(graph));
  const onnx::GraphProto& body = written.functions(0).node(1).attribute(0).g();
  for (const onnx::TensorProto* each : {&body.initializer(0), &body.node(0).attribute(0).t()}) {
    EXPECT_EQ(each->data_location(), onnx::TensorProto::DEFAULT);
    EXPECT_EQ(each->external_data_size(), 0);
    EXPECT_EQ(each->raw_data().size(), 8u);
  }
}

TEST(OnnxFunctionsTest, InlinedNodesAreWrittenWithTheCallsAttributes) {
  Graph graph = ParseModel(FunctionModel(), "", "functions");
  InlineCalls(&graph);
  DropUnusedFunctions(&graph);
  const onnx::ModelProto model = Proto(SerializeModel(graph));
  EXPECT_EQ(model.functions_size(), 0);
  ASSERT_EQ(model.graph().node_size(), 1);
  ASSERT_EQ(model.graph().node(0).attribute_size(), 1);
  EXPECT_EQ(model.graph().node(0).attribute(0).name(), "alpha");
  EXPECT_EQ(model.graph().node(0).attribute(0).ref_attr_name(), "");
  EXPECT_EQ(model.graph().node(0).attribute(0).f(), 0.25f);
}

}  // namespace
}  // namespace xslim
