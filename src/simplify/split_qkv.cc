// Before: MatMul or Gemm by constants [-> Add] -> Reshape [-> Transpose] [-> Squeeze] -> Split, or Gathers
// After:  for each part its own MatMul or Gemm [-> Add] -> Reshape [-> Transpose]
//
// Exporters write attention with one product for query, key and value. Apart from each other they have ranges
// of their own, and the tensor with one axis more goes. A Split that cuts the product itself stays: it costs
// nothing.
#include <algorithm>
#include <set>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr size_t kFewestParts = 2, kMostParts = 3;  // key and value; query, key and value

struct Part {
  NodeId end;  // whose output the part is: the Gather, the Split, or the Squeeze behind it
  size_t slot;
  int64_t begin, size;
  bool keeps_axis;
};

struct Match {
  NodeId product = kNone, add = kNone;
  ValueId bias = kNone;      // of the Add
  Sizes dims;                // of the Reshape
  size_t columns = 0;        // the first axis of `dims` that holds columns of the product
  std::vector<size_t> axes;  // of the tensor that is cut: which axes of `dims`, in its order
  size_t cut = 0;            // the axis of `dims` that is cut
  std::vector<Part> parts;
  std::vector<NodeId> between;  // from the product to what cuts, which is the last one when it is a Split
};

class Matcher {
 public:
  Matcher(const Graph& graph, const ShapeFacts& facts) : graph_(graph), facts_(facts) {}

  std::optional<Match> From(const Node& product) {
    match_ = Match();
    match_.product = product.id;
    if (!Product(product)) return std::nullopt;
    ValueId at = product.outputs[0];
    if (const Node* add = SoleUserOfType(graph_, at, "Add")) {
      match_.bias = OtherInput(*add, at);
      if (match_.bias == kNone || !PerColumn(match_.bias)) return std::nullopt;
      match_.add = add->id;
      at = Pass(*add);
    }
    const Node* reshape = SoleUserOfType(graph_, at, "Reshape");
    if (reshape == nullptr || reshape->input(0) != at || !Reshaped(*reshape)) return std::nullopt;
    at = Pass(*reshape);
    for (;;) {
      if (const Node* transpose = SoleUserOfType(graph_, at, "Transpose")) {
        const std::vector<int64_t> perm = transpose->Ints("perm");
        if (perm.size() != match_.axes.size()) return std::nullopt;
        std::vector<size_t> moved;
        for (int64_t axis : perm) moved.push_back(match_.axes[static_cast<size_t>(axis)]);
        match_.axes = moved;
        at = Pass(*transpose);
      } else if (const Node* squeeze = SoleUserOfType(graph_, at, "Squeeze")) {
        if (!Squeezed(*squeeze)) return std::nullopt;
        at = Pass(*squeeze);
      } else {
        break;
      }
    }
    const bool cut = SoleUserOfType(graph_, at, "Split") ? CutBySplit(at) : CutByGathers(at);
    const bool fits = cut && match_.cut >= match_.columns && match_.parts.size() >= kFewestParts &&
                      match_.parts.size() <= kMostParts;
    return fits ? std::optional<Match>(match_) : std::nullopt;
  }

 private:
  ValueId Pass(const Node& node) {
    match_.between.push_back(node.id);
    return node.outputs[0];
  }

  bool Product(const Node& node) {
    const Tensor* weight = node.input(1) == kNone ? nullptr : graph_.Constant(node.input(1));
    if (weight == nullptr || weight->rank() != 2 || weight->dtype() != DType::kFloat) return false;
    const Value& value = graph_.value(node.input(1));
    if (value.uses.size() != 1 || value.is_output || graph_.CapturedBySubgraph(value.name)) return false;
    width_ = weight->dim(node.Is("Gemm") && node.Int("transB", 0) != 0 ? 0 : 1);
    return node.Is("MatMul") || node.input(2) == kNone || PerColumn(node.input(2));
  }

  // One number, or one per column.
  bool PerColumn(ValueId id) const {
    const Tensor* bias = graph_.Constant(id);
    return bias != nullptr && bias->dtype() == DType::kFloat &&
           (bias->size() == 1 || (bias->size() == width_ && bias->dim(-1) == width_));
  }

  // The last axes of the target are the columns, the ones before them the rows.
  bool Reshaped(const Node& reshape) {
    const TensorFacts &from = facts_.of(reshape.input(0)), &to = facts_.of(reshape.outputs[0]);
    if (!from.dims || !to.dims || from.dims->empty() || !from.dims->back().Is(width_)) return false;
    match_.dims = *to.dims;
    int64_t columns = 1;
    size_t first = match_.dims.size();
    while (first > 0 && columns < width_) {
      const Size& size = match_.dims[--first];
      if (!size.is_number() || size.factor < 1) return false;
      columns *= size.factor;
    }
    match_.columns = first;
    for (size_t i = 0; i < match_.dims.size(); ++i) match_.axes.push_back(i);
    return columns == width_;
  }

