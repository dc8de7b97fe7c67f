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
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Fields of onnx.proto that the message classes of older libonnx do not have (IR 10).
constexpr uint32_t kNodeOverload = 8, kFunctionDefaults = 11, kFunctionOverload = 13;

constexpr int64_t kFirstOpset = kLowestOpset, kLastOpset = kHighestOpset + 1;
constexpr int64_t kFirstIr = 3, kLastIr = 13, kOverloadIr = 10;

// Models before AttributeProto.type existed tell the kind by the field that is set.
Attribute::Kind KindOf(const onnx::AttributeProto& proto) {
  using Kind = Attribute::Kind;
  if (!proto.ref_attr_name().empty()) return Kind::kOther;
  if (proto.type() != onnx::AttributeProto::UNDEFINED) {
    const int type = proto.type();
    return type >= 1 && type <= 9 ? static_cast<Kind>(type) : Kind::kOther;
  }
  if (proto.has_f()) return Kind::kFloat;
  if (proto.has_i()) return Kind::kInt;
  if (proto.has_s()) return Kind::kString;
  if (proto.has_t()) return Kind::kTensor;
  if (proto.has_g()) return Kind::kGraph;
  if (proto.floats_size()) return Kind::kFloats;
  if (proto.ints_size()) return Kind::kInts;
  if (proto.strings_size()) return Kind::kStrings;
  return Kind::kOther;
}

// A Constant's sparse_value as the value that it stands for.
void FillIn(onnx::AttributeProto* proto, ExternalData* external, const std::string& where) {
  const Tensor dense = ReadSparse(proto->mutable_sparse_tensor(), external, where);
  proto->clear_sparse_tensor();
  proto->set_name("value");
  proto->set_type(onnx::AttributeProto::TENSOR);
  WriteTensor(dense, proto->mutable_t());
}

// Leaves out what Attribute::tensor holds already.
void Shorten(onnx::AttributeProto* proto) {
  if (proto->has_t()) {
    onnx::TensorProto* tensor = proto->mutable_t();
    if (tensor->data_location() == onnx::TensorProto::EXTERNAL) {
      tensor->clear_data_location();
      tensor->clear_external_data();
    }
  }
}

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

// A name for each node: the file's, with a suffix where a node before has it, or the operator's.
std::vector<std::string> UniqueNames(const Nodes& nodes) {
  std::set<std::string> taken;
  std::vector<std::string> names(static_cast<size_t>(nodes.size()));
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = nodes[static_cast<int>(i)].name();
    if (!name.empty() && taken.insert(name).second) names[i] = name;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) continue;
    const onnx::NodeProto& node = nodes[static_cast<int>(i)];
    const std::string stem = (node.name().empty() ? node.op_type() : node.name()) + "_" + std::to_string(i);
    names[i] = stem;
    for (int suffix = 1; !taken.insert(names[i]).second; ++suffix)
      names[i] = stem + "_" + std::to_string(suffix);
  }
  return names;
}

// ONNX Runtime refuses two nodes of one name, in a function that it opens and in bodies there, too.
void MakeNamesUnique(Nodes* nodes) {
  const std::vector<std::string> names = UniqueNames(*nodes);
  for (int i = 0; i < nodes->size(); ++i) {
    onnx::NodeProto& node = *nodes->Mutable(i);
    if (!node.name().empty()) node.set_name(names[static_cast<size_t>(i)]);
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) MakeNamesUnique(attribute.mutable_g()->mutable_node());
    }
  }
}

class GraphReader {
 public:
  GraphReader(onnx::GraphProto* proto, ExternalData* external, const std::string& where, Graph* graph)
      : proto_(*proto), external_(external), where_(where), graph_(*graph) {}

  void Read() {
    graph_.name = proto_.name();
    graph_.doc = proto_.doc_string();
    ReadInputs();
    ReadInitializers();
    const std::vector<std::string> names = UniqueNames(proto_.node());
    for (int i = 0; i < proto_.node_size(); ++i)
      ReadNode(proto_.mutable_node(i), names[static_cast<size_t>(i)]);
    for (const auto& info : proto_.output()) ReadOutput(info);
    for (const auto& info : proto_.value_info()) {
      const ValueId id = graph_.Find(info.name());
      if (id == kNone || graph_.value(id).is_input || graph_.value(id).is_output) continue;
      Value& value = graph_.value(id);
      if (!value.constant.defined()) ReadType(info, &value);
      value.source = info.SerializeAsString();
    }
    proto_.clear_node();
    proto_.clear_name();
    proto_.clear_doc_string();
    proto_.clear_initializer();
    proto_.clear_sparse_initializer();
    proto_.clear_input();
    proto_.clear_output();
    proto_.clear_value_info();
    graph_.graph_source = proto_.SerializeAsString();
    graph_.Order();
  }

