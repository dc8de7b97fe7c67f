// The model as the stages see it: nodes and values in vectors with stable ids, edited through a few verbs
// that keep producers and users true. Subgraphs (If, Loop, Scan) are Graphs in attributes; names they do not
// define are captured from the outer graph by name.
#ifndef XSLIM_GRAPH_GRAPH_H_
#define XSLIM_GRAPH_GRAPH_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tensor/tensor.h"

namespace xslim {

class Graph;
struct Function;  // graph/function.h
using ValueId = int32_t;
using NodeId = int32_t;
inline constexpr int32_t kNone = -1;

struct Attribute {
  // Values equal onnx.AttributeProto.AttributeType.
  enum class Kind {
    kUndefined = 0,
    kFloat = 1,
    kInt = 2,
    kString = 3,
    kTensor = 4,
    kGraph = 5,
    kFloats = 6,
    kInts = 7,
    kStrings = 8,
    kTensors = 9,
    kGraphs = 10,
    kOther = 99
  };
  Kind kind = Kind::kUndefined;
  int64_t i = 0;
  float f = 0;
  std::string s;
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<std::string> strings;
  Tensor tensor;
  std::shared_ptr<Graph> graph;
  // In a function's body: the attribute of the call that stands here (kind is kOther then); "" elsewhere.
  std::string reference;
  // Serialized onnx.AttributeProto as it was read, "" when made or changed by us. Kinds that we do not model
  // (sparse tensors, types, lists of graphs) live here only.
  std::string source;

  static Attribute Int(int64_t value);
  static Attribute Float(float value);
  static Attribute String(std::string value);
  static Attribute Ints(std::vector<int64_t> values);
  static Attribute Floats(std::vector<float> values);
  static Attribute OfTensor(Tensor value);
};

struct Node {
  NodeId id = kNone;
  std::string name, op_type, domain;     // domain "" is ai.onnx ("ai.onnx" is normalised to "" on reading)
  std::string overload;                  // which of several functions of one name a call means; mostly ""
  std::vector<ValueId> inputs, outputs;  // kNone = an optional one left out
  std::map<std::string, Attribute> attributes;
  std::string
      source;  // serialized onnx.NodeProto as it was read, "" for a node of ours; keeps what we do not model
  std::string read_name;  // `name` as given on reading; while they are equal the file's own (perhaps empty)
                          // name is written

  std::string
      shared_name;  // the file's name, where a node before this one has it and `name` is another; else ""
  std::vector<std::string> parts;  // of an operator made of several: their names (NameParts of simplify)

  bool Is(std::string_view type) const { return domain.empty() && op_type == type; }
  bool IsOneOf(std::initializer_list<std::string_view> types) const;
  bool Has(const std::string& attribute) const { return attributes.count(attribute) != 0; }
  // The attribute or the default; throw Error (node, attribute, expected kind) when it has another kind.
  int64_t Int(const std::string& attribute, int64_t otherwise) const;
  float Float(const std::string& attribute, float otherwise) const;
  std::string String(const std::string& attribute, const std::string& otherwise) const;
  std::vector<int64_t> Ints(const std::string& attribute, std::vector<int64_t> otherwise = {}) const;
  std::vector<float> Floats(const std::string& attribute, std::vector<float> otherwise = {}) const;
  const Tensor* TensorOf(const std::string& attribute) const;  // null when absent
  bool IsScaledGemm() const;                                   // with an alpha or beta other than 1
  bool IsRecurrent() const;                                    // LSTM, GRU or RNN
  ValueId input(size_t slot) const { return slot < inputs.size() ? inputs[slot] : kNone; }
  std::string Title() const { return name + "[" + op_type + "]"; }
};

struct Dim {
  int64_t size = -1;   // -1 = unknown
  std::string symbol;  // "" = none
};

struct Use {
  NodeId node;
  int slot;
  bool operator==(const Use&) const = default;
};

struct Value {
  ValueId id = kNone;
  std::string name;
  DType dtype = DType::kUndefined;
  bool has_shape = false;
  std::vector<Dim> dims;
  NodeId producer = kNone;  // kNone for graph inputs and initializers
  int producer_slot = 0;
  std::vector<Use> uses;
  Tensor constant;  // an initializer's value; undefined otherwise
  bool is_input = false,
       is_output = false;  // of the graph; an initializer may also be an input (its default)
  std::string source;      // serialized onnx.ValueInfoProto as read; keeps types that we do not model

  bool is_constant() const { return constant.defined() && !is_input; }
  // A constant, or an input that has a default: what nobody has to feed.
  bool has_value() const { return constant.defined(); }
};

// An operator of the file that the simplifier has left nothing of under its own name.
struct GoneNode {
  std::string type, into;  // title of the operator that it was folded into; "": of none
};

class Graph {
 public:
  std::string name, doc;
  std::map<std::string, int64_t> opset_imports;  // domain -> version ("" = ai.onnx)
  int64_t ir_version = 8;
  std::map<std::string, std::string> metadata;
  // The model's own functions, in the file's order; empty in bodies. Nodes call them by domain, op_type and
  // overload.
  std::vector<std::shared_ptr<const Function>> functions;
  std::map<std::string, GoneNode> gone;  // by the file's name, from NameParts of simplify
  std::vector<std::string> data_files;   // files that external data were read from, absolute; empty in bodies
  // Serialized parts of the ModelProto that we keep as they are: everything but graph, functions,
  // opset_import, ir_version and metadata_props (training info, producer ...), and of the GraphProto what we
  // do not model.
  std::string model_source, graph_source;

