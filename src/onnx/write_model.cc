#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "onnx/proto.h"
#include "onnx/rope.h"
#include "xslim/error.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

// Field numbers of onnx.proto; all of these are length-delimited.
constexpr uint32_t kModelGraph = 7, kModelFunctions = 25, kGraphNode = 1, kGraphName = 2,
                   kGraphInitializer = 5, kGraphDoc = 10, kGraphInput = 11, kGraphOutput = 12,
                   kGraphValueInfo = 13, kTensorRawData = 9, kNodeAttribute = 5, kAttributeTensor = 5;
// Small tensors stay in the model; large ones start on a page, so that they can be mapped.
constexpr size_t kSmallestExternal = 1024, kSmallestPaged = 1 << 20, kAlignment = 64, kPage = 4096;

// The data file beside a model.
class External {
 public:
  explicit External(std::string location) : location_(std::move(location)) {}

  // Puts the elements into the file if they are large enough, and tells the message where.
  bool Take(const Tensor& tensor, onnx::TensorProto* proto) {
    if (tensor.dtype() == DType::kString || tensor.bytes() < kSmallestExternal) return false;
    std::string storage;
    const std::string_view raw = RawData(tensor, &storage);
    const size_t length = raw.size(), alignment = length >= kSmallestPaged ? kPage : kAlignment;
    const size_t offset = (data_.size() + alignment - 1) / alignment * alignment;
    data_.Add(std::string(offset - data_.size(), '\0'));
    if (storage.empty()) {
      data_.Add(tensor);
    } else {
      data_.Add(std::move(storage));
    }
    WriteTensorHead(tensor, proto);
    const std::pair<const char*, std::string> entries[] = {
        {"location", location_}, {"offset", std::to_string(offset)}, {"length", std::to_string(length)}};
    for (const auto& [key, text] : entries) {
      auto* entry = proto->add_external_data();
      entry->set_key(key);
      entry->set_value(text);
    }
    proto->set_data_location(onnx::TensorProto::EXTERNAL);
    return true;
  }
  const Rope& data() const { return data_; }

 private:
  std::string location_;
  Rope data_;
};

// fresh: the graph was read just now and no attribute has changed. Bodies in bodies are looked at once then.
Rope GraphRope(const Graph& graph, External* external, bool fresh = false);
std::string GraphBytes(const Graph& graph, External* external = nullptr, bool fresh = false) {
  return GraphRope(graph, external, fresh).Text();
}

bool SameBits(float a, float b) {
  return std::equal(reinterpret_cast<char*>(&a), reinterpret_cast<char*>(&a + 1),
                    reinterpret_cast<char*>(&b));
}

// Whether a node's name is not the file's, which another node has.
bool HasRenamed(const Graph& graph) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (!graph.alive(id)) continue;
    if (!graph.node(id).shared_name.empty()) return true;
    for (const auto& [name, attribute] : graph.node(id).attributes) {
      if (attribute.graph && HasRenamed(*attribute.graph)) return true;
    }
  }
  return false;
}

// Whether the proto still says what the attribute holds; `outer` gives bodies their opsets. body: becomes
// that of the attribute, in bytes, where it had to be compared.
bool Matches(const onnx::AttributeProto& proto, const Attribute& attribute, const Graph& outer,
             std::string* body) {
  onnx::AttributeProto copy = proto;
  Attribute read;
  ExternalData none({});
  try {
    read = ReadAttribute(&copy, &none, "attribute " + proto.name(), outer);
  } catch (const Error&) {
    return false;  // a body with external data: its elements are known to the attribute alone
  }
  if (read.kind != attribute.kind || read.reference != attribute.reference || read.i != attribute.i ||
      !SameBits(read.f, attribute.f) || read.s != attribute.s || read.ints != attribute.ints ||
      read.strings != attribute.strings || read.floats.size() != attribute.floats.size()) {
    return false;
  }
  for (size_t i = 0; i < read.floats.size(); ++i) {
    if (!SameBits(read.floats[i], attribute.floats[i])) return false;
  }
  if (read.kind == Attribute::Kind::kTensor) return read.tensor.SameBytes(attribute.tensor);
  if (read.kind != Attribute::Kind::kGraph) return true;
  if (!attribute.graph || HasRenamed(*attribute.graph)) return false;
  *body = GraphBytes(*attribute.graph);
  return GraphBytes(*read.graph, nullptr, true) == *body;
}

