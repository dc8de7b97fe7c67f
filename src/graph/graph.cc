#include "graph/graph.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <queue>
#include <set>
#include <unordered_set>
#include <utility>

#include "xslim/error.h"

namespace xslim {
namespace {

bool Defined(const Value& value) {
  return value.id != kNone && (value.producer != kNone || value.is_input || value.constant.defined());
}

bool HoldsBody(const Attribute& attribute) {
  return attribute.kind == Attribute::Kind::kGraph && attribute.graph != nullptr;
}

// Names that the bodies of one node take from the graph around it.
void AddCaptures(const Node& node, std::set<std::string>* names) {
  for (const auto& [key, attribute] : node.attributes) {
    if (!HoldsBody(attribute)) continue;
    for (std::string& name : attribute.graph->FreeNames()) names->insert(std::move(name));
  }
}

bool TakesFromOutside(const Graph& body, const std::string& name) {
  const ValueId id = body.Find(name);
  if (id != kNone) {
    const Value& value = body.value(id);
    if (Defined(value)) return false;
    if (!value.uses.empty() || value.is_output) return true;
  }
  return body.CapturedBySubgraph(name);
}

void DropUse(Value* value, Use use) {
  auto at = std::find(value->uses.begin(), value->uses.end(), use);
  if (at != value->uses.end()) value->uses.erase(at);
}

// Renames a captured value inside the bodies of `node`. Bodies are shared between copies of a graph: they are
// copied before they are changed.
void RenameCapture(Node* node, const std::string& from, const std::string& to) {
  for (auto& [key, attribute] : node->attributes) {
    if (!HoldsBody(attribute) || !TakesFromOutside(*attribute.graph, from)) continue;
    auto body = std::make_shared<Graph>(*attribute.graph);
    // A local value of that name would hide the outer one.
    const ValueId hiding = body->Find(to);
    if (hiding != kNone && Defined(body->value(hiding))) body->Rename(hiding, body->UniqueName(to));
    for (NodeId id = 0; id < static_cast<NodeId>(body->node_slots()); ++id) {
      if (body->alive(id)) RenameCapture(&body->node(id), from, to);
    }
    const ValueId captured = body->Find(from);
    if (captured != kNone && !Defined(body->value(captured))) {
      const ValueId present = body->Find(to);
      if (present == kNone) {
        body->Rename(captured, to);
      } else if (!body->ReplaceUses(captured, present)) {
        body->AddNode("Identity", "", {present}, {captured});
      }
    }
    attribute.graph = std::move(body);
    attribute.source.clear();
  }
}

// `wanted` itself, unless a suffix is asked for, or with the first suffix that makes it unlike all of
// `taken`.
template <typename Names>
std::string FirstFree(const std::string& wanted, bool suffixed, const Names& taken,
                      std::unordered_map<std::string, int64_t>* suffixes) {
  if (!suffixed && !taken.count(wanted)) return wanted;
  const std::string stem = wanted + "_";
  int64_t& suffix = suffixes->emplace(stem, 1).first->second;
  for (;; ++suffix) {
    std::string name = stem + std::to_string(suffix);
    if (!taken.count(name)) return name;
  }
}

// After `name` has become free: counting for its stem begins there again.
void Release(const std::string& name, std::unordered_map<std::string, int64_t>* suffixes) {
  const size_t digits = name.rfind('_') + 1;  // 0 when there is none
  const auto at = suffixes->find(name.substr(0, digits));
  if (at == suffixes->end()) return;
  int64_t suffix = 0;
  const char* end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + digits, end, suffix);
  if (read.ec == std::errc() && read.ptr == end && suffix > 0) at->second = std::min(at->second, suffix);
}

}  // namespace

int Graph::opset() const {
  auto at = opset_imports.find("");
  return at == opset_imports.end() ? 1 : static_cast<int>(at->second);
}

ValueId Graph::Find(const std::string& value_name) const {
  auto at = by_name_.find(value_name);
  return at == by_name_.end() ? kNone : at->second;
}

std::vector<ValueId> Graph::FreeInputs() const {
  std::vector<ValueId> free;
  for (ValueId id : inputs_) {
    if (!value(id).constant.defined()) free.push_back(id);
  }
  return free;
}

