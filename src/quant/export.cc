// Writes a plan into a graph. XSlim's form: Q and DQ once behind each quantized activation's producer,
// weights as int8 initializers with one DequantizeLinear each.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "base/log.h"
#include "quant/bias_room.h"
#include "quant/facts.h"
#include "quant/interest.h"
#include "quant/plan.h"

namespace xslim {
namespace {

class Exporter {
 public:
  Exporter(Graph graph, const QuantPlan& plan) : graph_(std::move(graph)), plan_(plan) {}

  Graph Export() {
    DropEnforcedActivations();
    for (const WeightQuant& weight : plan_.weights) ExportWeight(weight);
    if (plan_.quantize_bias) ExportBiases();
    for (const auto& [value, quant] : plan_.activations) ExportActivation(value, quant);
    DropBetweenPairs();
    for (NodeId id : graph_.Order()) PairForBodies(id);
    graph_.RemoveDead();
    return std::move(graph_);
  }

 private:
  float Bound(const Node& node, size_t slot, const char* attribute, float otherwise) const {
    if (node.input(slot) != kNone) {
      const Tensor* bound = graph_.Constant(node.input(slot));
      return bound != nullptr && bound->size() == 1 ? bound->ToFloat32().data<float>()[0] : std::nanf("");
    }
    return node.Float(attribute, otherwise);
  }

  // The code of a number, as QuantizeLinear gives it.
  static float CodeOf(float number, const QuantParams& params) {
    return std::clamp(std::nearbyint(number / params.scale[0]) + static_cast<float>(params.zero_point[0]),
                      -128.0f, 127.0f);
  }

  // By output of a folded activation: the parameters of the pair that its results get, its own one or that of
  // the last activation behind it.
  std::map<ValueId, const QuantParams*> PairsOfFolded(const std::vector<NodeId>& order) const {
    std::map<ValueId, const QuantParams*> pairs;
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      for (ValueId output : graph_.node(*id).outputs) {
        const auto folded = plan_.folded.find(output);
        if (folded == plan_.folded.end()) continue;
        const auto own = plan_.activations.find(output);
        if (own != plan_.activations.end()) pairs[output] = &own->second.params;
        const auto pair = pairs.find(output);
        if (pair != pairs.end()) pairs.emplace(folded->second, pair->second);
      }
    }
    return pairs;
  }

  // Whether codes of these parameters are all that a Relu or Clip does: its bounds have the end codes, so all
  // beyond has these codes, too. XSlim keeps a Clip whose bounds the range passes by less than half a step;
  // ONNX Runtime drops it itself, and then refuses the graph where a product or a Sigmoid stands before it.
  bool Enforces(const QuantParams& params, const Node& node) const {
    float least = 0.0f, most = std::numeric_limits<float>::infinity();  // a NaN: one that we do not know
    if (node.Is("Clip")) {
      least = Bound(node, 1, "min", -std::numeric_limits<float>::infinity());
      most = Bound(node, 2, "max", std::numeric_limits<float>::infinity());
    }
    return CodeOf(least, params) <= -128 && CodeOf(most, params) >= 127;
  }

  // Behind folded edges.
  void DropEnforcedActivations() {
    const std::vector<NodeId> order = graph_.Order();
    const std::map<ValueId, const QuantParams*> pairs = PairsOfFolded(order);
    for (NodeId activation : order) {
      const Node& node = graph_.node(activation);
      const ValueId output = node.outputs.empty() ? kNone : node.outputs[0];
      const auto pair = pairs.find(output);
      if (plan_.folded.count(output) == 0 || pair == pairs.end() || !pair->second->set()) continue;
      if (!Enforces(*pair->second, node)) continue;
      // The producer writes the activation's output under its own name: outputs keep theirs.
      const Value& from = graph_.value(node.input(0));
      const NodeId producer = from.producer;
      const size_t slot = static_cast<size_t>(from.producer_slot);
      graph_.RemoveNode(activation);
      graph_.SetOutput(producer, slot, output);
    }
  }

  // Of a tensor with other readers and a pair of its own: the activation's pair then reads that one.
  void DropBetweenPairs() {
    for (const auto& [value, quant] : plan_.activations) {
      const Node* dequantize = graph_.Producer(value);
      if (dequantize == nullptr || !dequantize->Is("DequantizeLinear")) continue;
      const NodeId quantize = graph_.value(dequantize->input(0)).producer;
      const Node* activation = graph_.Producer(graph_.node(quantize).input(0));
      if (activation == nullptr || RoleOf(graph_, *activation) != QuantRole::kActivation) continue;
      if (plan_.folded.count(value) != 0 || !Enforces(quant.params, *activation)) continue;
      const NodeId dropped = activation->id;
      graph_.SetInput(quantize, 0, activation->input(0));
      graph_.RemoveNode(dropped);
    }
  }