  int opset() const;  // of the default domain; 1 when not imported

  // ---- reading
  size_t node_slots() const { return nodes_.size(); }  // ids run below this; some may be removed
  size_t value_slots() const { return values_.size(); }
  bool alive(NodeId id) const {
    return id >= 0 && static_cast<size_t>(id) < nodes_.size() && nodes_[static_cast<size_t>(id)].id != kNone;
  }
  Node& node(NodeId id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values_[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }
  ValueId Find(const std::string& value_name) const;              // kNone when there is none
  const std::vector<ValueId>& inputs() const { return inputs_; }  // as listed, initializer-inputs included
  const std::vector<ValueId>& outputs() const { return outputs_; }
  std::vector<ValueId> FreeInputs() const;  // inputs that are not initializers: what a caller must feed
  // Alive nodes in a topological order that keeps the file's order where it can. Throws Error naming a node
  // on a cycle.
  std::vector<NodeId> Order() const;
  // Null unless the value is an initializer that is not an input.
  const Tensor* Constant(ValueId id) const;
  const Node* Producer(ValueId id) const;  // null for inputs and initializers
  // The only user of the value when it has one use, is no graph output and no subgraph captures it; else
  // kNone.
  NodeId SoleUser(ValueId id) const;
  bool CapturedBySubgraph(const std::string& value_name) const;
  // All names for which that holds, or that bodies take from further outside: for many questions at once.
  std::set<std::string> Captures() const;
  // Names that the graph (or a graph inside it) reads and does not define, sorted. Empty for a whole model.
  std::vector<std::string> FreeNames() const;

  // ---- editing
  ValueId AddValue(const std::string& wanted_name,
                   DType dtype = DType::kUndefined);  // made unique when taken
  ValueId AddConstant(const std::string& wanted_name, Tensor tensor);
  NodeId AddNode(const std::string& op_type, const std::string& wanted_name, std::vector<ValueId> inputs,
                 std::vector<ValueId> outputs, std::map<std::string, Attribute> attributes = {},
                 const std::string& domain = "");
  // Attributes that hold a body come in here or with AddNode; others may also be set in place.
  void SetAttributes(NodeId id, std::map<std::string, Attribute> attributes);
  void AddInput(ValueId id);
  void RemoveInput(ValueId id);  // from the graph's inputs; the value stays
  // Inputs that have a default become plain constants; returns their number.
  int FixDefaults();
  void AddOutput(ValueId id);
  void RemoveOutput(ValueId id);  // from the graph's outputs, every place in their list; the value stays
  void SetInput(NodeId id, size_t slot, ValueId value);   // grows the list with kNone as needed
  void SetOutput(NodeId id, size_t slot, ValueId value);  // the value must have no producer
  void SetConstant(ValueId id, Tensor tensor);            // replaces an initializer's value
  // Every use of `from` reads `to` instead. Graph outputs keep their name: when `from` is an output and `to`
  // is produced by a node and is no output or input, the names are exchanged; otherwise returns false and
  // changes nothing.
  bool ReplaceUses(ValueId from, ValueId to);
  void RemoveNode(NodeId id);  // its outputs lose their producer; the caller has rewired the uses
  int RemoveDead();  // nodes none of whose outputs is used, and initializers nobody reads; returns nodes
                     // removed
  // The wanted name, or when it is taken the first free one of name_1, name_2 ... They remember how far they
  // counted. Of nodes they know the names that AddNode gave.
  std::string UniqueName(const std::string& wanted);  // among values
  std::string UniqueNodeName(const std::string& wanted);
  void Rename(ValueId id, const std::string& name);
  // All values by a table from old to new names, at once; bodies are left as they are. The new names must
  // differ from each other.
  void RenameValues(const std::map<std::string, std::string>& names);
  void Validate() const;  // throws Error when producers, users or names are not true

 private:
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<ValueId> inputs_, outputs_;
  std::set<NodeId> holders_;  // nodes with bodies: few, and asked for often
  std::unordered_map<std::string, ValueId> by_name_;
  std::unordered_set<std::string> node_names_;
  // By stem ("name_"): every smaller suffix, from 1 on, is taken.
  std::unordered_map<std::string, int64_t> value_suffixes_, node_suffixes_;
};

// The IR version that ONNX released an opset of the default domain with (the table of its Versioning.md).
int64_t IrVersionOf(int opset);

}  // namespace xslim

#endif  // XSLIM_GRAPH_GRAPH_H_
