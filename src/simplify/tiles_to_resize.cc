// Before: Reshape that adds an axis of 1 -> Tile along it -> Reshape, for each of several axes (Keras repeats
//         rows, then columns), also with a Transpose behind the first Tile
// After:  Resize to the nearest, with all scales
//
// One Tile alone stays: what it repeats may be heads of attention.
#include <algorithm>
#include <cmath>
#include <functional>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr int kMostHops = 3;  // Reshapes and Transposes between two Tiles

struct Repeat {
  size_t axis = 0;  // of size 1 before
  int64_t times = 1;
};

std::optional<Repeat> RepeatOf(const Graph& graph, const ShapeFacts& facts, const Node& node) {
  const Tensor* repeats = node.Is("Tile") && node.input(1) != kNone ? graph.Constant(node.input(1)) : nullptr;
  const TensorFacts& x = facts.of(node.input(0));
  if (repeats == nullptr || !x.dims || x.dtype != DType::kFloat) return std::nullopt;
  const std::vector<int64_t> times = repeats->ToInts();
  if (times.size() != x.dims->size() || std::ranges::count(times, 1) + 1 != std::ssize(times))
    return std::nullopt;
  const auto at = std::ranges::find_if(times, [](int64_t number) { return number != 1; });
  const auto axis = static_cast<size_t>(at - times.begin());
  if (axis == 0 || *at < 1 || !(*x.dims)[axis].Is(1)) return std::nullopt;
  return Repeat{axis, *at};
}

// How often a Resize repeats each axis; nothing where it does anything else.
std::optional<std::vector<float>> RepeatsNearest(const Graph& graph, const Node& node) {
  const Tensor* scales =
      node.Is("Resize") && node.input(2) != kNone ? graph.Constant(node.input(2)) : nullptr;
  if (scales == nullptr || scales->dtype() != DType::kFloat || scales->size() == 0 ||
      node.String("mode", "nearest") != "nearest" ||
      node.String("coordinate_transformation_mode", "half_pixel") != "asymmetric" ||
      node.String("nearest_mode", "round_prefer_floor") != "floor" || node.Has("axes") ||
      node.input(1) != kNone || node.input(3) != kNone)
    return std::nullopt;
  const std::vector<float> times(scales->data<float>(), scales->data<float>() + scales->size());
  const auto is_whole = [](float time) { return time >= 1 && time == std::floor(time); };
  return std::ranges::all_of(times, is_whole) ? std::optional(times) : std::nullopt;
}

bool Repeats(const Graph& graph, const ShapeFacts& facts, const Node& node) {
  return RepeatsNearest(graph, node) || RepeatOf(graph, facts, node);
}

// Whether another axis is repeated right in front or behind.
bool OneOfSeveral(const Graph& graph, const ShapeFacts& facts, const Node& tile) {
  const auto passes = [](const Node& node) { return Reshapes(node) || node.Is("Transpose"); };
  const Node* at = &tile;
  for (int hop = 0; hop <= kMostHops && at != nullptr; ++hop) {
    const NodeId next = graph.SoleUser(at->outputs[0]);
    at = next == kNone ? nullptr : &graph.node(next);
    if (at != nullptr && Repeats(graph, facts, *at)) return true;
    if (at != nullptr && !passes(*at)) break;
  }
  at = &tile;
  for (int hop = 0; hop <= kMostHops && at != nullptr; ++hop) {
    at = at->input(0) == kNone ? nullptr : graph.Producer(at->input(0));
    if (at != nullptr && Repeats(graph, facts, *at)) return true;
    if (at != nullptr && !passes(*at)) break;
  }
  return false;
}