std::vector<NodeId> Graph::Order() const {
  // (producer, reader), one for each reading; then by producer, from begins[producer] on.
  std::vector<std::pair<NodeId, NodeId>> readings;
  std::vector<int> waits(nodes_.size(), 0);  // readings of what is not in the order yet
  std::vector<size_t> begins(nodes_.size() + 1, 0);
  size_t count = 0;
  for (const Node& node : nodes_) {
    if (node.id == kNone) continue;
    ++count;
    const auto read = [&](ValueId id) {
      if (id == kNone || value(id).producer == kNone) return;
      readings.emplace_back(value(id).producer, node.id);
      ++waits[static_cast<size_t>(node.id)];
      ++begins[static_cast<size_t>(value(id).producer) + 1];
    };
    for (ValueId id : node.inputs) read(id);
    std::set<std::string> captures;
    AddCaptures(node, &captures);
    for (const std::string& captured : captures) read(Find(captured));
  }
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<NodeId> readers(readings.size());
  std::vector<size_t> places(begins.begin(), begins.end() - 1);
  for (const auto& [producer, reader] : readings) readers[places[static_cast<size_t>(producer)]++] = reader;
  const auto for_each_reader = [&](NodeId id, const auto& visit) {
    const auto at = static_cast<size_t>(id);
    std::for_each(readers.begin() + static_cast<std::ptrdiff_t>(begins[at]),
                  readers.begin() + static_cast<std::ptrdiff_t>(begins[at + 1]), visit);
  };
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  for (const Node& node : nodes_) {
    if (node.id != kNone && waits[static_cast<size_t>(node.id)] == 0) ready.push(node.id);
  }
  std::vector<NodeId> order;
  order.reserve(count);
  while (!ready.empty()) {
    const NodeId id = ready.top();
    ready.pop();
    order.push_back(id);
    for_each_reader(id, [&](NodeId next) {
      if (--waits[static_cast<size_t>(next)] == 0) ready.push(next);
    });
  }
  if (order.size() == count) return order;
  // What is left waits on a cycle; walking back along unfinished producers ends on one.
  std::vector<NodeId> back(nodes_.size(), kNone);
  NodeId at = kNone;
  for (const Node& node : nodes_) {
    if (node.id == kNone || waits[static_cast<size_t>(node.id)] == 0) continue;
    at = node.id;
    for_each_reader(node.id, [&](NodeId next) { back[static_cast<size_t>(next)] = node.id; });
  }
  for (size_t step = 0; step < nodes_.size(); ++step) at = back[static_cast<size_t>(at)];
  throw Error("the graph has a cycle.", "node " + node(at).Title(),
              "a node may not depend on its own output");
}

const Tensor* Graph::Constant(ValueId id) const {
  return id != kNone && value(id).is_constant() ? &value(id).constant : nullptr;
}

const Node* Graph::Producer(ValueId id) const {
  return id != kNone && value(id).producer != kNone ? &node(value(id).producer) : nullptr;
}

NodeId Graph::SoleUser(ValueId id) const {
  if (id == kNone || value(id).uses.size() != 1 || value(id).is_output) return kNone;
  return CapturedBySubgraph(value(id).name) ? kNone : value(id).uses[0].node;
}

bool Graph::CapturedBySubgraph(const std::string& value_name) const {
  for (NodeId holder : holders_) {
    for (const auto& [key, attribute] : node(holder).attributes) {
      if (HoldsBody(attribute) && TakesFromOutside(*attribute.graph, value_name)) return true;
    }
  }
  return false;
}

std::set<std::string> Graph::Captures() const {
  std::set<std::string> names;
  for (NodeId holder : holders_) AddCaptures(node(holder), &names);
  return names;
}

std::vector<std::string> Graph::FreeNames() const {
  std::set<std::string> names;
  for (const Value& value : values_) {
    if (value.id != kNone && !Defined(value) && (!value.uses.empty() || value.is_output))
      names.insert(value.name);
  }
  for (const std::string& captured : Captures()) {
    const ValueId id = Find(captured);
    if (id == kNone || !Defined(value(id))) names.insert(captured);
  }
  return {names.begin(), names.end()};
}