  bool Squeezed(const Node& squeeze) {
    const auto axes = IntsOf(graph_, squeeze, 1, "axes");
    if (!axes) return false;
    std::set<size_t> gone;
    for (int64_t axis : *axes) {
      const int64_t rank = static_cast<int64_t>(match_.axes.size()), at = axis < 0 ? axis + rank : axis;
      if (at < 0 || at >= rank) return false;
      gone.insert(match_.axes[static_cast<size_t>(at)]);
    }
    std::erase_if(match_.axes, [&](size_t axis) { return gone.count(axis) != 0; });
    return true;
  }

  // Notes the axis of `dims` that an operator with this attribute cuts; false when it is none.
  bool Cut(const Node& node) {
    const int64_t rank = static_cast<int64_t>(match_.axes.size()), axis = node.Int("axis", 0);
    const int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank) return false;
    match_.cut = match_.axes[static_cast<size_t>(at)];
    return match_.dims[match_.cut].is_number();
  }

  bool CutBySplit(ValueId at) {
    const Node& split = graph_.node(graph_.SoleUser(at));
    if (split.input(0) != at || !Cut(split)) return false;
    Pass(split);
    int64_t begin = 0;
    for (size_t slot = 0; slot < split.outputs.size(); ++slot) {
      const ValueId output = split.outputs[slot];
      if (output == kNone) return false;
      const int64_t size = facts_.DimOf(output, split.Int("axis", 0));
      if (size < 1) return false;
      Part part{split.id, slot, begin, size, true};
      begin += size;
      const Node* squeeze = SoleUserOfType(graph_, output, "Squeeze");
      if (size == 1 && squeeze != nullptr && SqueezesTheCut(*squeeze))
        part = {squeeze->id, 0, part.begin, 1, false};
      match_.parts.push_back(part);
    }
    return begin == match_.dims[match_.cut].factor;
  }

  bool SqueezesTheCut(const Node& squeeze) const {
    const auto axes = IntsOf(graph_, squeeze, 1, "axes");
    if (!axes || axes->size() != 1) return false;
    const int64_t rank = static_cast<int64_t>(match_.axes.size()),
                  at = (*axes)[0] < 0 ? (*axes)[0] + rank : (*axes)[0];
    return at >= 0 && at < rank && match_.axes[static_cast<size_t>(at)] == match_.cut;
  }

  bool CutByGathers(ValueId at) {
    const Value& value = graph_.value(at);
    if (value.is_output || graph_.CapturedBySubgraph(value.name)) return false;
    std::set<int64_t> taken;
    for (const Use& use : value.uses) {
      const Node& gather = graph_.node(use.node);
      const Tensor* index = gather.Is("Gather") && use.slot == 0 ? graph_.Constant(gather.input(1)) : nullptr;
      if (index == nullptr || index->size() != 1 || index->rank() > 1) return false;
      const size_t before = match_.cut;
      if (!Cut(gather) || (!taken.empty() && match_.cut != before)) return false;
      const int64_t size = match_.dims[match_.cut].factor, i = index->ToInts()[0],
                    place = i < 0 ? i + size : i;
      if (place < 0 || place >= size || !taken.insert(place).second) return false;
      match_.parts.push_back({gather.id, 0, place, 1, index->rank() == 1});
    }
    return true;
  }

  const Graph& graph_;
  const ShapeFacts& facts_;
  Match match_;
  int64_t width_ = 0;  // columns of the product
};

class Rewriter {
 public:
  Rewriter(Graph* graph, const Match& match)
      : graph_(*graph), match_(match), product_(graph->node(match.product)) {
    if (match.add != kNone) add_ = graph->node(match.add);
  }

  // Whether every part's shape can be written.
  bool Plan(const ShapeFacts& facts) {
    const Sizes rows = *facts.of(product_.outputs[0]).dims;
    for (const Part& part : match_.parts) {
      Sizes from = rows, to;
      from.back() = Number(static_cast<int64_t>(Columns(part).size()));
      for (size_t axis = 0; axis < match_.dims.size(); ++axis) {
        if (!Left(part, axis)) continue;
        to.push_back(axis == match_.cut ? Number(part.size) : match_.dims[axis]);
      }
      const auto target = ReshapeTarget(from, to);
      if (!target) return false;
      targets_.push_back(*target);
    }
    return true;
  }

