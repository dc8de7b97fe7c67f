#include "quant/named_tensors.h"

#include "base/log.h"
#include "base/nearest_name.h"
#include "quant/facts.h"

namespace xslim {
namespace {

std::string Hint(const Graph& graph, const std::string& name) {
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (node.name != name || node.outputs.empty() || node.outputs[0] == kNone) continue;
    return "that is an operator (" + node.op_type + "); its output is " + graph.value(node.outputs[0]).name;
  }
  std::vector<std::string> known;
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.id != kNone && !value.constant.defined()) known.push_back(value.name);
  }
  const std::string nearest = NearestName(name, known);
  return nearest.empty() ? "give the name of a tensor as a viewer like Netron shows it"
                         : "did you mean " + nearest + "?";
}

// The BatchNormalization that alone reads the result of a computing operator; null when there is none.
const Node* FoldedNorm(const Graph& graph, ValueId id) {
  const Node* producer = graph.Producer(id);
  const NodeId user = graph.SoleUser(id);
  if (producer == nullptr || !IsComputing(*producer) || user == kNone) return nullptr;
  const Node& norm = graph.node(user);
  return norm.Is("BatchNormalization") && norm.input(0) == id ? &norm : nullptr;
}

}  // namespace

std::string QuantizationPath(const Config& config, const std::string& key) {
  const std::string path = "quantization_parameters." + key;
  return config.source.empty() ? path : config.source + ": " + path;
}

NamedTensors::NamedTensors(const Config& config, Graph* graph) {
  const QuantizationParameters& settings = config.quantization;
  for (size_t i = 0; i < settings.custom_setting.size(); ++i) {
    const std::string path = "custom_setting[" + std::to_string(i) + "].";
    for (const std::string& name : settings.custom_setting[i].input_names)
      Keep(name, QuantizationPath(config, path + "input_names"), graph);
    for (const std::string& name : settings.custom_setting[i].output_names)
      Keep(name, QuantizationPath(config, path + "output_names"), graph);
  }
  for (const std::string& name : settings.truncate_var_names)
    Keep(name, QuantizationPath(config, "truncate_var_names"), graph,
         "The incoming truncate_var_names contains non-existent tensor names: ");
}

void NamedTensors::Keep(const std::string& name, const std::string& where, Graph* graph,
                        const std::string& complaint) {
  if (entries_.count(name)) return;
  ValueId id = graph->Find(name);
  if (id == kNone) throw Error(complaint + name, where, Hint(*graph, name));
  Entry entry;
  const Node* producer = graph->Producer(id);
  if (!graph->value(id).is_constant() && (producer == nullptr || !producer->Is("Constant"))) {
    if (const Node* norm = FoldedNorm(*graph, id)) {
      id = norm->outputs[0];
      LogInfo("tensor ", name, " is followed by ", norm->Title(),
              ", which is folded into its operator: ", graph->value(id).name, " is taken instead");
    }
    const Value& value = graph->value(id);
    entry.kept = value.name;
    // An initializer-input and a graph input keep their names anyway.
    if (value.producer != kNone && !value.is_output) {
      graph->AddOutput(id);
      entry.added = true;
    }
  }
  entries_.emplace(name, std::move(entry));
}

void NamedTensors::Release(Graph* graph) {
  for (auto& [name, entry] : entries_) {
    if (entry.kept.empty()) continue;
    entry.id = graph->Find(entry.kept);
    if (entry.id == kNone)
      throw Error("tensor " + name + " was lost in simplification", "", "report this model");
    if (entry.added) graph->RemoveOutput(entry.id);
    if (graph->value(entry.id).is_constant()) entry.id = kNone;
  }
  graph->RemoveDead();
}

ValueId NamedTensors::Of(const std::string& name) const { return entries_.at(name).id; }

}  // namespace xslim
