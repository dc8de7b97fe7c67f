#include "onnx/model_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/random.h"
#include "graph/function.h"
#include "onnx/proto.h"
#include "xslim/error.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const char* const kRoundTrip = TEST_DATA "/round_trip.onnx";

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

onnx::ModelProto Proto(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

// x + w -> y, float [2]; the parts that tests spoil are at hand.
struct Small {
  onnx::ModelProto model;
  onnx::GraphProto* graph = model.mutable_graph();
  onnx::TensorProto* w = graph->add_initializer();
  onnx::NodeProto* node = graph->add_node();

  Small() {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(17);
    graph->set_name("g");
    AddInfo("x", graph->add_input());
    AddInfo("y", graph->add_output());
    w->set_name("w");
    w->add_dims(2);
    w->set_data_type(1);
    w->set_raw_data(std::string("\0\0\x80\x3f\0\0\0\x40", 8));
    node->set_op_type("Add");
    node->add_input("x");
    node->add_input("w");
    node->add_output("y");
  }
  static void AddInfo(const std::string& name, onnx::ValueInfoProto* info) {
    info->set_name(name);
    info->mutable_type()->mutable_tensor_type()->set_elem_type(1);
    info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(2);
  }
  Graph Parse(const std::string& folder = "") const {
    return ParseModel(model.SerializeAsString(), folder, "m.onnx");
  }
  std::string Message(const std::string& folder = "") const {
    return MessageOf([&] { Parse(folder); });
  }
};

class Folder {
 public:
  Folder() {
    path_ = fs::path(testing::TempDir()) /
            (std::string("xslim_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(path_);
    fs::create_directories(path_ / "model");
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

void Put(const std::string& path, const std::string& bytes) {
  OutputFile file(path);
  file.Write(bytes);
  file.Commit();
}

void SetExternal(onnx::TensorProto* tensor, const std::map<std::string, std::string>& entries) {
  tensor->clear_raw_data();
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  tensor->clear_external_data();
  for (const auto& [key, value] : entries) {
    auto* entry = tensor->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
}

TEST(ModelIoTest, UntouchedNodesAndTypesComeOutByteEqual) {
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

TEST(ModelIoTest, WordsForUnknownSizesAreNoSymbols) {
  onnx::ModelProto proto = Proto(ReadFile(kRoundTrip));
  auto* dims =
      proto.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  dims->mutable_dim(0)->set_dim_param("?");
  dims->mutable_dim(1)->set_dim_param("None");
  dims->mutable_dim(2)->set_dim_param("h");
  const Graph graph = ParseModel(proto.SerializeAsString(), "", "words");
  const std::vector<Dim>& read = graph.value(graph.inputs()[0]).dims;
  EXPECT_EQ(read[0].size, -1);
  EXPECT_EQ(read[0].symbol, "");
  EXPECT_EQ(read[1].symbol, "");
  EXPECT_EQ(read[2].symbol, "h");
  const onnx::ModelProto written = Proto(SerializeModel(graph));
  EXPECT_EQ(written.graph().input(0).SerializeAsString(), proto.graph().input(0).SerializeAsString());
}

TEST(ModelIoTest, NamesNodesForMessages) {
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_EQ(graph.node(0).name, "Conv_0");
  EXPECT_EQ(graph.node(1).name, "same");
  EXPECT_EQ(graph.node(2).name, "same_2");
  EXPECT_EQ(graph.node(1).inputs[1], kNone);
}

TEST(ModelIoTest, BigConstantsAreNotHeldInSources) {
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_EQ(graph.node(2).TensorOf("value")->bytes(), 4096u);
  EXPECT_LT(graph.node(2).source.size() + graph.node(2).attributes.at("value").source.size(), 200u);
}

TEST(ModelIoTest, ChangedPartsAreWritten) {
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

TEST(ModelIoTest, FunctionsComeOutByteEqual) {
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
TEST(ModelIoTest, FunctionsTakeTheirExternalDataWithThem) {
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

TEST(ModelIoTest, InlinedNodesAreWrittenWithTheCallsAttributes) {
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

TEST(ModelIoTest, AChangedBodyIsWritten) {
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
TEST(ModelIoTest, BodiesInBodiesAreWrittenInTime) {
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

TEST(ModelIoTest, ReadsEveryStorageOfTensors) {
  auto read = [](int type, std::vector<int64_t> dims, const std::function<void(onnx::TensorProto*)>& fill) {
    onnx::TensorProto proto;
    proto.set_data_type(type);
    for (int64_t dim : dims) proto.add_dims(dim);
    fill(&proto);
    return ParseTensorProto(proto.SerializeAsString());
  };
  const Tensor int4 = read(22, {3}, [](auto* t) { t->set_raw_data("\x78\x03"); });
  EXPECT_EQ(int4.dtype(), DType::kInt4);
  EXPECT_EQ(int4.ToInts(), (std::vector<int64_t>{-8, 7, 3}));
  const Tensor int2 = read(26, {5}, [](auto* t) { t->set_raw_data("\xe4\x02"); });
  EXPECT_EQ(int2.ToInts(), (std::vector<int64_t>{0, 1, -2, -1, -2}));
  EXPECT_EQ(read(25, {3}, [](auto* t) { t->add_int32_data(0x39); }).ToInts(),
            (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(read(21, {2}, [](auto* t) { t->add_int32_data(0xf1); }).ToInts(), (std::vector<int64_t>{1, 15}));
  EXPECT_EQ(read(3, {2}, [](auto* t) { t->add_int32_data(-5), t->add_int32_data(7); }).ToInts(),
            (std::vector<int64_t>{-5, 7}));
  EXPECT_EQ(read(7, {}, [](auto* t) { t->add_int64_data(-9); }).ToInts(), std::vector<int64_t>{-9});
  EXPECT_EQ(read(12, {1}, [](auto* t) { t->add_uint64_data(4000000000u); }).ToInts(),
            std::vector<int64_t>{4000000000});
  EXPECT_EQ(read(10, {1}, [](auto* t) { t->add_int32_data(0x3c00); }).ToFloat32().data<float>()[0], 1.0f);
  EXPECT_EQ(read(8, {1}, [](auto* t) { t->add_string_data("text"); }).strings()[0], "text");
  EXPECT_EQ(read(1, {0, 3}, [](auto*) {}).size(), 0);
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_EQ(graph.Constant(graph.Find("q4"))->ToInts(), (std::vector<int64_t>{-8, 7, 3}));
  const Graph again = ParseModel(SerializeModel(graph), "", "again");
  EXPECT_TRUE(again.Constant(again.Find("q4"))->SameBytes(*graph.Constant(graph.Find("q4"))));
}

TEST(ModelIoTest, RefusesMalformedTensors) {
  Small s;
  s.w->set_dims(0, -2);
  EXPECT_THAT(s.Message(), AllOf(HasSubstr("m.onnx: initializer w"), HasSubstr("negative dimension")));
  s.w->set_dims(0, 3);
  EXPECT_THAT(s.Message(), HasSubstr("has 8 bytes, the shape [3]"));
  s.w->set_dims(0, int64_t{1} << 40);
  s.w->add_dims(int64_t{1} << 40);
  EXPECT_THAT(s.Message(), HasSubstr("too large"));
  s.w->set_data_type(77);
  EXPECT_THAT(s.Message(), HasSubstr("unknown data type 77"));
  EXPECT_THROW(ParseTensorProto("\xff\xff garbage"), Error);
}

// x + w, where w is sparse: `indices` of the values 1, 2, ...
struct Sparse : Small {
  onnx::SparseTensorProto* sparse = graph->add_sparse_initializer();
  Sparse(const Shape& shape, const std::vector<int64_t>& indices, const Shape& indices_shape) {
    graph->clear_initializer();
    for (int64_t dim : shape) sparse->add_dims(dim);
    const int64_t stored = indices_shape.empty() ? 0 : indices_shape[0];
    sparse->mutable_values()->set_name("w");
    sparse->mutable_values()->set_data_type(1);
    sparse->mutable_values()->add_dims(stored);
    for (int64_t i = 1; i <= stored; ++i) sparse->mutable_values()->add_float_data(static_cast<float>(i));
    sparse->mutable_indices()->set_data_type(7);
    for (int64_t dim : indices_shape) sparse->mutable_indices()->add_dims(dim);
    for (int64_t index : indices) sparse->mutable_indices()->add_int64_data(index);
  }
};

TEST(ModelIoTest, SparseInitializersBecomeDense) {
  const Tensor wanted = Tensor::Of<float>({2, 3}, {0, 1, 0, 2, 0, 3});
  Sparse linear({2, 3}, {1, 3, 5}, {3}), rows({2, 3}, {0, 1, 1, 0, 1, 2}, {3, 2}), empty({2}, {}, {0});
  Sparse listed({2, 3}, {1, 3, 5}, {3});
  Small::AddInfo("w", listed.graph->add_input());  // as before IR 4, where it is no input
  listed.model.set_ir_version(3);
  for (Sparse* each : {&linear, &rows, &listed}) {
    const Graph graph = each->Parse();
    EXPECT_TRUE(graph.Constant(graph.Find("w"))->SameBytes(wanted));
    EXPECT_EQ(graph.inputs().size(), 1u);
    const onnx::ModelProto written = Proto(SerializeModel(graph));
    EXPECT_EQ(written.graph().sparse_initializer_size(), 0);
    EXPECT_EQ(written.graph().initializer_size(), 1);
  }
  empty.sparse->clear_indices();
  const Graph zeros = empty.Parse();
  EXPECT_TRUE(zeros.Constant(zeros.Find("w"))->SameBytes(Tensor::Of<float>({2}, {0, 0})));
}

TEST(ModelIoTest, SparseConstantsBecomeDense) {
  Sparse sparse({2, 3}, {1, 3, 5}, {3});
  onnx::NodeProto* node = sparse.graph->add_node();
  node->set_op_type("Constant");
  node->add_output("k");
  onnx::AttributeProto* value = node->add_attribute();
  value->set_name("sparse_value");
  value->set_type(onnx::AttributeProto::SPARSE_TENSOR);
  value->mutable_sparse_tensor()->CopyFrom(*sparse.sparse);
  const Graph graph = sparse.Parse();
  const Node& constant = *graph.Producer(graph.Find("k"));
  ASSERT_NE(constant.TensorOf("value"), nullptr);
  EXPECT_TRUE(constant.TensorOf("value")->SameBytes(Tensor::Of<float>({2, 3}, {0, 1, 0, 2, 0, 3})));
  const onnx::NodeProto written = Proto(SerializeModel(graph)).graph().node(1);
  ASSERT_EQ(written.attribute_size(), 1);
  EXPECT_EQ(written.attribute(0).name(), "value");
  EXPECT_FALSE(written.attribute(0).has_sparse_tensor());
  value->mutable_sparse_tensor()->set_dims(0, 1);
  EXPECT_THAT(sparse.Message(), HasSubstr("attribute sparse_value: index 3 of element 1 is outside"));
}

// A printing operator, say, or a call of a function that gives nothing.
TEST(ModelIoTest, ANodeWithoutOutputsHasOneThatIsLeftOut) {
  Small s;
  s.model.add_opset_import()->set_domain("my");
  onnx::NodeProto* node = s.graph->add_node();
  node->set_op_type("Print");
  node->set_domain("my");
  node->add_input("x");
  Graph graph = s.Parse();
  EXPECT_EQ(graph.node(1).outputs, std::vector<ValueId>{kNone});
  EXPECT_EQ(Proto(SerializeModel(graph)).graph().node(1).op_type(), "Print");
  EXPECT_EQ(graph.RemoveDead(), 1);
}

TEST(ModelIoTest, RefusesMalformedSparseInitializers) {
  EXPECT_THAT(Sparse({2, 3}, {1, 6}, {2}).Message(),
              AllOf(HasSubstr("m.onnx: sparse initializer w"), HasSubstr("index 6 of element 1 is outside")));
  EXPECT_THAT(Sparse({2, 3}, {-1}, {1}).Message(), HasSubstr("index -1 of element 0 is outside"));
  EXPECT_THAT(Sparse({2, 3}, {0, 3}, {1, 2}).Message(), HasSubstr("index 3 of element 0 is outside"));
  EXPECT_THAT(Sparse({2, 3}, {4, 4}, {2}).Message(), HasSubstr("do not rise at element 1"));
  EXPECT_THAT(Sparse({2, 3}, {1, 1, 1}, {1, 3}).Message(),
              HasSubstr("the indices are int64 [1,3], expected int64 [1] or [1,2]"));
  EXPECT_THAT(Sparse({1 << 20, 1 << 20}, {1}, {1}).Message(), HasSubstr("over 2 GiB"));
  Sparse flat({2, 3}, {1}, {1});
  flat.sparse->mutable_values()->add_dims(1);
  EXPECT_THAT(flat.Message(), HasSubstr("the values have the shape [1,1]"));
  Sparse none({2, 3}, {1}, {1});
  none.sparse->clear_indices();
  EXPECT_THAT(none.Message(), HasSubstr("sparse initializer w: indices"));
  Sparse twice({2}, {1}, {1});
  twice.graph->add_initializer()->CopyFrom(Small().graph->initializer(0));
  EXPECT_THAT(twice.Message(), HasSubstr("\"w\" is defined twice"));
}

TEST(ModelIoTest, RefusesMalformedGraphs) {
  {
    Small s;
    s.node->set_input(0, "lost");
    EXPECT_THAT(s.Message(), AllOf(HasSubstr("Add_0[Add]"), HasSubstr("\"lost\" is read and never made")));
  }
  {
    Small s;
    *s.graph->add_node() = *s.node;
    EXPECT_THAT(s.Message(),
                AllOf(HasSubstr("Add_1[Add]"), HasSubstr("\"y\" is made twice"), HasSubstr("Add_0")));
  }
  {
    Small s;
    s.node->set_output(0, "w");
    EXPECT_THAT(s.Message(), HasSubstr("\"w\" is made twice"));
  }
  {
    Small s;
    s.node->set_input(0, "y");
    EXPECT_THAT(s.Message(), HasSubstr("cycle"));
  }
  {
    Small s;
    s.w->clear_name();
    EXPECT_THAT(s.Message(), HasSubstr("initializer without a name"));
  }
  {
    Small s;
    s.graph->mutable_output(0)->set_name("nowhere");
    EXPECT_THAT(s.Message(), HasSubstr("output \"nowhere\" is never made"));
  }
}

TEST(ModelIoTest, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(MessageOf([] { ParseModel("certainly no model", "", "a.txt"); }),
              HasSubstr("a.txt: not an ONNX model"));
  EXPECT_THAT(MessageOf([] { ParseModel("", "", "a.txt"); }), HasSubstr("a.txt: not an ONNX model"));
  EXPECT_THAT(MessageOf([] { LoadModel("/no/such/model.onnx"); }), HasSubstr("/no/such/model.onnx"));
  EXPECT_THROW(LoadModel("/"), Error);
  Small s;
  s.model.mutable_opset_import(0)->set_version(6);
  EXPECT_THAT(s.Message(), AllOf(HasSubstr("opset 6"), HasSubstr("7 to 25")));
  s.model.mutable_opset_import(0)->set_version(26);
  EXPECT_THAT(s.Message(), HasSubstr("opset 26"));
  s.model.mutable_opset_import(0)->set_domain("ai.onnx");
  s.model.mutable_opset_import(0)->set_version(13);
  EXPECT_EQ(s.Parse().opset(), 13);
  s.model.mutable_opset_import(0)->set_domain("com.other");
  EXPECT_THAT(s.Message(), HasSubstr("does not import the default operator set"));
  s.model.set_ir_version(14);
  EXPECT_THAT(s.Message(), HasSubstr("IR version"));
}

TEST(ModelIoTest, InitializersThatAreInputs) {
  Small s;
  Small::AddInfo("w", s.graph->add_input());
  const Graph graph = s.Parse();
  EXPECT_EQ(graph.Constant(graph.Find("w")), nullptr);
  EXPECT_EQ(graph.FreeInputs().size(), 1u);
  EXPECT_EQ(Proto(SerializeModel(graph)).graph().input_size(), 2);
  // Before IR 4 they had to be listed, and were constants.
  s.model.set_ir_version(3);
  const Graph old = s.Parse();
  EXPECT_NE(old.Constant(old.Find("w")), nullptr);
  EXPECT_EQ(Proto(SerializeModel(old)).ir_version(), 4);
}

TEST(ModelIoTest, IrVersionFollowsWhatIsWritten) {
  Small s;
  EXPECT_EQ(Proto(SerializeModel(s.Parse())).ir_version(), 8);
  Graph graph = s.Parse();
  graph.opset_imports[""] = 21;
  EXPECT_EQ(Proto(SerializeModel(graph)).ir_version(), 10);
}

TEST(ModelIoTest, ReadsExternalData) {
  const Folder folder;
  Put(folder / "model/w.bin", "pad!" + std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  Small s;
  SetExternal(s.w, {{"location", "w.bin"}, {"offset", "4"}, {"length", "8"}});
  Put(folder / "model/m.onnx", s.model.SerializeAsString());
  const Graph graph = LoadModel(folder / "model/m.onnx");
  EXPECT_TRUE(graph.Constant(graph.Find("w"))->SameBytes(Tensor::Of<float>({2}, {1, 2})));
}

// As caches of downloads have it: links with the files' names, and the files in another folder.
TEST(ModelIoTest, ReadsExternalDataBesideTheFileThatALinkLeadsTo) {
  const Folder folder;
  fs::create_directories(folder / "blobs");
  Put(folder / "blobs/b", std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  Put(folder / "secret", std::string(8, 'x'));
  Small s;
  SetExternal(s.w, {{"location", "w.bin"}});
  Put(folder / "blobs/a", s.model.SerializeAsString());
  fs::create_directories(folder / "named");
  fs::create_symlink("../blobs/a", folder / "named/m.onnx");
  fs::create_symlink("../blobs/b", folder / "named/w.bin");
  const Graph graph = LoadModel(folder / "named/m.onnx");
  EXPECT_TRUE(graph.Constant(graph.Find("w"))->SameBytes(Tensor::Of<float>({2}, {1, 2})));
  fs::remove(folder / "named/w.bin");
  fs::create_symlink("../secret", folder / "named/w.bin");
  EXPECT_THROW(LoadModel(folder / "named/m.onnx"), Error);
}

TEST(ModelIoTest, RefusesHostileExternalData) {
  const Folder folder;
  Put(folder / "secret", std::string(8, 'x'));
  Put(folder / "model/w.bin", std::string(8, 'x'));
  fs::create_symlink(folder / "secret", folder / "model/link");
  fs::create_directory_symlink(folder / "", folder / "model/up");
  auto message = [&](const std::map<std::string, std::string>& entries) {
    Small s;
    SetExternal(s.w, entries);
    return s.Message(folder / "model");
  };
  EXPECT_EQ(message({{"location", "w.bin"}}), "no error");
  EXPECT_THAT(message({{"location", "../secret"}}), HasSubstr("refused"));
  EXPECT_THAT(message({{"location", folder / "secret"}}), HasSubstr("refused"));
  EXPECT_THAT(message({{"location", "link"}}), HasSubstr("leads out"));
  EXPECT_THAT(message({{"location", "up/secret"}}), HasSubstr("leads out"));
  EXPECT_THAT(message({{"location", "absent"}}), HasSubstr("cannot find external data"));
  EXPECT_THAT(message({{"location", "."}}), HasSubstr("not a file"));
  EXPECT_THAT(message({}), HasSubstr("no location"));
  EXPECT_THAT(message({{"location", "w.bin"}, {"offset", "4"}}), HasSubstr("after the end"));
  EXPECT_THAT(message({{"location", "w.bin"}, {"offset", "9223372036854775807"}}),
              HasSubstr("after the end"));
  EXPECT_THAT(message({{"location", "w.bin"}, {"offset", "-4"}}), HasSubstr("bad offset"));
  EXPECT_THAT(message({{"location", "w.bin"}, {"offset", "99999999999999999999"}}), HasSubstr("bad offset"));
  EXPECT_THAT(message({{"location", "w.bin"}, {"length", "4"}}), HasSubstr("4 bytes long"));
}

TEST(ModelIoTest, WritesExternalDataWhenTheModelIsLarge) {
  const Folder folder;
  Graph graph = LoadModel(kRoundTrip);
  std::vector<float> many(1000, 0.5f);
  const ValueId w = graph.Find("w");
  const Tensor large = Tensor::Of<float>({1000}, many);
  graph.SetConstant(w, large);
  SaveModel(graph, folder / "model/big.onnx", {.largest_file = 6000});
  // The value of the Constant "same", 1 x 4 x 16 x 16 floats, goes there, too.
  EXPECT_EQ(fs::file_size(folder / "model/big.onnx.data"), 4096u + 4000u);
  const Graph again = LoadModel(folder / "model/big.onnx");
  EXPECT_TRUE(again.Constant(again.Find("w"))->SameBytes(large));
  EXPECT_EQ(again.Constant(again.Find("q4"))->size(), 3);
  SaveModel(graph, folder / "model/inline.onnx");
  EXPECT_FALSE(fs::exists(folder / "model/inline.onnx.data"));
}

// `count` floats 0, 1, 2 ... after `skip` bytes.
std::string Floats(size_t count, size_t skip = 0) {
  std::string bytes(skip + 4 * count, '\0');
  for (size_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(i);
    std::memcpy(bytes.data() + skip + 4 * i, &value, 4);
  }
  return bytes;
}

TEST(ModelIoTest, LargeExternalDataStayInTheirFile) {
  const Folder folder;
  constexpr size_t kCount = 50000;
  for (const size_t offset : {size_t{64}, size_t{3}}) {
    Put(folder / "model/w.bin", Floats(kCount, offset));
    Small s;
    s.w->set_dims(0, kCount);
    SetExternal(s.w, {{"location", "w.bin"}, {"offset", std::to_string(offset)}});
    const Graph graph = s.Parse(folder / "model");
    const Tensor& w = *graph.Constant(graph.Find("w"));
    EXPECT_EQ(w.mapped(), offset == 64);  // at 3 no float can be read where it lies
    EXPECT_EQ(w.data<float>()[kCount - 1], static_cast<float>(kCount - 1));
    EXPECT_EQ(graph.data_files, std::vector<std::string>{fs::canonical(folder / "model/w.bin").string()});
    if (offset != 64) continue;
    Tensor mine = w;
    mine.data<float>()[0] = 7;  // in a copy of its own
    EXPECT_FALSE(mine.mapped());
    EXPECT_EQ(w.data<float>()[0], 0.0f);
  }
}

TEST(ModelIoTest, AttributesAndBodiesGoIntoTheDataFile) {
  const Folder folder;
  Graph graph = LoadModel(kRoundTrip);
  const Tensor large = Tensor::Of<float>({3000}, std::vector<float>(3000, 2.5f));
  graph.node(2).attributes["value"] = Attribute::OfTensor(large);
  Graph& body = *graph.node(3).attributes.at("then_branch").graph;
  body.SetConstant(body.Find("k"), large);
  SaveModel(graph, folder / "model/m.onnx", {.external_data = true});
  EXPECT_LT(fs::file_size(folder / "model/m.onnx"), 8000u);
  const Graph again = LoadModel(folder / "model/m.onnx");
  EXPECT_TRUE(again.node(2).TensorOf("value")->SameBytes(large));
  const Graph& read = *again.node(3).attributes.at("then_branch").graph;
  EXPECT_TRUE(read.Constant(read.Find("k"))->SameBytes(large));
  // And back into one file, from the mapped one.
  SaveModel(again, folder / "model/inline.onnx");
  EXPECT_FALSE(fs::exists(folder / "model/inline.onnx.data"));
  EXPECT_TRUE(LoadModel(folder / "model/inline.onnx").node(2).TensorOf("value")->SameBytes(large));
}

TEST(ModelIoTest, LargeConstantsAreWrittenFromWhereTheyLie) {
  const Folder folder;
  Graph graph = LoadModel(kRoundTrip);
  const Tensor large = Tensor::Of<float>({400000}, std::vector<float>(400000, 1.5f));
  graph.node(2).attributes["value"] = Attribute::OfTensor(large);
  SaveModel(graph, folder / "model/m.onnx");
  const Graph again = LoadModel(folder / "model/m.onnx");
  EXPECT_TRUE(again.node(2).TensorOf("value")->SameBytes(large));
  EXPECT_EQ(again.node(2).name, graph.node(2).name);
  EXPECT_EQ(again.value(again.node(2).outputs[0]).name, graph.value(graph.node(2).outputs[0]).name);
}

TEST(ModelIoTest, LargeTensorsStartOnPages) {
  const Folder folder;
  Graph graph = LoadModel(kRoundTrip);
  graph.SetConstant(graph.Find("w"), Tensor::Of<float>({1000}, std::vector<float>(1000, 0.5f)));
  graph.AddConstant("large", Tensor::Of<float>({300000}, std::vector<float>(300000, 0.5f)));
  SaveModel(graph, folder / "model/m.onnx", {.external_data = true});
  const onnx::ModelProto model = Proto(ReadFile(folder / "model/m.onnx"));
  bool seen = false;
  for (const auto& tensor : model.graph().initializer()) {
    for (const auto& entry : tensor.external_data()) {
      if (tensor.name() != "large" || entry.key() != "offset") continue;
      seen = true;
      EXPECT_EQ(std::stoll(entry.value()) % 4096, 0);
    }
  }
  EXPECT_TRUE(seen);
}

TEST(ModelIoTest, DataThatAreReadAreNotWrittenOver) {
  const Folder folder;
  Put(folder / "model/m.onnx.data", Floats(50000));
  Small s;
  s.w->set_dims(0, 50000);
  SetExternal(s.w, {{"location", "m.onnx.data"}});
  const Graph graph = s.Parse(folder / "model");
  const std::string message =
      MessageOf([&] { SaveModel(graph, folder / "model/m.onnx", {.external_data = true}); });
  EXPECT_THAT(message, HasSubstr("overwrite the external data"));
  EXPECT_FALSE(fs::exists(folder / "model/m.onnx"));
  EXPECT_EQ(fs::file_size(folder / "model/m.onnx.data"), 200000u);
  EXPECT_THAT(MessageOf([&] { SaveModel(graph, folder / "model/m.onnx.data"); }), HasSubstr("overwrite"));
}

TEST(ModelIoTest, ModelsOver2GbAreRefusedBeforeTheyAreRead) {
  const Folder folder;
  Put(folder / "model/m.onnx", "");
  fs::resize_file(folder / "model/m.onnx", uintmax_t{3} << 30);  // without blocks on the disk
  EXPECT_THAT(MessageOf([&] { LoadModel(folder / "model/m.onnx"); }), HasSubstr("external data"));
}

// Whatever the bytes, reading ends with a graph or an Error.
TEST(ModelIoTest, SurvivesDamage) {
  const std::string good = ReadFile(kRoundTrip);
  Random random(1);
  int read = 0, refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    if (round % 4 == 0) bytes.resize(random.Below(bytes.size()));
    for (uint64_t hits = random.Below(8); hits > 0 && !bytes.empty(); --hits) {
      const size_t at = random.Below(bytes.size());
      if (random.Below(4) == 0) {
        bytes.erase(at, 1);
      } else {
        bytes[at] = static_cast<char>(random.Next());
      }
    }
    try {
      const Graph graph = ParseModel(bytes, "", "damaged.onnx");
      graph.Validate();
      SerializeModel(graph);
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace xslim