// `perm` of a tensor whose `axis` has become part of the axis in front of it; empty where it parts the two.
std::vector<int64_t> PermWithout(const Node& transpose, size_t axis) {
  std::vector<int64_t> perm = transpose.Ints("perm");
  const auto at = std::ranges::find(perm, static_cast<int64_t>(axis));
  if (at == perm.begin() || at == perm.end() || *(at - 1) + 1 != *at) return {};
  perm.erase(at);
  for (int64_t& from : perm) from -= from > static_cast<int64_t>(axis) ? 1 : 0;
  return perm;
}

bool Rewrite(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const auto repeat = RepeatOf(*graph, facts, graph->node(id));
  if (!repeat || !OneOfSeveral(*graph, facts, graph->node(id))) return false;
  const ValueId x = graph->node(id).input(0), tiled = graph->node(id).outputs[0];
  Sizes small = *facts.of(x).dims;
  small.erase(small.begin() + static_cast<int64_t>(repeat->axis));
  const Node* transpose = SoleUserOfType(*graph, tiled, "Transpose");
  const std::vector<int64_t> perm =
      transpose == nullptr ? std::vector<int64_t>() : PermWithout(*transpose, repeat->axis);
  const NodeId last = perm.empty() ? id : transpose->id;
  const auto& out = facts.of(graph->node(last).outputs[0]).dims;
  const auto down = ReshapeTarget(*facts.of(x).dims, small);
  const auto up = out ? ReshapeTarget({}, *out) : std::nullopt;
  if (!down || !up) return false;
  const std::string name = graph->value(tiled).name;
  std::vector<float> scales(small.size(), 1.0f);
  scales[repeat->axis - 1] = static_cast<float>(repeat->times);
  const ValueId factors =
      graph->AddConstant(name + "_scales", Tensor::Of<float>({std::ssize(scales)}, scales));
  const auto put = [&](const char* op_type, std::vector<ValueId> inputs,
                       std::map<std::string, Attribute> attributes) {
    const std::string made = name + "_" + op_type;
    const ValueId value = graph->AddValue(made, DType::kFloat);
    graph->AddNode(op_type, graph->UniqueNodeName(made), std::move(inputs), {value}, std::move(attributes));
    return value;
  };
  const ValueId flat = put("Reshape", {x, AddInts(graph, name + "_small", *down)}, {});
  ValueId large = put("Resize", {flat, kNone, factors},
                      {{"mode", Attribute::String("nearest")},
                       {"coordinate_transformation_mode", Attribute::String("asymmetric")},
                       {"nearest_mode", Attribute::String("floor")}});
  if (!perm.empty()) large = put("Transpose", {large}, {{"perm", Attribute::Ints(perm)}});
  ReplaceWith(graph, last, "Reshape", {large, AddInts(graph, name + "_large", *up)}, {});
  return true;
}

// Resize of a Resize.
bool Merge(Graph* graph, NodeId id) {
  const Node* second = SoleUserOfType(*graph, graph->node(id).outputs[0], "Resize");
  if (second == nullptr || second->input(0) != graph->node(id).outputs[0]) return false;
  auto first = RepeatsNearest(*graph, graph->node(id));
  const auto times = RepeatsNearest(*graph, *second);
  if (!first || !times || first->size() != times->size()) return false;
  std::ranges::transform(*first, *times, first->begin(), std::multiplies());
  const std::string name = graph->value(second->input(2)).name;
  graph->SetInput(second->id, 2, graph->AddConstant(name, Tensor::Of<float>({std::ssize(*first)}, *first)));
  graph->SetInput(second->id, 0, graph->node(id).input(0));
  return true;
}

}  // namespace

int TilesToResize(Graph* graph, const SimplifyOptions& options) {
  constexpr int kFromOpset = 13;  // no region of interest needs to be named
  if (graph->opset() < kFromOpset) return 0;
  if (!HasAny(*graph, {"Tile", "Resize"})) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id)) continue;
    count += Rewrite(graph, facts, id);
    if (graph->alive(id) && graph->node(id).Is("Resize")) count += Merge(graph, id);
  }
  return count;
}

}  // namespace xslim