// Writes name, type and contents, over what the proto held; fields that we do not model stay. body: that of
// the attribute, where it is known.
void WriteAttribute(const std::string& name, const Attribute& attribute, External* external,
                    onnx::AttributeProto* proto, const std::string& body = "") {
  using Kind = Attribute::Kind;
  if (attribute.kind == Kind::kOther || attribute.kind == Kind::kTensors || attribute.kind == Kind::kGraphs) {
    proto->ParseFromString(attribute.source);
    proto->set_name(name);  // another one where a call's attribute has come into a function's body
    return;
  }
  if (!attribute.reference.empty()) {
    proto->Clear();
    proto->set_name(name);
    proto->set_ref_attr_name(attribute.reference);
    proto->set_type(static_cast<onnx::AttributeProto::AttributeType>(attribute.kind));
    return;
  }
  proto->clear_ref_attr_name();
  if (proto->type() != static_cast<int>(attribute.kind)) proto->Clear();
  proto->set_name(name);
  proto->set_type(static_cast<onnx::AttributeProto::AttributeType>(attribute.kind));
  switch (attribute.kind) {
    case Kind::kFloat:
      proto->set_f(attribute.f);
      break;
    case Kind::kInt:
      proto->set_i(attribute.i);
      break;
    case Kind::kString:
      proto->set_s(attribute.s);
      break;
    case Kind::kTensor:
      if (!external || !external->Take(attribute.tensor, proto->mutable_t()))
        WriteTensor(attribute.tensor, proto->mutable_t());
      break;
    case Kind::kGraph:
      proto->mutable_g()->ParseFromString(body.empty() ? GraphBytes(*attribute.graph, external) : body);
      break;
    case Kind::kFloats:
      proto->mutable_floats()->Assign(attribute.floats.begin(), attribute.floats.end());
      break;
    case Kind::kInts:
      proto->mutable_ints()->Assign(attribute.ints.begin(), attribute.ints.end());
      break;
    case Kind::kStrings:
      proto->mutable_strings()->Assign(attribute.strings.begin(), attribute.strings.end());
      break;
    default:
      throw Error("attribute " + name + " has no value.");
  }
}

// Whether there may be elements in the attribute that go into a data file.
bool HoldsTensors(const Attribute& attribute) {
  return attribute.graph ||
         (attribute.kind == Attribute::Kind::kTensor && attribute.tensor.dtype() != DType::kString &&
          attribute.tensor.bytes() >= kSmallestExternal);
}

// Whether ReadAttribute took the contents out of the kept source.
bool IsShortened(const onnx::AttributeProto& proto, const Attribute& attribute) {
  if (attribute.kind == Attribute::Kind::kGraph) return !proto.has_g();
  return attribute.kind == Attribute::Kind::kTensor && attribute.tensor.size() > 0 && HasNoData(proto.t());
}

// Makes the attributes of a message those of the node, in the order of the file; returns whether any changed.
bool WriteAttributes(const Graph& graph, const Node& node, External* external, bool fresh,
                     onnx::NodeProto* proto) {
  bool changed = false;
  std::set<std::string> written;
  for (int i = 0; i < proto->attribute_size();) {
    onnx::AttributeProto* old = proto->mutable_attribute(i);
    const auto at = node.attributes.find(old->name());
    if (at == node.attributes.end()) {
      proto->mutable_attribute()->DeleteSubrange(i, 1);
      changed = true;
      continue;
    }
    written.insert(at->first);
    const bool moves = external && HoldsTensors(at->second);
    std::string body;
    if (moves || IsShortened(*old, at->second) || !(fresh || Matches(*old, at->second, graph, &body))) {
      WriteAttribute(at->first, at->second, external, old, body);
      changed = true;
    }
    ++i;
  }
  for (const auto& [name, attribute] : node.attributes) {
    if (written.count(name)) continue;
    WriteAttribute(name, attribute, external, proto->add_attribute());
    changed = true;
  }
  return changed;
}