ValueId Graph::AddValue(const std::string& wanted_name, DType dtype) {
  Value value;
  value.id = static_cast<ValueId>(values_.size());
  value.name = UniqueName(wanted_name);
  value.dtype = dtype;
  by_name_[value.name] = value.id;
  values_.push_back(std::move(value));
  return values_.back().id;
}

ValueId Graph::AddConstant(const std::string& wanted_name, Tensor tensor) {
  const ValueId id = AddValue(wanted_name);
  SetConstant(id, std::move(tensor));
  return id;
}

NodeId Graph::AddNode(const std::string& op_type, const std::string& wanted_name, std::vector<ValueId> inputs,
                      std::vector<ValueId> outputs, std::map<std::string, Attribute> attributes,
                      const std::string& domain) {
  Node added;
  added.id = static_cast<NodeId>(nodes_.size());
  added.name = UniqueNodeName(wanted_name.empty() ? op_type : wanted_name);
  added.op_type = op_type;
  added.domain = domain == "ai.onnx" ? "" : domain;
  const NodeId id = added.id;
  for (size_t slot = 0; slot < outputs.size(); ++slot) {
    if (outputs[slot] == kNone) continue;
    const Value& out = value(outputs[slot]);
    if (out.producer != kNone || std::count(outputs.begin(), outputs.end(), outputs[slot]) > 1) {
      throw Error("tensor " + out.name + " is produced twice.", "node " + added.Title());
    }
  }
  node_names_.insert(added.name);
  nodes_.push_back(std::move(added));
  SetAttributes(id, std::move(attributes));
  for (size_t slot = 0; slot < inputs.size(); ++slot) SetInput(id, slot, inputs[slot]);
  for (size_t slot = 0; slot < outputs.size(); ++slot) SetOutput(id, slot, outputs[slot]);
  return id;
}

void Graph::SetAttributes(NodeId id, std::map<std::string, Attribute> attributes) {
  Node& changed = node(id);
  changed.attributes = std::move(attributes);
  holders_.erase(id);
  for (const auto& [name, attribute] : changed.attributes) {
    if (HoldsBody(attribute)) holders_.insert(id);
  }
}

void Graph::AddInput(ValueId id) {
  if (value(id).is_input) return;
  value(id).is_input = true;
  inputs_.push_back(id);
}

void Graph::RemoveInput(ValueId id) {
  value(id).is_input = false;
  std::erase(inputs_, id);
}

int Graph::FixDefaults() {
  return static_cast<int>(std::erase_if(inputs_, [&](ValueId id) {
    Value& input = value(id);
    if (!input.constant.defined()) return false;
    input.is_input = false;
    return true;
  }));
}

void Graph::AddOutput(ValueId id) {
  value(id).is_output = true;
  outputs_.push_back(id);
}

void Graph::RemoveOutput(ValueId id) {
  value(id).is_output = false;
  outputs_.erase(std::remove(outputs_.begin(), outputs_.end(), id), outputs_.end());
}

void Graph::SetInput(NodeId id, size_t slot, ValueId to) {
  std::vector<ValueId>& inputs = node(id).inputs;
  if (inputs.size() <= slot) inputs.resize(slot + 1, kNone);
  const Use use{id, static_cast<int>(slot)};
  if (inputs[slot] == to) return;
  if (inputs[slot] != kNone) DropUse(&value(inputs[slot]), use);
  inputs[slot] = to;
  if (to != kNone) value(to).uses.push_back(use);
}

void Graph::SetOutput(NodeId id, size_t slot, ValueId to) {
  std::vector<ValueId>& outputs = node(id).outputs;
  if (outputs.size() <= slot) outputs.resize(slot + 1, kNone);
  if (outputs[slot] == to) return;
  if (to != kNone && value(to).producer != kNone) {
    throw Error("tensor " + value(to).name + " is produced twice.", "node " + node(id).Title());
  }
  if (outputs[slot] != kNone) value(outputs[slot]).producer = kNone;
  outputs[slot] = to;
  if (to == kNone) return;
  value(to).producer = id;
  value(to).producer_slot = static_cast<int>(slot);
}