  void Apply() {
    std::vector<ValueId> outputs;
    for (const Part& part : match_.parts) outputs.push_back(graph_.node(part.end).outputs[part.slot]);
    for (const Part& part : match_.parts) {
      if (graph_.alive(part.end)) graph_.RemoveNode(part.end);
    }
    for (auto at = match_.between.rbegin(); at != match_.between.rend(); ++at) {
      if (graph_.alive(*at)) graph_.RemoveNode(*at);
    }
    graph_.RemoveNode(match_.product);
    for (size_t i = 0; i < match_.parts.size(); ++i) Emit(i, outputs[i]);
  }

 private:
  // Whether the part has this axis of `dims`.
  bool Left(const Part& part, size_t axis) const {
    return std::count(match_.axes.begin(), match_.axes.end(), axis) != 0 &&
           (axis != match_.cut || part.keeps_axis);
  }

  // The columns of the product that are in a part.
  std::vector<int64_t> Columns(const Part& part) const {
    int64_t width = 1, inner = 1;
    for (size_t axis = match_.columns; axis < match_.dims.size(); ++axis) {
      width *= match_.dims[axis].factor;
      if (axis > match_.cut) inner *= match_.dims[axis].factor;
    }
    std::vector<int64_t> columns;
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = i / inner % match_.dims[match_.cut].factor;
      if (at >= part.begin && at < part.begin + part.size) columns.push_back(i);
    }
    return columns;
  }

  // What is left of a weight or bias: these places of the axis that has the columns.
  ValueId Take(ValueId id, int64_t axis, const std::vector<int64_t>& columns) {
    const Tensor all = *graph_.Constant(id);
    if (all.size() == 1) return id;
    const int64_t width = all.dim(axis), count = static_cast<int64_t>(columns.size());
    Shape shape = all.shape();
    shape[static_cast<size_t>(axis < 0 ? axis + all.rank() : axis)] = count;
    Tensor taken(DType::kFloat, shape);
    const bool rows = axis == 0 && all.rank() == 2;
    const int64_t length = rows ? all.dim(1) : 1, outer = all.size() / (width * length);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t c = 0; c < count; ++c) {
        const float* from = all.data<float>() + (o * width + columns[static_cast<size_t>(c)]) * length;
        std::copy(from, from + length, taken.data<float>() + (o * count + c) * length);
      }
    }
    return graph_.AddConstant(graph_.value(id).name + "_part", taken);
  }

  void Emit(size_t index, ValueId output) {
    const Part& part = match_.parts[index];
    const std::vector<int64_t> columns = Columns(part);
    const std::string name = graph_.value(output).name;
    const bool turned = product_.Is("Gemm") && product_.Int("transB", 0) != 0;
    std::vector<ValueId> inputs = product_.inputs;
    inputs[1] = Take(inputs[1], turned ? 0 : 1, columns);
    if (inputs.size() > 2 && inputs[2] != kNone) inputs[2] = Take(inputs[2], -1, columns);
    ValueId at = graph_.AddValue(name + "_product", DType::kFloat);
    graph_.AddNode(product_.op_type, product_.name + "_part", inputs, {at}, product_.attributes);
    if (match_.add != kNone) {
      const ValueId sum = graph_.AddValue(name + "_sum", DType::kFloat);
      graph_.AddNode("Add", add_.name + "_part", {at, Take(match_.bias, -1, columns)}, {sum});
      at = sum;
    }
    std::vector<int64_t> order;  // of the axes that are left
    std::vector<size_t> places;
    for (size_t axis = 0; axis < match_.dims.size(); ++axis) {
      if (Left(part, axis)) places.push_back(axis);
    }
    for (size_t axis : match_.axes) {
      const auto place = std::find(places.begin(), places.end(), axis);
      if (place != places.end()) order.push_back(place - places.begin());
    }
    const ValueId shape = AddInts(&graph_, name + "_shape", targets_[index]);
    if (std::is_sorted(order.begin(), order.end())) {
      graph_.AddNode("Reshape", name + "_Reshape", {at, shape}, {output});
      return;
    }
    const ValueId reshaped = graph_.AddValue(name + "_reshaped", DType::kFloat);
    graph_.AddNode("Reshape", name + "_Reshape", {at, shape}, {reshaped});
    graph_.AddNode("Transpose", name + "_Transpose", {reshaped}, {output},
                   {{"perm", Attribute::Ints(order)}});
  }

  Graph& graph_;
  const Match match_;
  const Node product_;
  Node add_;
  std::vector<std::vector<int64_t>> targets_;
};

}  // namespace

int SplitQkv(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || (!graph->node(id).Is("MatMul") && !graph->node(id).Is("Gemm"))) continue;
    const std::optional<Match> match = Matcher(*graph, facts).From(graph->node(id));
    if (!match) continue;
    Rewriter rewriter(graph, *match);
    if (!rewriter.Plan(facts)) continue;
    rewriter.Apply();
    ++count;
  }
  return count;
}

}  // namespace xslim
