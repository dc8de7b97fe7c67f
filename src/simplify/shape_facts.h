// What is known of the values of a graph without running it: element types, shapes over symbols, and the
// numbers inside small integer tensors, so that shape arithmetic can be followed.
#ifndef XSLIM_SIMPLIFY_SHAPE_FACTS_H_
#define XSLIM_SIMPLIFY_SHAPE_FACTS_H_

#include <optional>
#include <vector>

#include "simplify/size.h"

namespace xslim {

struct TensorFacts {
  DType dtype = DType::kUndefined;  // undefined: not known
  std::optional<Sizes> dims;        // none: not even the rank is known
  std::optional<Sizes> content;     // the elements of an integer or boolean tensor of rank 0 or 1
};

class ShapeFacts {
 public:
  // Follows the operators from the graph's inputs. `body`: the graph is a body of If, Loop or Scan; the
  // shapes that its inputs are declared with need not hold and are not used. Shapes declared for other values
  // never are. `initialized`: what Constant nodes hold is known as if they were initializers, which they are
  // once ConstantsToInitializers has run.
  ShapeFacts(const Graph& graph, bool body, bool initialized = false);

  // Facts of a value that was there when the facts were made; of later ones nothing is known.
  const TensorFacts& of(ValueId id) const;
  DType DTypeOf(ValueId id) const { return of(id).dtype; }
  // Rank, or -1.
  int64_t RankOf(ValueId id) const;
  // The size of an axis (negative: from the end) when it is a known number, else -1.
  int64_t DimOf(ValueId id, int64_t axis) const;
  bool SameShape(ValueId a, ValueId b) const;
  const SymbolTable& symbols() const { return symbols_; }

 private:
  std::vector<TensorFacts> facts_;
  SymbolTable symbols_;
};

// One operator's rule (shape_rules.cc): from the facts of inputs to those of outputs.
struct RuleContext {
  const Graph& graph;
  const Node& node;
  int opset;
  SymbolTable& symbols;
  const std::vector<TensorFacts>& facts;
  std::vector<TensorFacts>& outputs;

  const TensorFacts& in(size_t slot) const;
  bool has(size_t slot) const { return node.input(slot) != kNone; }
  // Known integers of an input, or of the attribute that older versions have instead.
  std::optional<std::vector<int64_t>> Ints(size_t slot, const char* attribute) const;
  Size FreshDim(size_t output, size_t axis) const;
};

// Whether an elementwise operator's operand may give its output a larger shape than that of the operand
// `other`.
bool MayWiden(const Graph& graph, const ShapeFacts& facts, ValueId operand, ValueId other, ValueId output);

// Runs the rule of the node's operator where there is one.
void ApplyShapeRule(RuleContext& context);

// The constant that makes Reshape turn a tensor of `from` into `to`: numbers, 0 for an axis that is kept, at
// most one -1. None when that cannot be said.
std::optional<std::vector<int64_t>> ReshapeTarget(const Sizes& from, const Sizes& to);

// Whether a Transpose by `perm` keeps the axes of more than one element in order.
bool MovesOnlyOnes(const Sizes& from, const std::vector<int64_t>& perm);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SHAPE_FACTS_H_
