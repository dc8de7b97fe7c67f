// A model's file: the message as a stream, versions, functions.
#include <google/protobuf/io/zero_copy_stream.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "onnx/proto.h"
#include "onnx/read_graph.h"
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Fields of onnx.proto that the message classes of older libonnx do not have (IR 10).
constexpr uint32_t kFunctionDefaults = 11, kFunctionOverload = 13;

constexpr int64_t kFirstOpset = kLowestOpset, kLastOpset = kHighestOpset + 1;
constexpr int64_t kFirstIr = 3, kLastIr = 13;

// ONNX Runtime refuses two nodes of one name, in a function that it opens and in bodies there, too.
void MakeNamesUnique(NodeProtos* nodes) {
  const std::vector<std::string> names = UniqueNames(*nodes);
  for (int i = 0; i < nodes->size(); ++i) {
    onnx::NodeProto& node = *nodes->Mutable(i);
    if (!node.name().empty()) node.set_name(names[static_cast<size_t>(i)]);
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) MakeNamesUnique(attribute.mutable_g()->mutable_node());
    }
  }
}

void ReadOpsets(const onnx::ModelProto& model, const std::string& label, Graph* graph) {
  for (const auto& import : model.opset_import()) {
    const std::string domain = NormalDomain(import.domain());
    const auto [at, added] = graph->opset_imports.emplace(domain, import.version());
    if (!added && at->second != import.version()) {
      throw Error("operator set \"" + import.domain() + "\" is imported in two versions.", label);
    }
  }
  const auto at = graph->opset_imports.find("");
  if (at == graph->opset_imports.end()) {
    throw Error("the model does not import the default operator set.", label,
                "opset_import of domain \"\" expected");
  }
  if (at->second < kFirstOpset || at->second > kLastOpset) {
    throw Error("opset " + std::to_string(at->second) + " is not supported.", label,
                StrCat("supported are opsets ", kFirstOpset, " to ", kLastOpset,
                       ": export the model with one of these, or convert it by onnx.version_converter"));
  }
}

void LoadExternal(onnx::TensorProto* proto, ExternalData* external, const std::string& where) {
  if (proto->data_location() != onnx::TensorProto::EXTERNAL) return;
  onnx::TensorProto copy = *proto;
  WriteTensor(ReadTensor(&copy, external, where), proto);
}

// Elements that lie in other files come into the function's message, those of bodies in it, too: it is
// written as it is.
void LoadExternal(NodeProtos* nodes, ExternalData* external, const std::string& where) {
  for (onnx::NodeProto& node : *nodes) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      const std::string at = where + ": attribute " + attribute.name();
      if (attribute.has_t()) LoadExternal(attribute.mutable_t(), external, at);
      if (!attribute.has_g()) continue;
      for (onnx::TensorProto& constant : *attribute.mutable_g()->mutable_initializer())
        LoadExternal(&constant, external, at + ": initializer " + constant.name());
      LoadExternal(attribute.mutable_g()->mutable_node(), external, at);
    }
  }
}

std::shared_ptr<const Function> ReadFunction(onnx::FunctionProto* proto, ExternalData* external,
                                             const std::string& label, const Graph& model) {
  auto function = std::make_shared<Function>();
  function->domain = NormalDomain(proto->domain());
  function->name = proto->name();
  const std::string where = label + ": function " + function->Title();
  if (function->name.empty()) throw Error("a function without a name.", where);
  LoadExternal(proto->mutable_node(), external, where);
  MakeNamesUnique(proto->mutable_node());
  function->source = proto->SerializeAsString();
  for (std::string& overload : FieldsOf(function->source, kFunctionOverload)) {
    function->overload = std::move(overload);
  }
  for (const std::string& bytes : FieldsOf(function->source, kFunctionDefaults)) {
    onnx::AttributeProto attribute;
    if (!attribute.ParseFromString(bytes)) throw Error("damaged default of an attribute.", where);
    function->defaults[attribute.name()] =
        ReadAttribute(&attribute, external, where + ": attribute " + attribute.name(), model);
  }
  onnx::GraphProto body;
  body.set_name(function->name);
  for (const std::string& name : proto->input()) body.add_input()->set_name(name);
  for (const std::string& name : proto->output()) body.add_output()->set_name(name);
  body.mutable_node()->Swap(proto->mutable_node());
  function->body.ir_version = model.ir_version;
  for (const auto& import : proto->opset_import()) {
    function->body.opset_imports.emplace(NormalDomain(import.domain()), import.version());
  }
  ReadGraph(&body, external, where, &function->body);
  CheckDefined(function->body, where);
  return function;
}

void ReadFunctions(onnx::ModelProto* model, ExternalData* external, const std::string& label, Graph* graph) {
  std::set<std::string> titles;
  for (auto& proto : *model->mutable_functions()) {
    graph->functions.push_back(ReadFunction(&proto, external, label, *graph));
    const std::string title = graph->functions.back()->Title();
    if (!titles.insert(title).second) throw Error("function " + title + " is defined twice.", label);
  }
  CheckFunctions(*graph);
  // One in the default domain would stand before the operator of its name, which nothing after this expects.
  InlineCalls(graph, [](const Function& function, const Node&) { return function.domain.empty(); });
}

