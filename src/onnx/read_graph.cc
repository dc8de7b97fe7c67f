// Graphs of a file, those of bodies and functions included: nodes, values and attributes.
#include "onnx/read_graph.h"

#include <set>
#include <utility>

#include "onnx/proto.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// A field of onnx.proto that the message classes of older libonnx do not have (IR 10).
constexpr uint32_t kNodeOverload = 8;
constexpr int64_t kOverloadIr = 10;

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

// What some writers put for every size that is not known; such sizes are not equal.
bool IsNoSymbol(const std::string& text) { return text == "?" || text == "None" || text == "-1"; }

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

 private:
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

std::vector<std::string> UniqueNames(const NodeProtos& nodes) {
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

void CheckDefined(const Graph& graph, const std::string& where) {
  auto known = [&graph](ValueId id) {
    if (id == kNone) return false;
    const Value& value = graph.value(id);
    return value.producer != kNone || value.is_input || value.constant.defined();
  };
  const auto at = [&where](const Node& node) { return where + ": node " + node.Title(); };
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    const Node& node = graph.node(id);
    for (ValueId input : node.inputs) {
      if (input == kNone || known(input)) continue;
      throw Error("tensor \"" + graph.value(input).name + "\" is read and never made.", at(node));
    }
    for (const auto& [key, attribute] : node.attributes) {
      if (!attribute.graph) continue;
      for (const std::string& name : attribute.graph->FreeNames()) {
        if (known(graph.Find(name))) continue;
        throw Error("tensor \"" + name + "\" is read in the body " + key + " and never made.", at(node));
      }
    }
  }
  for (ValueId id : graph.outputs()) {
    if (!known(id)) throw Error("output \"" + graph.value(id).name + "\" is never made.", where);
  }
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

}  // namespace xslim