std::vector<std::string> NamesOf(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (ValueId id : ids) names.push_back(id == kNone ? "" : graph.value(id).name);
  return names;
}

// Gives a list of names to a message; optional ones at the end are left out. Returns whether it changed.
template <typename Field>
bool WriteNames(std::vector<std::string> names, Field* field) {
  if (std::equal(names.begin(), names.end(), field->begin(), field->end())) return false;
  while (!names.empty() && names.back().empty()) names.pop_back();
  field->Assign(names.begin(), names.end());
  return true;
}

// A Constant's message without its elements, which follow as they lie; the message of a large tensor needs no
// copy of it then.
Rope ConstantRope(const Node& node, onnx::NodeProto proto) {
  const Tensor& tensor = node.attributes.at("value").tensor;
  onnx::TensorProto head;
  WriteTensorHead(tensor, &head);
  Rope elements;
  elements.Add(head.SerializeAsString());
  elements.Add(FieldHead(kTensorRawData, tensor.bytes()));
  elements.Add(tensor);
  onnx::AttributeProto named;
  named.set_name("value");
  named.set_type(onnx::AttributeProto::TENSOR);
  Rope value;
  value.Add(named.SerializeAsString());
  value.AddField(kAttributeTensor, std::move(elements));
  proto.set_op_type(node.op_type);
  proto.clear_attribute();
  Rope rope;
  rope.Add(proto.SerializeAsString());
  rope.AddField(kNodeAttribute, std::move(value));
  return rope;
}

// Whether the node is a Constant with nothing but a tensor worth the trouble.
bool IsLargeConstant(const Node& node) {
  const Tensor* tensor =
      node.Is("Constant") && node.attributes.size() == 1 ? node.TensorOf("value") : nullptr;
  std::string storage;
  return tensor && tensor->dtype() != DType::kString && tensor->bytes() >= kSmallestPaged &&
         RawData(*tensor, &storage).data() == reinterpret_cast<const char*>(tensor->raw());
}

Rope NodeRope(const Graph& graph, const Node& node, External* external, bool fresh = false) {
  Rope rope;
  onnx::NodeProto proto;
  proto.ParseFromString(node.source);
  bool changed = node.source.empty();
  if ((node.source.empty() || node.name != node.read_name) && proto.name() != node.name) {
    proto.set_name(node.name);
    changed = true;
  }
  if (proto.op_type() != node.op_type) {
    proto.set_op_type(node.op_type);
    changed = true;
  }
  if (NormalDomain(proto.domain()) != node.domain) {
    proto.set_domain(node.domain);
    changed = true;
  }
  changed |= WriteNames(NamesOf(graph, node.inputs), proto.mutable_input());
  changed |= WriteNames(NamesOf(graph, node.outputs), proto.mutable_output());
  if (!external && IsLargeConstant(node)) return ConstantRope(node, std::move(proto));
  try {
    changed |= WriteAttributes(graph, node, external, fresh, &proto);
  } catch (const Error& error) {
    throw Error(error.what(), "node " + node.Title());
  }
  rope.Add(changed ? proto.SerializeAsString() : node.source);
  return rope;
}