// Bytes in memory as a stream; pages of a mapped file are given back as soon as they were read.
class Bytes : public google::protobuf::io::ZeroCopyInputStream {
 public:
  Bytes(const char* data, size_t size, bool mapped) : data_(data), size_(size), mapped_(mapped) {}

  bool Next(const void** data, int* size) override {
    constexpr size_t kChunk = 4 << 20;
    if (mapped_) ForgetMapped(data_ + begin_, at_ - begin_);
    if (at_ == size_) return false;
    begin_ = at_;
    at_ = std::min(size_, at_ + kChunk);
    *data = data_ + begin_;
    *size = static_cast<int>(at_ - begin_);
    return true;
  }
  void BackUp(int count) override { at_ -= static_cast<size_t>(count); }
  bool Skip(int count) override {
    const bool inside = static_cast<size_t>(count) <= size_ - at_;
    at_ = inside ? at_ + static_cast<size_t>(count) : size_;
    return inside;
  }
  int64_t ByteCount() const override { return static_cast<int64_t>(at_); }

 private:
  const char* const data_;
  const size_t size_;
  const bool mapped_;
  size_t begin_ = 0, at_ = 0;
};

constexpr char kWhole[] =
    "copy, download or export the .onnx file again, and compare its size with the original's";

// What to do about a file that is no model, by how it begins.
std::string Advice(const char* bytes, size_t size) {
  std::string_view begin(bytes, std::min<size_t>(size, 64));
  begin.remove_prefix(std::min(begin.find_first_not_of(" \t\r\n"), begin.size()));
  if (begin.starts_with("{") || begin.starts_with("//")) return "a JSON configuration goes to -c";
  if (begin.starts_with("version https://git-lfs"))
    return "it is a pointer of Git LFS: get the file itself by git lfs pull";
  if (begin.starts_with("<!") || begin.starts_with("<html"))
    return "it is a web page: take the address of the file itself, on GitHub that of Raw";
  // A PyTorch file is an archive, too.
  if (begin.starts_with("PK\x03\x04") && begin.find("/data.pkl") != begin.npos)
    return "it is a PyTorch file: export the model by torch.onnx.export";
  if (begin.substr(std::min<size_t>(4, begin.size())).starts_with("TFL3"))
    return "it is a TensorFlow Lite model: convert the model that it was made from to ONNX";
  if (begin.starts_with("\x1f\x8b") || begin.starts_with("PK\x03\x04"))
    return "it is compressed: unpack it first";
  return kWhole;
}

Graph ReadModel(const char* bytes, size_t size, bool mapped, const DataFolders& folders,
                const std::string& label) {
  if (size > static_cast<size_t>(std::numeric_limits<int>::max())) {
    throw Error("the model file is over 2 GB, which no reader of protobuf messages can read.", label,
                "save the model with external data");
  }
  if (size == 0) throw Error("not an ONNX model (the file is empty).", label, kWhole);
  onnx::ModelProto model;
  Bytes stream(bytes, size, mapped);
  if (!model.ParseFromZeroCopyStream(&stream)) {
    throw Error("not an ONNX model (damaged, cut off or of another format).", label, Advice(bytes, size));
  }
  if (!model.has_graph()) throw Error("not an ONNX model (it holds no graph).", label, kWhole);
  if (model.ir_version() < kFirstIr || model.ir_version() > kLastIr) {
    throw Error("IR version " + std::to_string(model.ir_version()) + " is not supported.", label,
                StrCat("supported are IR versions ", kFirstIr, " to ", kLastIr,
                       ": save the model with one of these (ir_version of onnx.helper.make_model)"));
  }
  Graph graph;
  graph.ir_version = model.ir_version();
  ReadOpsets(model, label, &graph);
  for (const auto& entry : model.metadata_props()) graph.metadata[entry.key()] = entry.value();
  ExternalData external(folders);
  ReadGraph(model.mutable_graph(), &external, label, &graph);
  CheckDefined(graph, label);
  ReadFunctions(&model, &external, label, &graph);
  graph.data_files = external.files();
  model.clear_graph();
  model.clear_functions();
  model.clear_ir_version();
  model.clear_opset_import();
  model.clear_metadata_props();
  graph.model_source = model.SerializeAsString();
  return graph;
}

}  // namespace

Graph ParseModel(const std::string& bytes, const std::string& folder, const std::string& label) {
  return ReadModel(bytes.data(), bytes.size(), false, {folder}, label);
}

Graph LoadModel(const std::string& path) {
  const MappedFile file(path);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  const std::filesystem::path linked = std::filesystem::canonical(path, ignored).parent_path();
  return ReadModel(file.data(), file.size(), true, {folder.empty() ? "." : folder.string(), linked.string()},
                   path);
}

}  // namespace xslim