void Graph::SetConstant(ValueId id, Tensor tensor) {
  Value& target = value(id);
  target.dtype = tensor.dtype();
  target.has_shape = true;
  target.dims.clear();
  for (int64_t size : tensor.shape()) target.dims.push_back({size, ""});
  target.constant = std::move(tensor);
}

bool Graph::ReplaceUses(ValueId from, ValueId to) {
  if (from == to) return true;
  const bool swap = value(from).is_output;
  if (swap &&
      (value(from).is_input || value(to).producer == kNone || value(to).is_output || value(to).is_input))
    return false;
  for (const Use& use : std::exchange(value(from).uses, {})) {
    node(use.node).inputs[static_cast<size_t>(use.slot)] = to;
    value(to).uses.push_back(use);
  }
  const std::string from_name = value(from).name, to_name = value(to).name;
  // Bodies read by name. After an exchange of names readers of `from` read `to` as they stand, and readers of
  // `to` have to follow it to its new name.
  for (NodeId reader : holders_)
    RenameCapture(&node(reader), swap ? to_name : from_name, swap ? from_name : to_name);
  if (!swap) return true;
  std::swap(value(from).name, value(to).name);
  std::swap(value(from).source, value(to).source);
  by_name_[from_name] = to;
  by_name_[to_name] = from;
  value(from).is_output = false;
  value(to).is_output = true;
  for (ValueId& output : outputs_) {
    if (output == from) output = to;
  }
  return true;
}

void Graph::RemoveNode(NodeId id) {
  Node& removed = node(id);
  for (size_t slot = 0; slot < removed.inputs.size(); ++slot) {
    if (removed.inputs[slot] != kNone) DropUse(&value(removed.inputs[slot]), {id, static_cast<int>(slot)});
  }
  for (ValueId output : removed.outputs) {
    if (output != kNone) value(output).producer = kNone;
  }
  node_names_.erase(removed.name);
  Release(removed.name, &node_suffixes_);
  removed = Node();
  holders_.erase(id);
}

int Graph::RemoveDead() {
  int count = 0;
  std::set<std::string> captured = Captures();
  auto unused = [&](ValueId id) {
    return id == kNone || (value(id).uses.empty() && !value(id).is_output && !captured.count(value(id).name));
  };
  auto retire = [this](ValueId id) {
    by_name_.erase(value(id).name);
    Release(value(id).name, &value_suffixes_);
    value(id) = Value();
  };
  std::vector<NodeId> work;
  for (const Node& node : nodes_) {
    if (node.id != kNone) work.push_back(node.id);
  }
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    if (!alive(id)) continue;
    const std::vector<ValueId> outputs = node(id).outputs, inputs = node(id).inputs;
    if (!std::all_of(outputs.begin(), outputs.end(), unused)) continue;
    std::set<std::string> bodies;
    AddCaptures(node(id), &bodies);
    RemoveNode(id);
    ++count;
    for (ValueId output : outputs) {
      if (output != kNone) retire(output);
    }
    for (ValueId input : inputs) {
      if (input != kNone && value(input).producer != kNone) work.push_back(value(input).producer);
    }
    if (bodies.empty()) continue;
    captured = Captures();
    for (const std::string& name : bodies) {
      const ValueId value_id = Find(name);
      if (value_id != kNone && value(value_id).producer != kNone) work.push_back(value(value_id).producer);
    }
  }
  for (ValueId id = 0; id < static_cast<ValueId>(values_.size()); ++id) {
    const Value& candidate = value(id);
    if (candidate.id != kNone && candidate.is_constant() && candidate.producer == kNone && unused(id))
      retire(id);
  }
  return count;
}

std::string Graph::UniqueName(const std::string& wanted) {
  return FirstFree(wanted.empty() ? "value" : wanted, wanted.empty(), by_name_, &value_suffixes_);
}

std::string Graph::UniqueNodeName(const std::string& wanted) {
  return FirstFree(wanted.empty() ? "node" : wanted, wanted.empty(), node_names_, &node_suffixes_);
}