  // For the outermost graph: nothing may be captured from outside.
  void CheckDefined() const {
    auto known = [this](ValueId id) {
      if (id == kNone) return false;
      const Value& value = graph_.value(id);
      return value.producer != kNone || value.is_input || value.constant.defined();
    };
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.node_slots()); ++id) {
      const Node& node = graph_.node(id);
      for (ValueId input : node.inputs) {
        if (input == kNone || known(input)) continue;
        throw Error("tensor \"" + graph_.value(input).name + "\" is read and never made.", At(node));
      }
      for (const auto& [key, attribute] : node.attributes) {
        if (!attribute.graph) continue;
        for (const std::string& name : attribute.graph->FreeNames()) {
          if (known(graph_.Find(name))) continue;
          throw Error("tensor \"" + name + "\" is read in the body " + key + " and never made.", At(node));
        }
      }
    }
    for (ValueId id : graph_.outputs()) {
      if (!known(id)) throw Error("output \"" + graph_.value(id).name + "\" is never made.", where_);
    }
  }

 private:
  std::string At(const Node& node) const { return where_ + ": node " + node.Title(); }

  ValueId Add(const std::string& name, const char* what) {
    if (name.empty()) throw Error(std::string(what) + " without a name.", where_);
    if (graph_.Find(name) != kNone) {
      throw Error(std::string(what) + " \"" + name + "\" is defined twice.", where_);
    }
    return graph_.AddValue(name);
  }

  void ReadInputs() {
    std::set<std::string> constants;
    // Before IR 4 every initializer had to be listed as an input and was a constant all the same.
    if (graph_.ir_version < 4) {
      for (const auto& tensor : proto_.initializer()) constants.insert(tensor.name());
      for (const auto& sparse : proto_.sparse_initializer()) constants.insert(sparse.values().name());
    }
    for (const auto& info : proto_.input()) {
      if (constants.count(info.name())) continue;
      Value& value = graph_.value(Add(info.name(), "input"));
      ReadType(info, &value);
      value.source = info.SerializeAsString();
      graph_.AddInput(value.id);
    }
  }

  void ReadInitializers() {
    for (auto& tensor : *proto_.mutable_initializer()) {
      const ValueId id = ValueOf(tensor.name(), "initializer");
      graph_.SetConstant(id, ReadTensor(&tensor, external_, where_ + ": initializer " + tensor.name()));
    }
    for (auto& sparse : *proto_.mutable_sparse_initializer()) {
      const std::string name = sparse.values().name();
      const ValueId id = ValueOf(name, "sparse initializer");
      graph_.SetConstant(id, ReadSparse(&sparse, external_, where_ + ": sparse initializer " + name));
    }
  }

  // A new one, or the input whose default the initializer is.
  ValueId ValueOf(const std::string& name, const char* what) {
    const ValueId id = graph_.Find(name);
    return id == kNone || graph_.value(id).constant.defined() ? Add(name, what) : id;
  }

  void ReadNode(onnx::NodeProto* proto, const std::string& name) {
    const std::string at = where_ + ": node " + name + "[" + proto->op_type() + "]";
    if (proto->op_type().empty()) throw Error("node without an operator type.", at);
    std::vector<ValueId> inputs, outputs;
    for (const std::string& input : proto->input()) {
      ValueId id = input.empty() ? kNone : graph_.Find(input);
      if (id == kNone && !input.empty()) id = graph_.AddValue(input);
      inputs.push_back(id);
    }
    std::set<std::string> own;
    for (const std::string& output : proto->output()) {
      ValueId id = output.empty() ? kNone : graph_.Find(output);
      if (id == kNone && !output.empty()) id = graph_.AddValue(output);
      if (id != kNone) {
        const Value& value = graph_.value(id);
        const bool fixed = value.is_input || value.constant.defined();
        if (fixed || value.producer != kNone || !own.insert(output).second) {
          throw Error("tensor \"" + output + "\" is made twice.", at,
                      fixed                     ? "it is an input or initializer"
                      : value.producer == kNone ? ""
                                                : "also by " + graph_.node(value.producer).Title());
        }
      }
      outputs.push_back(id);
    }
    // A function may give nothing. Everything else counts on an output 0.
    if (outputs.empty()) outputs.push_back(kNone);
    std::map<std::string, Attribute> attributes;
    for (auto& attribute : *proto->mutable_attribute()) {
      if (attribute.name().empty()) throw Error("attribute without a name.", at);
      if (attribute.name() == "sparse_value" && attribute.has_sparse_tensor() &&
          proto->op_type() == "Constant" && NormalDomain(proto->domain()).empty())
        FillIn(&attribute, external_, at + ": attribute sparse_value");
      Attribute read = ReadAttribute(&attribute, external_, at + ": attribute " + attribute.name(), graph_);
      if (!attributes.emplace(attribute.name(), std::move(read)).second) {
        throw Error("attribute " + attribute.name() + " is given twice.", at);
      }
    }
    const NodeId id = graph_.AddNode(proto->op_type(), name, std::move(inputs), std::move(outputs),
                                     std::move(attributes), NormalDomain(proto->domain()));
    Node& node = graph_.node(id);
    if (proto->name() == name || proto->name().empty()) {
      node.read_name = node.name;
    } else {
      node.shared_name = proto->name();  // ONNX Runtime refuses two nodes of one name: the new one is written
    }
    node.source = proto->SerializeAsString();
    if (graph_.ir_version >= kOverloadIr) {
      for (std::string& overload : FieldsOf(node.source, kNodeOverload)) node.overload = std::move(overload);
    }
  }

  void ReadOutput(const onnx::ValueInfoProto& info) {
    if (info.name().empty()) throw Error("output without a name.", where_);
    ValueId id = graph_.Find(info.name());
    if (id == kNone) id = graph_.AddValue(info.name());
    Value& value = graph_.value(id);
    if (!value.is_input && !value.constant.defined()) ReadType(info, &value);
    if (!value.is_input) value.source = info.SerializeAsString();
    graph_.AddOutput(id);
  }

  onnx::GraphProto& proto_;
  ExternalData* const external_;
  const std::string& where_;
  Graph& graph_;
};

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
void LoadExternal(Nodes* nodes, ExternalData* external, const std::string& where) {
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
  GraphReader reader(&body, external, where, &function->body);
  reader.Read();
  reader.CheckDefined();
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
  GraphReader reader(model.mutable_graph(), &external, label, &graph);
  reader.Read();
  reader.CheckDefined();
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

// What some writers put for every size that is not known; such sizes are not equal.
bool IsNoSymbol(const std::string& text) { return text == "?" || text == "None" || text == "-1"; }

}  // namespace

