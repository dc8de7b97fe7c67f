// Before: Unsqueeze | Reshape to one row -> Conv | ConvTranspose | MaxPool | AveragePool, elementwise ones
//         -> Squeeze | Reshape that drops the row
// After:  the same in one dimension less, where no window looks along the row. TensorFlow and Paddle compute
//         1-D layers like that; bias, normalization, activation and padding stand outside, where no other
//         pass brings them together with the Conv.
#include <algorithm>

#include "simplify/affine.h"
#include "simplify/match.h"
#include "simplify/same_shape.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// Lists with one number per spatial axis; pads has two.
constexpr const char* kPerAxis[] = {"kernel_shape", "strides", "dilations", "output_padding"};

// Whether attribute `name` of spatial axis `axis` says `wanted` or nothing.
bool Says(const Node& node, const char* name, size_t axis, size_t spatial, int64_t wanted) {
  const std::vector<int64_t> numbers = node.Ints(name);
  return !node.Has(name) || (numbers.size() == spatial && numbers[axis] == wanted);
}

// A window of one element along spatial axis `axis` of `spatial`.
bool IsWindow(const Graph& graph, const Node& node, size_t axis, size_t spatial) {
  const bool weights = node.Is("Conv") || node.Is("ConvTranspose"),
             pool = node.Is("MaxPool") || node.Is("AveragePool");
  if ((!weights && !pool) || node.outputs.size() != 1 || node.Has("output_shape")) return false;
  if (weights) {
    const Tensor* weight = node.input(1) == kNone ? nullptr : graph.Constant(node.input(1));
    if (weight == nullptr || weight->shape().size() != spatial + 2 || weight->shape()[axis + 2] != 1)
      return false;
  }
  const std::vector<int64_t> pads = node.Ints("pads", std::vector<int64_t>(2 * spatial, 0));
  return (weights || node.Has("kernel_shape")) && Says(node, "kernel_shape", axis, spatial, 1) &&
         Says(node, "strides", axis, spatial, 1) && Says(node, "output_padding", axis, spatial, 0) &&
         (!node.Has("dilations") || node.Ints("dilations").size() == spatial) && pads.size() == 2 * spatial &&
         pads[axis] == 0 && pads[axis + spatial] == 0;
}

Sizes Without(Sizes dims, size_t axis) {
  dims.erase(dims.begin() + static_cast<int64_t>(axis));
  return dims;
}

struct Chain {
  std::vector<NodeId> nodes;
  NodeId end = kNone;  // the one that drops the row
  size_t axis = 0;
};

// What stands between `first`, a reader of the reshaped tensor, and the operator that drops `axis`.
std::optional<Chain> ChainFrom(const Graph& graph, const ShapeFacts& facts, NodeId first, size_t axis,
                               size_t rank) {
  Chain chain{{}, kNone, axis};
  bool windows = false;
  ValueId data = graph.node(first).input(0);
  for (NodeId id = first; id != kNone;) {
    const Node& node = graph.node(id);
    if (node.input(0) != data) return std::nullopt;
    const ValueId output = node.outputs.empty() ? kNone : node.outputs[0];
    const TensorFacts &in = facts.of(node.input(0)), &out = facts.of(output);
    if (id != first && Reshapes(node)) {
      if (!windows || !in.dims || !out.dims || *out.dims != Without(*in.dims, axis)) return std::nullopt;
      chain.end = id;
      return chain;
    }
    const bool window = IsWindow(graph, node, axis - 2, rank - 2);
    if (!window && !IsUnary(node)) return std::nullopt;
    windows = windows || window;
    chain.nodes.push_back(id);
    data = output;
    id = graph.SoleUser(output);
  }
  return std::nullopt;
}

void DropAxis(Graph* graph, NodeId id, size_t axis) {
  Node& node = graph->node(id);
  ForgetShape(graph, node.outputs[0]);
  const auto erase = [&node](const char* name, std::vector<size_t> places) {
    if (!node.Has(name)) return;
    std::vector<int64_t> numbers = node.Ints(name);
    for (size_t at : places) numbers.erase(numbers.begin() + static_cast<int64_t>(at));
    node.attributes[name] = Attribute::Ints(std::move(numbers));
  };
  for (const char* name : kPerAxis) erase(name, {axis - 2});
  if (const size_t pads = node.Ints("pads").size(); pads > 0) erase("pads", {axis - 2 + pads / 2, axis - 2});
  if (!node.Is("Conv") && !node.Is("ConvTranspose")) return;
  const Tensor weight = *graph->Constant(node.input(1));
  Shape shape = weight.shape();
  shape.erase(shape.begin() + static_cast<int64_t>(axis));
  graph->SetInput(id, 1,
                  graph->AddConstant(graph->value(node.input(1)).name + "_1d", weight.Reshaped(shape)));
}

bool Narrow(Graph* graph, const ShapeFacts& facts, NodeId start, NodeId first) {
  const ValueId x = graph->node(start).input(0), reshaped = graph->node(start).outputs[0];
  const auto &from = facts.of(x).dims, &to = facts.of(reshaped).dims;
  if (!from || !to || graph->node(first).input(0) != reshaped) return false;
  for (size_t axis = 2; axis < to->size() && to->size() > 3; ++axis) {
    if (!(*to)[axis].Is(1)) continue;
    const auto chain = ChainFrom(*graph, facts, first, axis, to->size());
    const Sizes narrow = Without(*to, axis);
    const auto target = chain ? ReshapeTarget(*from, narrow) : std::nullopt;
    if (!target) continue;
    ValueId in = x;
    if (narrow != *from) {
      const std::string name = graph->value(reshaped).name + "_1d";
      in = graph->AddValue(name, facts.DTypeOf(x));
      graph->AddNode("Reshape", graph->UniqueNodeName(name), {x, AddInts(graph, name + "_shape", *target)},
                     {in});
    }
    graph->SetInput(first, 0, in);
    for (NodeId id : chain->nodes) DropAxis(graph, id, axis);
    Bypass(graph, chain->end, graph->node(chain->nodes.back()).outputs[0],
           graph->node(chain->end).outputs[0]);
    return true;
  }
  return false;
}

}  // namespace

int WindowsTo1d(Graph* graph, const SimplifyOptions& options) {
  if (!HasAny(*graph, {"Conv", "ConvTranspose", "MaxPool", "AveragePool"})) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !Reshapes(graph->node(id))) continue;
    const std::vector<Use> uses = graph->value(graph->node(id).outputs[0]).uses;
    for (const Use& use : uses) count += use.slot == 0 && Narrow(graph, facts, id, use.node);
  }
  return count;
}

}  // namespace xslim