void Graph::Rename(ValueId id, const std::string& to) {
  const std::string from = value(id).name;
  if (from == to) return;
  if (to.empty() || by_name_.count(to)) {
    throw Error("cannot rename tensor " + from + " to \"" + to + "\".", "", "the name is empty or taken");
  }
  if (Defined(value(id))) {
    for (NodeId reader : holders_) RenameCapture(&node(reader), from, to);
  }
  by_name_.erase(from);
  Release(from, &value_suffixes_);
  by_name_[to] = id;
  value(id).name = to;
}

void Graph::RenameValues(const std::map<std::string, std::string>& names) {
  by_name_.clear();
  value_suffixes_.clear();
  for (Value& value : values_) {
    if (value.id == kNone) continue;
    const auto at = names.find(value.name);
    if (at != names.end()) value.name = at->second;
    if (!by_name_.emplace(value.name, value.id).second) {
      throw Error("two tensors would be named " + value.name + ".", "graph " + name);
    }
  }
}

void Graph::Validate() const {
  auto fail = [](const std::string& what, const std::string& where) {
    throw Error("inconsistent graph: " + what, where);
  };
  auto in_range = [this](ValueId id) {
    return id >= 0 && id < static_cast<ValueId>(values_.size()) && value(id).id == id;
  };
  std::set<std::string> node_names;
  std::set<std::pair<NodeId, int>> used;
  for (const Node& node : nodes_) {
    if (node.id == kNone) continue;
    const std::string where = "node " + node.Title();
    const bool holds = std::any_of(node.attributes.begin(), node.attributes.end(),
                                   [](const auto& named) { return HoldsBody(named.second); });
    if (holds != (holders_.count(node.id) != 0)) fail("its bodies are not known to the graph.", where);
    if (!node_names.insert(node.name).second) fail("two nodes have this name.", where);
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (node.inputs[slot] == kNone) continue;
      if (!in_range(node.inputs[slot])) fail("it reads a removed tensor.", where);
      const Value& input = value(node.inputs[slot]);
      const Use use{node.id, static_cast<int>(slot)};
      if (std::count(input.uses.begin(), input.uses.end(), use) != 1)
        fail("use not listed at " + input.name, where);
    }
    for (size_t slot = 0; slot < node.outputs.size(); ++slot) {
      if (node.outputs[slot] == kNone) continue;
      if (!in_range(node.outputs[slot])) fail("it makes a removed tensor.", where);
      const Value& output = value(node.outputs[slot]);
      if (output.producer != node.id || output.producer_slot != static_cast<int>(slot)) {
        fail("tensor " + output.name + " does not name it as its producer.", where);
      }
      if (output.constant.defined() || output.is_input) {
        fail("tensor " + output.name + " is made by a node and is also an input or initializer.", where);
      }
    }
  }
  for (const Value& value : values_) {
    if (value.id == kNone) continue;
    const std::string where = "tensor " + value.name;
    if (value.name.empty() || Find(value.name) != value.id) fail("its name is not true.", where);
    for (const Use& use : value.uses) {
      if (!alive(use.node) || node(use.node).input(static_cast<size_t>(use.slot)) != value.id) {
        fail("a listed user does not read it.", where);
      }
    }
    if (value.producer != kNone) {
      const size_t slot = static_cast<size_t>(value.producer_slot);
      if (!alive(value.producer) || node(value.producer).outputs.size() <= slot ||
          node(value.producer).outputs[slot] != value.id) {
        fail("its producer does not make it.", where);
      }
    }
    if (value.is_input != (std::count(inputs_.begin(), inputs_.end(), value.id) == 1))
      fail("inputs differ.", where);
    if (value.is_output != (std::count(outputs_.begin(), outputs_.end(), value.id) > 0))
      fail("outputs differ.", where);
  }
}

int64_t IrVersionOf(int opset) {
  if (opset <= 8) return 3;
  if (opset <= 11) return opset - 5;
  if (opset <= 14) return 7;
  if (opset <= 18) return 8;
  if (opset <= 20) return 9;
  if (opset <= 22) return 10;
  return opset - 12;  // 23: 11, 24: 12, 25: 13
}

}  // namespace xslim
