// What an operator needs done when an opset changed it: rows of a table, one for each operator and opset.
// What needs no thought (an attribute that is new or gone and holds its default, inputs left out at the end)
// is done for every operator without a row; see convert.cc.
#ifndef XSLIM_SIMPLIFY_OPSET_RULES_H_
#define XSLIM_SIMPLIFY_OPSET_RULES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "simplify/opset/facts.h"

namespace xslim::opset {

// Why a node cannot be converted; nullopt: it was.
using Obstacle = std::optional<std::string>;
using Attributes = std::map<std::string, Attribute>;

// A node that a rule works on, and the verbs for it. The node keeps its id, its name and its first output.
class Site {
 public:
  // `to` is the opset that the node is brought to, one above or below the present one.
  Site(Graph* graph, NodeId id, GraphFacts* facts, int to)
      : graph_(*graph), id_(id), facts_(*facts), to_(to) {}

  Node& node() { return graph_.node(id_); }
  ValueId input(size_t slot) const { return graph_.node(id_).input(slot); }
  bool has(size_t slot) const { return input(slot) != kNone; }
  DType type(size_t slot) const { return facts_.type(input(slot)); }
  std::optional<Shape> shape(size_t slot) const { return facts_.shape(input(slot)); }
  std::optional<int64_t> rank(size_t slot) const { return facts_.rank(input(slot)); }
  std::optional<Tensor> constant(size_t slot) const { return facts_.constant(input(slot)); }
  std::optional<std::vector<int64_t>> ints(size_t slot) const { return facts_.ints(input(slot)); }
  bool used(size_t output) const;  // whether anybody reads the output
  const GraphFacts& facts() const { return facts_; }

  void Set(const std::string& name, Attribute value) { node().attributes[name] = std::move(value); }
  void Erase(const std::string& name) { node().attributes.erase(name); }
  void SetInput(size_t slot, ValueId value) { graph_.SetInput(id_, slot, value); }
  void DropInput(size_t slot);  // left out; a trailing one is removed from the list
  void DropLastOutput();
  // An initializer.
  ValueId Constant(const std::string& suffix, Tensor tensor);
  ValueId List(const std::string& suffix, const std::vector<int64_t>& values);
  // A scalar of a float type; nothing for other types.
  std::optional<ValueId> Scalar(DType type, double value);
  // A new node before this one; its output.
  ValueId Add(const std::string& op_type, const std::vector<ValueId>& inputs, Attributes attributes = {});
  // The node becomes another operator with the same first output.
  void Become(const std::string& op_type, const std::vector<ValueId>& inputs, Attributes attributes = {});
  // A node that reads what this one makes, and makes what it made. Returns the value in between.
  ValueId Insert(const std::string& op_type, const std::vector<ValueId>& more_inputs, Attributes attributes);
  // Output `slot` is made by Identity of `value` instead.
  void Redirect(size_t output, ValueId value);

 private:
  Graph& graph_;
  const NodeId id_;
  GraphFacts& facts_;
  const int to_;
};

struct Rule {
  int version;  // the opset that brought the change
  const char* op_type;
  // From below `version` to it, and back; null: nothing but what every operator gets.
  Obstacle (*raise)(Site&);
  Obstacle (*lower)(Site&);
};

// The families; rows of one operator and opset run in their order.
std::vector<Rule> InputRules();       // rules_inputs.cc: attributes that became inputs
std::vector<Rule> MeaningRules();     // rules_meaning.cc: the same words, another meaning
std::vector<Rule> ResizeRules();      // rules_resize.cc: Upsample and Resize
std::vector<Rule> QuantizeRules();    // rules_quantize.cc: QuantizeLinear and DequantizeLinear
std::vector<Rule> ActivationRules();  // rules_activation.cc: operators taken apart where they do not exist
std::vector<Rule> NormRules();        // rules_norm.cc: normalizations, the same
std::vector<Rule> AttentionRules();   // rules_attention.cc

// Helpers of several families.
Obstacle Refuse(const char* why);
// The float values of a constant; nullopt for other types.
std::optional<std::vector<float>> FloatsOf(const std::optional<Tensor>& tensor);

}  // namespace xslim::opset

#endif  // XSLIM_SIMPLIFY_OPSET_RULES_H_