std::vector<std::string> FieldsOf(const std::string& message, uint32_t field) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  std::vector<std::string> found;
  for (uint32_t tag = in.ReadTag(); tag != 0; tag = in.ReadTag()) {
    constexpr uint32_t kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5;
    const uint32_t type = tag & 7;
    uint64_t number = 0;
    uint32_t bits = 0, length = 0;
    bool good = false;
    if (type == kVarint) good = in.ReadVarint64(&number);
    if (type == kFixed64) good = in.ReadLittleEndian64(&number);
    if (type == kFixed32) good = in.ReadLittleEndian32(&bits);
    if (type == kLengthDelimited && in.ReadVarint32(&length)) {
      if (tag >> 3 == field) {
        found.emplace_back();
        good = in.ReadString(&found.back(), static_cast<int>(length));
      } else {
        good = in.Skip(static_cast<int>(length));
      }
    }
    if (!good) break;
  }
  return found;
}

void ReadType(const onnx::ValueInfoProto& proto, Value* value) {
  if (!proto.type().has_tensor_type()) return;
  const auto& type = proto.type().tensor_type();
  const bool known = type.elem_type() > 0 && type.elem_type() <= static_cast<int>(DType::kInt2);
  value->dtype = known ? static_cast<DType>(type.elem_type()) : DType::kUndefined;
  value->has_shape = type.has_shape();
  value->dims.clear();
  for (const auto& dim : type.shape().dim()) {
    // Some writers put -1 for a size that is not known.
    const bool sized = dim.has_dim_value() && dim.dim_value() >= 0;
    value->dims.push_back({sized ? dim.dim_value() : -1, IsNoSymbol(dim.dim_param()) ? "" : dim.dim_param()});
  }
}

Attribute ReadAttribute(onnx::AttributeProto* proto, ExternalData* external, const std::string& where,
                        const Graph& outer) {
  using Kind = Attribute::Kind;
  Attribute read;
  read.kind = KindOf(*proto);
  read.reference = proto->ref_attr_name();
  switch (read.kind) {
    case Kind::kFloat:
      read.f = proto->f();
      break;
    case Kind::kInt:
      read.i = proto->i();
      break;
    case Kind::kString:
      read.s = proto->s();
      break;
    case Kind::kFloats:
      read.floats.assign(proto->floats().begin(), proto->floats().end());
      break;
    case Kind::kInts:
      read.ints.assign(proto->ints().begin(), proto->ints().end());
      break;
    case Kind::kStrings:
      read.strings.assign(proto->strings().begin(), proto->strings().end());
      break;
    case Kind::kTensor: {
      onnx::TensorProto* tensor = proto->mutable_t();
      const bool small = tensor->ByteSizeLong() <= kLargestSourceTensor;
      onnx::TensorProto copy;
      if (small) copy = *tensor;
      read.tensor = ReadTensor(small ? &copy : tensor, external, where);
      break;
    }
    case Kind::kGraph: {
      // Reading takes messages apart; the source keeps a small body whole and a large one not at all.
      onnx::GraphProto body;
      if (proto->ByteSizeLong() > kLargestSourceGraph) {
        body.Swap(proto->mutable_g());
        proto->clear_g();
      } else {
        body = proto->g();
      }
      read.graph = std::make_shared<Graph>();
      read.graph->opset_imports = outer.opset_imports;
      read.graph->ir_version = outer.ir_version;
      ReadGraph(&body, external, where, read.graph.get());
      break;
    }
    default:
      break;
  }
  Shorten(proto);
  read.source = proto->SerializeAsString();
  return read;
}

void ReadGraph(onnx::GraphProto* proto, ExternalData* external, const std::string& where, Graph* graph) {
  GraphReader(proto, external, where, graph).Read();
}

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