std::string ValueBytes(const Value& value) {
  onnx::ValueInfoProto proto;
  proto.ParseFromString(value.source);
  bool changed = value.source.empty();
  if (proto.name() != value.name) {
    proto.set_name(value.name);
    changed = true;
  }
  Value read;
  ReadType(proto, &read);
  const bool same =
      read.dtype == value.dtype && read.has_shape == value.has_shape &&
      std::equal(read.dims.begin(), read.dims.end(), value.dims.begin(), value.dims.end(),
                 [](const Dim& a, const Dim& b) { return a.size == b.size && a.symbol == b.symbol; });
  // A value without a known element type keeps the type of its source (a sequence, a map, an optional).
  if (!same && value.dtype != DType::kUndefined) {
    auto* type = proto.mutable_type()->mutable_tensor_type();
    type->set_elem_type(static_cast<int>(value.dtype));
    type->clear_shape();
    if (value.has_shape) {
      type->mutable_shape();
      for (const Dim& dim : value.dims) {
        auto* out = type->mutable_shape()->add_dim();
        if (!dim.symbol.empty()) {
          out->set_dim_param(dim.symbol);
        } else if (dim.size >= 0) {
          out->set_dim_value(dim.size);
        }
      }
    }
    changed = true;
  }
  return changed ? proto.SerializeAsString() : value.source;
}

Rope InitializerRope(const Value& value, External* external) {
  onnx::TensorProto proto;
  const Tensor& tensor = value.constant;
  WriteTensorHead(tensor, &proto);
  proto.set_name(value.name);
  Rope rope;
  if (tensor.dtype() == DType::kString || (external && external->Take(tensor, &proto))) {
    rope.Add(proto.SerializeAsString());
    return rope;
  }
  std::string storage;
  const std::string_view raw = RawData(tensor, &storage);
  rope.Add(proto.SerializeAsString());
  rope.Add(FieldHead(kTensorRawData, raw.size()));
  if (storage.empty()) {
    rope.Add(tensor);
  } else {
    rope.Add(std::move(storage));
  }
  return rope;
}

Rope GraphRope(const Graph& graph, External* external, bool fresh) {
  Rope rope;
  for (NodeId id : graph.Order()) rope.AddField(kGraphNode, NodeRope(graph, graph.node(id), external, fresh));
  if (!graph.name.empty()) rope.AddField(kGraphName, graph.name);
  const ValueId end = static_cast<ValueId>(graph.value_slots());
  for (ValueId id = 0; id < end; ++id) {
    const Value& value = graph.value(id);
    if (value.id != kNone && value.constant.defined()) {
      rope.AddField(kGraphInitializer, InitializerRope(value, external));
    }
  }
  if (!graph.doc.empty()) rope.AddField(kGraphDoc, graph.doc);
  for (ValueId id : graph.inputs()) rope.AddField(kGraphInput, ValueBytes(graph.value(id)));
  for (ValueId id : graph.outputs()) rope.AddField(kGraphOutput, ValueBytes(graph.value(id)));
  for (ValueId id = 0; id < end; ++id) {
    const Value& value = graph.value(id);
    if (value.id == kNone || value.source.empty() || value.is_input || value.is_output) continue;
    if (value.producer != kNone || value.constant.defined())
      rope.AddField(kGraphValueInfo, ValueBytes(value));
  }
  rope.Add(graph.graph_source);
  return rope;
}

// A function as it was read, or one of ours.
std::string FunctionBytes(const Function& function) {
  if (!function.source.empty()) return function.source;
  onnx::FunctionProto proto;
  proto.set_domain(function.domain);
  proto.set_name(function.name);
  const Graph& body = function.body;
  for (ValueId id : body.inputs()) proto.add_input(body.value(id).name);
  for (ValueId id : body.outputs()) proto.add_output(body.value(id).name);
  for (const std::string& name : function.attributes) proto.add_attribute(name);
  for (NodeId id : body.Order())
    proto.add_node()->ParseFromString(NodeRope(body, body.node(id), nullptr).Text());
  for (const auto& [domain, version] : body.opset_imports) {
    auto* import = proto.add_opset_import();
    import->set_domain(domain);
    import->set_version(version);
  }
  return proto.SerializeAsString();
}

