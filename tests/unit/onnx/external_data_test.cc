// Elements in files beside the model, read and written.
#include <cstring>

#include "onnx_helper.h"

namespace xslim {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(ExternalDataTest, ReadsExternalData) {
  const Folder folder;
  Put(folder / "model/w.bin", "pad!" + std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  Small s;
  SetExternal(s.w, {{"location", "w.bin"}, {"offset", "4"}, {"length", "8"}});
  Put(folder / "model/m.onnx", s.model.SerializeAsString());
  const Graph graph = LoadModel(folder / "model/m.onnx");
  EXPECT_TRUE(graph.Constant(graph.Find("w"))->SameBytes(Tensor::Of<float>({2}, {1, 2})));
}

// As caches of downloads have it: links with the files' names, and the files in another folder.
TEST(ExternalDataTest, ReadsExternalDataBesideTheFileThatALinkLeadsTo) {
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

TEST(ExternalDataTest, RefusesHostileExternalData) {
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

TEST(ExternalDataTest, WritesExternalDataWhenTheModelIsLarge) {
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

TEST(ExternalDataTest, LargeExternalDataStayInTheirFile) {
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

TEST(ExternalDataTest, AttributesAndBodiesGoIntoTheDataFile) {
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

TEST(ExternalDataTest, LargeConstantsAreWrittenFromWhereTheyLie) {
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

TEST(ExternalDataTest, LargeTensorsStartOnPages) {
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

TEST(ExternalDataTest, DataThatAreReadAreNotWrittenOver) {
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

}  // namespace
}  // namespace xslim
