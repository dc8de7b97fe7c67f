// Element types and shapes of every value, taken from one real run; stages ask here instead of guessing.
#ifndef XSLIM_QUANT_FACTS_H_
#define XSLIM_QUANT_FACTS_H_

#include <vector>

#include "base/threads.h"
#include "graph/graph.h"
#include "runtime/computable.h"

namespace xslim {

struct ValueFact {
  DType dtype = DType::kUndefined;  // undefined: the value was not computed
  Shape shape;
};

class ValueFacts {
 public:
  // Runs the graph once on `inputs` (in the order of FreeInputs()). Throws what the executor throws. What
  // depends on an unknown operator has no facts.
  ValueFacts(const Graph& graph, const std::vector<Tensor>& inputs, ThreadPool& pool);
  size_t size() const { return facts_.size(); }  // ids below it have a fact
  const ValueFact& of(ValueId id) const { return facts_[static_cast<size_t>(id)]; }
  const std::vector<UnknownOperator>& unknown() const { return unknown_; }
  bool is_float(ValueId id) const { return id != kNone && of(id).dtype == DType::kFloat; }
  int64_t elements(ValueId id) const {
    return of(id).dtype == DType::kUndefined ? 0 : ElementCount(of(id).shape);
  }

 private:
  std::vector<ValueFact> facts_;
  std::vector<UnknownOperator> unknown_;
};

// Conv, ConvTranspose, Gemm or MatMul.
bool IsComputing(const Node& node);

// Whether input 2 is a bias that the operator adds to its products.
bool TakesBias(const Node& node);

// What a computing operator of another float type than float32 computes in; kUndefined for other operators.
DType OtherFloatOf(const Node& node, const ValueFacts& facts);

// Multiply-adds of one forward of a node; 0 for what is no matrix product, convolution or LSTM, GRU, RNN.
int64_t MacsOf(const Node& node, const ValueFacts& facts);
int64_t MacsOf(const Graph& graph, const ValueFacts& facts);  // of all nodes

}  // namespace xslim

#endif  // XSLIM_QUANT_FACTS_H_
