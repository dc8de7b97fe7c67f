// The QuantPlan: which tensors carry a scale, which one, and why. Made by placement, filled by calibration,
// read by export and report.
#ifndef XSLIM_QUANT_PLAN_H_
#define XSLIM_QUANT_PLAN_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "ops/operator.h"
#include "quant/choices.h"
#include "quant/facts.h"
#include "xslim/config.h"

namespace xslim {

// int8 parameters: q = clamp(round(x / scale) + zero_point, -128, 127). One entry, or one per index of
// `axis`.
struct QuantParams {
  int axis = -1;  // -1 = per tensor
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  bool set() const { return !scale.empty(); }
};

// A range for an activation.
struct ChosenRange {
  float lo, hi;
  std::string why;  // "minmax", "percentile", "mse: 3.100% clipped" ...
};

// An activation that gets a Q/DQ pair right behind its producer (or behind the graph input). Of an operator
// of the plan all readers see the dequantized tensor, as on a machine that computes in int8; what comes from
// a float operator or from outside is only seen so by operators of the plan.
struct ActivationQuant {
  QuantParams params;
  InterestRange interest;                           // what all its consumers together can see
  float lo = 0, hi = 0;                             // the range behind params, once chosen
  std::string why;                                  // how the range was chosen
  std::optional<CalibrationType> calibration_type;  // of the tensor's own, from custom_setting
  bool fixed = false;                               // no stage may choose another range
};

// A constant input of a quantized operator: int8 initializer + DequantizeLinear.
struct WeightQuant {
  NodeId node;
  int slot;
  QuantParams params;
  Tensor codes;  // int8, the constant's shape
};

struct QuantPlan {
  std::set<NodeId> nodes;  // the quantized operators
  std::map<ValueId, ActivationQuant> activations;
  std::vector<WeightQuant> weights;
  std::map<ValueId, ValueId> folded;         // output of a Relu/Clip -> its input: no Q/DQ between them
  std::set<ValueId> bare;                    // results of int8 operators that get no pair: Choices::bare
  std::map<NodeId, std::string> left_float;  // quantizable operators that stay float, with the reason
  bool quantize_bias = false;
  bool one_grid = true;  // PutOnOneGrid has its way
};

// Placement and weights of a static int8 run: XSlim's table, groups and unions (docs/compatibility.md). The
// graph must be legalised; `facts` and `choices` are of the same graph.
QuantPlan PlacePlan(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                    const Choices& choices = {});

// The same for exactly the operators `nodes`, which are of a full plan: pairs and constants, all without
// parameters. bare: of the full plan.
QuantPlan PlaceOnly(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                    std::set<NodeId> nodes, std::set<ValueId> bare);

// Codes and scales of all constant inputs: the last step of PlacePlan. Tuning changes them afterwards.
void QuantizeWeights(const Graph& graph, const QuantizationParameters& options, QuantPlan* plan);

// The same for one constant of an operator that is not computing, which options do not matter to.
void QuantizeOperand(const Graph& graph, WeightQuant* operand);

// Sets the activation's range: lo <= 0 <= hi after widening.
void SetRange(QuantPlan* plan, ValueId value, float lo, float hi, std::string why);

// The pair that the value's codes have: its own, or one in front of passive operators that made the value of
// it; null where they have none.
const ActivationQuant* PairOf(const Graph& graph, const QuantPlan& plan, ValueId value);

// The part of the real line that the int8 codes of per-tensor parameters span.
std::pair<float, float> Span(const QuantParams& params);

// A copy of the graph with the plan written into it: QuantizeLinear/DequantizeLinear pairs, int8 weights,
// Relu and Clip gone where the int8 range already enforces them. Needs opset 13 (RaiseOpset first).
Graph ExportQdq(const Graph& graph, const QuantPlan& plan);

// The QuantizeLinear and DequantizeLinear that ExportQdq put behind the tensor of that name, and the tensor's
// name behind them. kNone, and the name itself, when it has no pair.
struct ExportedPair {
  NodeId quantize = kNone, dequantize = kNone;
  ValueId dequantized = kNone;
};
ExportedPair FindPair(const Graph& exported, const std::string& name);

}  // namespace xslim

#endif  // XSLIM_QUANT_PLAN_H_
