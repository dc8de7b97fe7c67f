// What is decided about single operators before placement: which stay float whatever they are, and what
// custom_setting says of the others.
#ifndef XSLIM_QUANT_CHOICES_H_
#define XSLIM_QUANT_CHOICES_H_

#include <map>
#include <optional>
#include <set>
#include <string>

#include "graph/graph.h"
#include "quant/named_tensors.h"
#include "xslim/config.h"

namespace xslim {

// Settings of one operator; what is not set is as in the whole run.
struct OperatorSettings {
  std::optional<int> precision_level;  // 0, 2 (or 3: then the operator is in Choices::stay_float)
  std::optional<double> max_percentile;
  std::optional<CalibrationType> calibration_type;
};

// Why an Add of an attention mask stays float, whether the graph tells that it is one or only the data.
inline constexpr char kAddsMask[] =
    "adds an attention mask: one scale for scores and the mask would erase the scores";

// Why an operator stays float of which a Log reads the result.
inline constexpr char kIntoLogarithm[] =
    "a logarithm reads it: in int8 small numbers would be zeros, and their logarithms infinite";

// The same where something is divided by the result, or by its root.
inline constexpr char kIntoDivisor[] =
    "something is divided by it: in int8 small numbers would be zeros, and quotients infinite";

struct Choices {
  // Operators that stay float, their weights included, with the reason as the report gives it. Operators
  // behind them are placed as if these were int8.
  std::map<NodeId, std::string> stay_float;
  std::map<NodeId, OperatorSettings> settings;
  // Operators that stay float since calibration has seen their tensors, with the reason; placement is then
  // made anew. What lies behind them is placed as behind any float operator.
  std::map<NodeId, std::string> float_by_data;
  // Results of products that only those read, and that go to them as float32: they get no pair.
  std::set<ValueId> bare;
  // The operators that the first placement made int8: what counts for a tensor goes by them, also when
  // calibration has left some of them float since. Empty: this is the first placement.
  std::set<NodeId> placed;
  // A placement before this one has said what is to be said of the settings.
  bool quiet = false;

  // What counts for the operator.
  const OperatorSettings& Of(NodeId id) const;
  // What counts for the tensor when `nodes` are int8: what does for the one of them that makes it, or else
  // for the last of its readers among them that is in a custom setting.
  OperatorSettings OfTensor(const Graph& graph, ValueId id, const std::set<NodeId>& nodes) const;
};

// From custom_setting and truncate_var_names. The graph is the simplified one, `named` is released.
//   custom_setting: all operators on the ways from input_names to the first of output_names; of entries that
//   overlap the later one counts, setting by setting.
//   truncate_var_names: the operators that the tensors depend on are quantized, all others stay float.
// Throws Error with the JSON path where the tensors delimit nothing.
Choices MakeChoices(const Graph& graph, const NamedTensors& named, const Config& config);

}  // namespace xslim

#endif  // XSLIM_QUANT_CHOICES_H_
