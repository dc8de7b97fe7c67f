#include "quant/choices.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/log.h"
#include "graph/reach.h"
#include "xslim/error.h"

namespace xslim {
namespace {

class Chooser {
 public:
  Chooser(const Graph& graph, const NamedTensors& named, const Config& config)
      : graph_(graph), named_(named), config_(config), reach_(graph) {}

  Choices Run() {
    const QuantizationParameters& settings = config_.quantization;
    for (size_t i = 0; i < settings.custom_setting.size(); ++i) Apply(i, settings.custom_setting[i]);
    for (const auto& [id, chosen] : choices_.settings) {
      if (chosen.precision_level != kPrecisionDynamic) continue;
      choices_.stay_float[id] =
          EntryName(level_from_.at(id)) + ": precision_level " + std::to_string(kPrecisionDynamic);
    }
    if (!settings.truncate_var_names.empty()) Truncate(settings.truncate_var_names);
    return std::move(choices_);
  }

 private:
  static std::string EntryName(size_t index) { return "custom_setting[" + std::to_string(index) + "]"; }

  std::vector<ValueId> Tensors(const std::vector<std::string>& names) const {
    std::vector<ValueId> tensors;
    for (const std::string& name : names) {
      if (named_.Of(name) != kNone) tensors.push_back(named_.Of(name));
    }
    return tensors;
  }

  void Apply(size_t index, const CustomSetting& entry) {
    const std::vector<ValueId> outputs = Tensors(entry.output_names);
    const std::set<NodeId> below =
        reach_.Below(Tensors(entry.input_names), std::set<ValueId>(outputs.begin(), outputs.end()));
    for (const std::string& name : entry.output_names) {
      const ValueId id = named_.Of(name);
      const Node* producer = id == kNone ? nullptr : graph_.Producer(id);
      if (producer == nullptr || !below.count(producer->id)) {
        throw Error("tensor " + name + " cannot be reached from input_names",
                    QuantizationPath(config_, EntryName(index) + ".output_names"),
                    "the subgraph is what lies on the ways from input_names to output_names");
      }
    }
    const std::set<NodeId> above = reach_.Above(outputs);
    std::set<NodeId> nodes;
    std::set_intersection(below.begin(), below.end(), above.begin(), above.end(),
                          std::inserter(nodes, nodes.end()));
    for (NodeId id : nodes) {
      OperatorSettings& settings = choices_.settings[id];
      overlapped_ = overlapped_ || Differs(settings.precision_level, entry.precision_level) ||
                    Differs(settings.max_percentile, entry.max_percentile) ||
                    Differs(settings.calibration_type, entry.calibration_type);
      if (entry.precision_level) {
        settings.precision_level = entry.precision_level;
        level_from_[id] = index;
      }
      if (entry.max_percentile) settings.max_percentile = entry.max_percentile;
      if (entry.calibration_type) settings.calibration_type = entry.calibration_type;
    }
    if (overlapped_) {
      LogWarning(EntryName(index), " overlaps an earlier entry that says otherwise; the later one counts");
      overlapped_ = false;
    }
    LogInfo(EntryName(index), ": ", Counted(nodes.size(), "operator"));
    if (below.size() > nodes.size()) {
      LogInfo(EntryName(index), " leaves out ", Counted(below.size() - nodes.size(), "operator"),
              " behind input_names, without a way to output_names");
    }
  }

  template <typename T>
  static bool Differs(const std::optional<T>& earlier, const std::optional<T>& later) {
    return earlier && later && *earlier != *later;
  }

  void Truncate(const std::vector<std::string>& names) {
    const std::string where = QuantizationPath(config_, "truncate_var_names");
    const std::vector<ValueId> cuts = Tensors(names);
    const std::set<NodeId> above = reach_.Above(cuts);
    for (const std::string& name : names) {
      const ValueId id = named_.Of(name);
      if (id == kNone || graph_.Producer(id) == nullptr) {
        throw Error("truncate graph failed.", where,
                    "tensor " + name + " is a constant or an input of the model, nothing lies above it");
      }
      for (NodeId reader : reach_.Readers(id)) {
        if (!above.count(reader)) continue;
        throw Error("truncate graph failed.", where,
                    "tensor " + name + " lies above another of the tensors, which depends on it through " +
                        graph_.node(reader).Title() + "; name only one of them");
      }
    }
    const std::set<NodeId> below = reach_.JoinedBelow(cuts, above);
    for (NodeId id : graph_.Order()) {
      if (above.count(id)) continue;
      if (below.count(id)) {
        choices_.stay_float[id] = "below truncate_var_names (" + StrJoin(names) + ")";
        continue;
      }
      throw Error("truncate graph failed.", where,
                  "the tensors do not divide the model in two: " + graph_.node(id).Title() +
                      " lies neither above nor below them; name a tensor of "
                      "its branch, too (the model's output " +
                      OutputBehind(id) + " to quantize it to its end)");
    }
  }

  // A graph output that depends on the node; "" when none does.
  std::string OutputBehind(NodeId id) const {
    for (ValueId output : graph_.outputs()) {
      if (reach_.Above({output}).count(id)) return graph_.value(output).name;
    }
    return "";
  }

  const Graph& graph_;
  const NamedTensors& named_;
  const Config& config_;
  const Reach reach_;
  Choices choices_;
  std::map<NodeId, size_t> level_from_;  // the entry that set the operator's precision_level
  bool overlapped_ = false;
};

}  // namespace

const OperatorSettings& Choices::Of(NodeId id) const {
  static const OperatorSettings none;
  const auto found = settings.find(id);
  return found == settings.end() ? none : found->second;
}

OperatorSettings Choices::OfTensor(const Graph& graph, ValueId id, const std::set<NodeId>& nodes) const {
  const Node* producer = graph.Producer(id);
  if (producer != nullptr && nodes.count(producer->id)) return Of(producer->id);
  OperatorSettings last;
  for (const Use& use : graph.value(id).uses) {
    if (!nodes.count(use.node)) continue;
    const OperatorSettings& reader = Of(use.node);
    if (reader.max_percentile) last.max_percentile = reader.max_percentile;
    if (reader.calibration_type) last.calibration_type = reader.calibration_type;
  }
  return last;
}

Choices MakeChoices(const Graph& graph, const NamedTensors& named, const Config& config) {
  return Chooser(graph, named, config).Run();
}

}  // namespace xslim
