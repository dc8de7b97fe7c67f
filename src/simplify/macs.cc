#include "simplify/macs.h"

#include "simplify/shape_facts.h"

namespace xslim {
namespace {

class Counter {
 public:
  explicit Counter(const Graph& graph) : graph_(graph), facts_(graph, false) {}

  // -1 when not known.
  int64_t Of(const Node& node) const {
    const ValueId x = node.input(0), w = node.input(1), y = node.outputs[0];
    if (node.Is("Conv")) return Times(Elements(y), PerFirst(w));
    if (node.Is("ConvTranspose")) return Times(Elements(x), PerFirst(w));
    if (node.Is("Gemm")) return Times(Elements(y), SizeAt(x, node.Int("transA", 0) != 0 ? 0 : 1));
    if (node.Is("MatMul")) return Times(Elements(y), SizeAt(x, facts_.RankOf(x) - 1));
    if (node.IsRecurrent()) return Times(Rows(x), Plus(Elements(w), Elements(node.input(2))));
    return 0;
  }

 private:
  static int64_t Plus(int64_t a, int64_t b) {
    int64_t sum = 0;
    return a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum) ? -1 : sum;
  }

  static int64_t Times(int64_t a, int64_t b) {
    int64_t product = 0;
    return a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) ? -1 : product;
  }

  int64_t NumberOf(const Size& size) const {
    for (int symbol : size.symbols) {
      const auto axis = facts_.symbols().AxisOf({1, {symbol}});
      if (!axis || axis->axis != 0 || !graph_.value(axis->value).is_input) return -1;
    }
    return size.factor;
  }

  int64_t SizeAt(ValueId id, int64_t axis) const {
    const TensorFacts& facts = facts_.of(id);
    if (!facts.dims || axis < 0 || axis >= static_cast<int64_t>(facts.dims->size())) return -1;
    return NumberOf((*facts.dims)[static_cast<size_t>(axis)]);
  }

  int64_t Elements(ValueId id) const {
    const TensorFacts& facts = facts_.of(id);
    int64_t elements = facts.dims ? 1 : -1;
    for (size_t axis = 0; facts.dims && axis < facts.dims->size(); ++axis)
      elements = Times(elements, NumberOf((*facts.dims)[axis]));
    return elements;
  }

  // Of the last axis.
  int64_t Rows(ValueId id) const {
    const int64_t row = SizeAt(id, facts_.RankOf(id) - 1), elements = Elements(id);
    return row <= 0 || elements < 0 ? -1 : elements / row;
  }

  // Elements of a weight for each index of its axis 0.
  int64_t PerFirst(ValueId id) const {
    const int64_t first = SizeAt(id, 0);
    const int64_t elements = Elements(id);
    return first <= 0 || elements < 0 ? -1 : elements / first;
  }

  const Graph& graph_;
  const ShapeFacts facts_;
};

}  // namespace

int64_t CountMacs(const Graph& graph) {
  const Counter counter(graph);
  int64_t sum = 0;
  for (NodeId id : graph.Order()) {
    const int64_t macs = counter.Of(graph.node(id));
    if (macs < 0 || __builtin_add_overflow(sum, macs, &sum)) return -1;
  }
  return sum;
}

}  // namespace xslim
