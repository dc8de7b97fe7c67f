// Rules for operators that only move elements.
#include <set>

#include "graph/subgraph.h"
#include "runtime/executor.h"
#include "tune/gradient_builder.h"

namespace xslim {
namespace {

constexpr int64_t kMostPlaces = int64_t{1} << 24;  // floats count exactly up to here

bool Reshaping(const Node& node) {
  static const std::set<std::string> types = {"Reshape",  "Flatten", "Squeeze", "Unsqueeze",
                                              "Identity", "Dropout", "Cast"};
  return types.count(node.op_type) != 0;
}

bool Transpose(const GradientSite& site) {
  const size_t rank = site.shape(0).size();
  const std::vector<int64_t> perm = site.node.Ints("perm");
  std::vector<int64_t> back(rank);
  for (size_t i = 0; i < rank; ++i)
    back[static_cast<size_t>(perm.empty() ? static_cast<int64_t>(rank - 1 - i) : perm[i])] =
        static_cast<int64_t>(i);
  site.builder.Give(site.x(0),
                    site.builder.Emit("Transpose", {site.g[0]}, {{"perm", Attribute::Ints(back)}}));
  return true;
}

bool Concat(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const int64_t rank = static_cast<int64_t>(site.out_shape().size()), axis = site.node.Int("axis", 0);
  const size_t at = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  int64_t begin = 0;
  for (ValueId input : site.node.inputs) {
    const int64_t end = begin + b.ShapeOf(input)[at];
    if (b.Needs(input)) {
      b.Give(input, b.Emit("Slice",
                           {site.g[0], b.Ints({begin}), b.Ints({end}), b.Ints({static_cast<int64_t>(at)})}));
    }
    begin = end;
  }
  return true;
}

bool Split(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  std::vector<ValueId> parts;
  for (size_t i = 0; i < site.g.size(); ++i) {
    if (site.node.outputs[i] == kNone) return false;
    parts.push_back(site.g[i] != kNone ? site.g[i] : b.Zeros(b.ShapeOf(site.node.outputs[i])));
  }
  b.Give(site.x(0), b.Emit("Concat", parts, {{"axis", Attribute::Int(site.node.Int("axis", 0))}}));
  return true;
}

// Any other: the operator is run once on the numbers 1, 2, 3 ... in place of elements, and the derivatives go
// to where those came from. 0 stands for what came from nowhere (padding).
bool ByPlaces(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Graph& graph = b.graph();
  const int64_t size = ElementCount(site.shape(0));
  if (size >= kMostPlaces || site.node.outputs.size() != 1) return false;
  for (size_t i = 1; i < site.node.inputs.size(); ++i) {
    if (site.x(i) != kNone && graph.Constant(site.x(i)) == nullptr) return false;
  }
  if (site.node.Is("Pad")) {
    if (site.node.String("mode", "constant") != "constant") return false;
    const Tensor* filled = site.x(2) == kNone ? nullptr : graph.Constant(site.x(2));
    if (filled != nullptr && filled->ToFloat32().data<float>()[0] != 0.0f) return false;
  }
  const Subgraph part = Extract(graph, {site.node.id});
  if (part.inputs.size() != 1) return false;
  Tensor numbers(DType::kFloat, site.shape(0));
  for (int64_t i = 0; i < size; ++i) numbers.data<float>()[i] = static_cast<float>(i + 1);
  Executor executor(part.graph, b.pool());
  const std::vector<Tensor> moved = executor.Run({numbers});
  Tensor places(DType::kInt64, {moved.at(0).size()});
  for (int64_t i = 0; i < places.size(); ++i)
    places.data<int64_t>()[i] = static_cast<int64_t>(moved[0].data<float>()[i]);
  const ValueId all =
      b.Emit("ScatterElements", {b.Zeros({size + 1}), b.Constant(places), b.Reshaped(site.g[0], {-1})},
             {{"reduction", Attribute::String("add")}});
  const ValueId own = b.Emit("Slice", {all, b.Ints({1}), b.Ints({size + 1}), b.Ints({0})});
  b.Give(site.x(0), b.Reshaped(own, site.shape(0)));
  return true;
}

}  // namespace

bool HandOnMoved(const GradientSite& site) {
  static const std::set<std::string> types = {"Slice",        "Pad",          "Gather",
                                              "DepthToSpace", "SpaceToDepth", "Tile"};
  const Node& node = site.node;
  if (node.Is("Split")) return Split(site);
  if (site.g[0] == kNone) return false;
  if (Reshaping(node)) {
    site.builder.Give(site.x(0), site.builder.Reshaped(site.g[0], site.shape(0)));
    return true;
  }
  if (node.Is("Expand")) {
    site.builder.Give(site.x(0), site.builder.SumTo(site.g[0], site.out_shape(), site.shape(0)));
    return true;
  }
  if (node.Is("Transpose")) return Transpose(site);
  if (node.Is("Concat")) return Concat(site);
  return types.count(node.op_type) != 0 && ByPlaces(site);
}

}  // namespace xslim