// The IR version that an opset came with, where the runtimes insist on it; and Q/DQ nodes' one.
int64_t IrVersion(const Graph& graph) {
  int64_t version = std::max<int64_t>(graph.ir_version, 4);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (graph.alive(id) && graph.node(id).source.empty() &&
        (graph.node(id).Is("QuantizeLinear") || graph.node(id).Is("DequantizeLinear"))) {
      version = std::max<int64_t>(version, 8);
    }
  }
  return graph.opset() >= 19 ? std::max(version, IrVersionOf(graph.opset())) : version;
}

Rope ModelRope(const Graph& graph, External* external) {
  onnx::ModelProto head;
  head.ParseFromString(graph.model_source);
  head.set_ir_version(IrVersion(graph));
  head.set_producer_name("xslim");
  head.set_producer_version(Version());
  for (const auto& [domain, version] : graph.opset_imports) {
    auto* import = head.add_opset_import();
    import->set_domain(domain);
    import->set_version(version);
  }
  std::map<std::string, std::string> metadata = graph.metadata;
  metadata["xslim_version"] = Version();
  for (const auto& [key, text] : metadata) {
    auto* entry = head.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
  }
  Rope rope;
  rope.Add(head.SerializeAsString());
  for (const auto& function : graph.functions) rope.AddField(kModelFunctions, FunctionBytes(*function));
  rope.AddField(kModelGraph, GraphRope(graph, external));
  return rope;
}

}  // namespace

std::string SerializeModel(const Graph& graph) {
  const Rope rope = ModelRope(graph, nullptr);
  if (rope.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    throw Error("the model is over 2 GB.", "", "it can only be saved with external data");
  }
  return rope.Text();
}

std::string HashModel(const Graph& graph) {
  Hasher hasher;
  ModelRope(graph, nullptr).ForEach([&](const void* data, size_t bytes) { hasher.Add(data, bytes); });
  return hasher.Hex();
}

namespace {

// Bytes of all elements, those of attributes and bodies included.
int64_t ElementBytes(const Graph& graph) {
  int64_t sum = 0;
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id)
    sum += static_cast<int64_t>(graph.value(id).constant.bytes());
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    for (const auto& [name, attribute] : graph.node(id).attributes) {
      sum += static_cast<int64_t>(attribute.tensor.bytes());
      if (attribute.graph) sum += ElementBytes(*attribute.graph);
    }
  }
  return sum;
}

// The elements of the graph lie in files that are read until the end.
void RefuseOverData(const Graph& graph, const std::string& path) {
  std::error_code error;
  for (const std::string& file : graph.data_files) {
    if (std::filesystem::equivalent(path, file, error))
      throw Error("the output would overwrite the external data of the input", path, "give it another name");
  }
}

}  // namespace

std::string ExternalDataPath(const std::string& path) {
  return std::filesystem::path(path).replace_extension(".onnx.data").string();
}

void WriteModel(const Graph& graph, const std::string& path, const SaveOptions& options, OutputFiles* files) {
  RefuseOverData(graph, path);
  const auto write = [files](const Rope& rope, const std::string& to) {
    OutputFile* file = files->Add(to);
    rope.ForEach([&](const void* bytes, size_t count) { file->Write(bytes, count); });
  };
  const size_t largest = static_cast<size_t>(options.largest_file);
  if (!options.external_data && ElementBytes(graph) <= options.largest_file) {
    const Rope model = ModelRope(graph, nullptr);
    if (model.size() <= largest) return write(model, path);
  }
  const std::filesystem::path beside = ExternalDataPath(path);
  External external(beside.filename().string());
  const Rope model = ModelRope(graph, &external);
  if (model.size() > static_cast<size_t>(kLargestModelFile))
    throw Error("the model is over 2 GB without its tensors.", path);
  if (external.data().size() > 0) {  // else nothing in it is large enough
    RefuseOverData(graph, beside.string());
    write(external.data(), beside.string());
  } else if (options.external_data) {
    LogWarning("external data: no tensor of the model is large enough, everything is in ", path);
  }
  write(model, path);
}

void SaveModel(const Graph& graph, const std::string& path, const SaveOptions& options) {
  OutputFiles files;
  WriteModel(graph, path, options, &files);
  files.Commit();
}

}  // namespace xslim
