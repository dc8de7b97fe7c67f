// What is made of a file, and which files are refused.
#include "base/random.h"
#include "onnx_helper.h"

namespace xslim {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(ReadModelTest, WordsForUnknownSizesAreNoSymbols) {
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

TEST(ReadModelTest, NamesNodesForMessages) {
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_EQ(graph.node(0).name, "Conv_0");
  EXPECT_EQ(graph.node(1).name, "same");
  EXPECT_EQ(graph.node(2).name, "same_2");
  EXPECT_EQ(graph.node(1).inputs[1], kNone);
}

TEST(ReadModelTest, BigConstantsAreNotHeldInSources) {
  const Graph graph = LoadModel(kRoundTrip);
  EXPECT_EQ(graph.node(2).TensorOf("value")->bytes(), 4096u);
  EXPECT_LT(graph.node(2).source.size() + graph.node(2).attributes.at("value").source.size(), 200u);
}

// A printing operator, say, or a call of a function that gives nothing.
TEST(ReadModelTest, ANodeWithoutOutputsHasOneThatIsLeftOut) {
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

TEST(ReadModelTest, InitializersThatAreInputs) {
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

TEST(ReadModelTest, RefusesMalformedGraphs) {
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

TEST(ReadModelTest, RefusesOtherFilesAndVersions) {
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

TEST(ReadModelTest, ModelsOver2GbAreRefusedBeforeTheyAreRead) {
  const Folder folder;
  Put(folder / "model/m.onnx", "");
  fs::resize_file(folder / "model/m.onnx", uintmax_t{3} << 30);  // without blocks on the disk
  EXPECT_THAT(MessageOf([&] { LoadModel(folder / "model/m.onnx"); }), HasSubstr("external data"));
}

// Whatever the bytes, reading ends with a graph or an Error.
TEST(ReadModelTest, SurvivesDamage) {
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