  void ExportWeight(const WeightQuant& placed) {
    const std::optional<WeightQuant> roomy = Roomy(placed);
    const WeightQuant& weight = roomy ? *roomy : placed;
    const size_t slot = static_cast<size_t>(weight.slot);
    const ValueId original = graph_.node(weight.node).input(slot);
    // One DequantizeLinear per constant and set of parameters, shared by its readers.
    const WeightKey key{original, weight.params.axis, weight.params.scale, weight.params.zero_point};
    auto found = weights_.find(key);
    if (found == weights_.end()) {
      const std::string name = graph_.value(original).name;
      const ValueId codes = graph_.AddConstant(name + "_quantized", weight.codes);
      const bool scalar = weight.params.axis < 0;
      const Shape shape = scalar ? Shape{} : Shape{static_cast<int64_t>(weight.params.scale.size())};
      std::vector<int8_t> zeros(weight.params.zero_point.begin(), weight.params.zero_point.end());
      const ValueId scale =
          graph_.AddConstant(name + "_scale", Tensor::Of<float>(shape, weight.params.scale));
      const ValueId zero = graph_.AddConstant(name + "_zero_point", Tensor::Of<int8_t>(shape, zeros));
      const ValueId output = graph_.AddValue(name + "_dequantized", DType::kFloat);
      std::map<std::string, Attribute> attributes;
      if (!scalar) attributes["axis"] = Attribute::Int(weight.params.axis);
      graph_.AddNode("DequantizeLinear", name + "_DequantizeLinear", {codes, scale, zero}, {output},
                     attributes);
      found = weights_.emplace(key, output).first;
    }
    graph_.SetInput(weight.node, slot, found->second);
  }

  std::optional<WeightQuant> Roomy(const WeightQuant& weight) const {
    const Node& node = graph_.node(weight.node);
    if (weight.slot != 1 || !TakesBias(node)) return {};
    const Tensor* bias = node.input(2) == kNone ? nullptr : graph_.Constant(node.input(2));
    const QuantParams* input = bias == nullptr ? nullptr : InputParams(node.input(0));
    if (input == nullptr || !weight.params.set()) return {};
    return WithRoomForBias(weight, *bias, input->scale[0]);
  }

  void ExportBiases() {
    std::map<NodeId, const WeightQuant*> weights;  // of slot 1
    for (const WeightQuant& weight : plan_.weights) {
      if (weight.slot == 1) weights[weight.node] = &weight;
    }
    for (NodeId id : plan_.nodes) {
      const auto weight = weights.find(id);
      if (weight != weights.end() && graph_.alive(id)) ExportBias(id, weight->second);
    }
  }

  // int32 bias: scale = input scale x weight scale; left float where |bias / scale| would pass 2^20.
  void ExportBias(NodeId id, const WeightQuant* weight) {
    const Node& node = graph_.node(id);
    if (!TakesBias(node)) return;
    const Tensor* bias = node.input(2) == kNone ? nullptr : graph_.Constant(node.input(2));
    const QuantParams* input = InputParams(node.input(0));
    if (bias == nullptr || bias->rank() != 1 || input == nullptr) return;
    const int64_t n = bias->size();
    if (weight->params.scale.size() != 1 && static_cast<int64_t>(weight->params.scale.size()) != n) return;
    std::vector<float> scales;
    Tensor codes(DType::kInt32, bias->shape());
    for (int64_t i = 0; i < n; ++i) {
      const size_t channel = weight->params.scale.size() == 1 ? 0 : static_cast<size_t>(i);
      const float scale = input->scale[0] * weight->params.scale[channel];
      const float code = std::nearbyint(bias->data<float>()[i] / scale);
      if (!(std::fabs(code) <= 0x1p20f)) {
        LogDebug(node.Title(), ": bias stays float, it would pass 2^20 steps");
        return;
      }
      codes.data<int32_t>()[i] = static_cast<int32_t>(code);
      scales.push_back(scale);
    }
    const std::string name = graph_.value(node.input(2)).name;
    const ValueId q = graph_.AddConstant(name + "_quantized", codes);
    const ValueId s = graph_.AddConstant(name + "_scale", Tensor::Of<float>({n}, scales));
    const ValueId z = graph_.AddConstant(name + "_zero_point",
                                         Tensor::Of<int32_t>({n}, std::vector<int32_t>(scales.size(), 0)));
    const ValueId output = graph_.AddValue(name + "_dequantized", DType::kFloat);
    graph_.AddNode("DequantizeLinear", name + "_DequantizeLinear", {q, s, z}, {output},
                   {{"axis", Attribute::Int(0)}});
    graph_.SetInput(id, 2, output);
  }

  // Parameters of the grid that a value lies on, through passive operators.
  const QuantParams* InputParams(ValueId id) const {
    for (int depth = 0; depth < 64 && id != kNone; ++depth) {
      const auto found = plan_.activations.find(id);
      if (found != plan_.activations.end())
        return found->second.params.set() ? &found->second.params : nullptr;
      const Node* producer = graph_.Producer(id);
      if (producer == nullptr || !plan_.nodes.count(producer->id)) return nullptr;
      id = producer->input(0);
    }
    return nullptr;
  }

