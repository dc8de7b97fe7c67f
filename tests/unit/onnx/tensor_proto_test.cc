// Tensors in all their storages, dense and sparse.
#include "onnx_helper.h"

namespace xslim {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(TensorProtoTest, ReadsEveryStorageOfTensors) {
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

TEST(TensorProtoTest, RefusesMalformedTensors) {
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

TEST(TensorProtoTest, SparseInitializersBecomeDense) {
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

TEST(TensorProtoTest, SparseConstantsBecomeDense) {
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

TEST(TensorProtoTest, RefusesMalformedSparseInitializers) {
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

}  // namespace
}  // namespace xslim