  void ExportActivation(ValueId value, const ActivationQuant& quant) {
    if (!quant.params.set()) throw Error("no range was chosen for the tensor " + graph_.value(value).name);
    const std::string name = graph_.value(value).name;
    const ValueId scale = graph_.AddConstant(name + "_scale", Tensor::Scalar<float>(quant.params.scale[0]));
    const ValueId zero = graph_.AddConstant(
        name + "_zero_point", Tensor::Scalar<int8_t>(static_cast<int8_t>(quant.params.zero_point[0])));
    const ValueId codes = graph_.AddValue(name + "_q", DType::kInt8);
    const Node* source = graph_.Producer(value);
    if (source == nullptr || !plan_.nodes.count(source->id)) {
      // From a float operator or from outside: operators of the plan move to the dequantized copy.
      const ValueId output = graph_.AddValue(name + "_dq", DType::kFloat);
      const std::vector<Use> uses = graph_.value(value).uses;
      for (const Use& use : uses) {
        if (plan_.nodes.count(use.node)) graph_.SetInput(use.node, static_cast<size_t>(use.slot), output);
      }
      graph_.AddNode("QuantizeLinear", name + "_QuantizeLinear", {value, scale, zero}, {codes});
      graph_.AddNode("DequantizeLinear", name + "_DequantizeLinear", {codes, scale, zero}, {output});
      return;
    }
    PairBehindProducer(value, scale, zero, codes);
  }

  // The producer writes a new value, DequantizeLinear takes over the name that readers and outputs know.
  void PairBehindProducer(ValueId value, ValueId scale, ValueId zero, ValueId codes) {
    const std::string name = graph_.value(value).name;
    const NodeId producer = graph_.value(value).producer;
    const size_t slot = static_cast<size_t>(graph_.value(value).producer_slot);
    const ValueId raw = graph_.AddValue(name + "_float", DType::kFloat);
    graph_.SetOutput(producer, slot, raw);
    graph_.AddNode("QuantizeLinear", name + "_QuantizeLinear", {raw, scale, zero}, {codes});
    graph_.AddNode("DequantizeLinear", name + "_DequantizeLinear", {codes, scale, zero}, {value});
  }

  // Data movement over which ONNX Runtime (QDQPropagationTransformer) carries the pair in front of it.
  static bool CarriesPair(const Node& node) {
    return node.Is("MaxPool") || node.Is("Reshape") || node.Is("Transpose") || node.Is("Squeeze") ||
           node.Is("Unsqueeze") || node.Is("Slice");
  }

  // Where a body reads what such movement gives, ONNX Runtime 1.24 fails at placing the carried pair, and
  // aborts. With the pair in the file there is nothing to place; the numbers are on its grid already.
  void PairForBodies(NodeId id) {
    if (!CarriesPair(graph_.node(id))) return;
    const ValueId value = graph_.node(id).outputs[0];
    if (!graph_.CapturedBySubgraph(graph_.value(value).name)) return;
    const Node* source = &graph_.node(id);
    while (source != nullptr && CarriesPair(*source)) source = graph_.Producer(source->input(0));
    if (source == nullptr || !source->Is("DequantizeLinear")) return;
    const ValueId scale = source->input(1), zero = source->input(2);
    const Tensor* step = graph_.Constant(scale);
    if (step == nullptr || step->rank() != 0) return;
    PairBehindProducer(value, scale, zero, graph_.AddValue(graph_.value(value).name + "_q", DType::kInt8));
  }

  using WeightKey = std::tuple<ValueId, int, std::vector<float>, std::vector<int32_t>>;  // params taken apart

  Graph graph_;
  const QuantPlan& plan_;
  std::map<WeightKey, ValueId> weights_;
};

}  // namespace

Graph ExportQdq(const Graph& graph, const QuantPlan& plan) { return Exporter(graph, plan).Export(); }

ExportedPair FindPair(const Graph& exported, const std::string& name) {
  const ValueId id = exported.Find(name);
  if (id == kNone) return {};
  // Behind an operator of the plan, the dequantized tensor took over the name; any other keeps it.
  const Node* last = exported.Producer(id);
  if (last != nullptr && last->Is("DequantizeLinear")) {
    const Node* first = exported.Producer(last->input(0));
    if (first != nullptr && first->Is("QuantizeLinear")) return {first->id, last->id, id};
  }
  for (const Use& use : exported.value(id).uses) {
    const Node& first = exported.node(use.node);
    if (!first.Is("QuantizeLinear") || use.slot != 0) continue;
    for (const Use& next : exported.value(first.outputs[0]).uses) {
      const Node& reader = exported.node(next.node);
      if (reader.Is("DequantizeLinear")) return {first.id, reader.id, reader.outputs[0]};
    }
  }
  return {};
}

}  // namespace xslim
