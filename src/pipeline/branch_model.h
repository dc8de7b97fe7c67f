// A branch of an If as a model of its own, and the way back.
#ifndef XSLIM_PIPELINE_BRANCH_MODEL_H_
#define XSLIM_PIPELINE_BRANCH_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "data/samples.h"
#include "quant/bodies.h"
#include "quant/facts.h"

namespace xslim {

struct Branch {
  NodeId node = kNone;  // the If
  std::string key;      // "then_branch" or "else_branch"
  std::string title;
  std::shared_ptr<const Graph> body;
  std::vector<ValueId> reads, constants;  // of the graph around it
  std::vector<Sample> samples;            // of `reads`, in that order
  std::string why_float;                  // not empty: it cannot be quantized
};

// Conv, ConvTranspose, Gemm and MatMul in the graph and the branches in it. What Loop and Scan hold never
// becomes int8 and does not count.
int64_t ProductsIn(const Graph& graph);

// The branches of an If that hold products; none for other operators.
std::vector<Branch> BranchesOf(const Graph& graph, NodeId node);

// Fills the samples of the branches of one If with what they read in the samples of `source` that take them:
// the first ones, as many as fit in a bound that does not depend on the ceiling. Sets why_float where there
// are none. facts: of the graph.
void HoldSamples(const Graph& graph, const ValueFacts& facts, const SampleSource& source,
                 const std::vector<int64_t>& indices, ThreadPool& pool, const MemoryCeiling& ceiling,
                 std::vector<Branch>* branches);

// What the branch reads from outside are inputs of the model, or constants.
Graph AsModel(const Graph& outer, const Branch& branch);

// What a model that was made of `before` is as a body in `outer`: inputs are read by their names, and so are
// constants that `outer` has. Others, changed on the way to int8, and all that is new get names that hide
// none of `taken`.
Graph AsBody(Graph model, const Graph& before, const Graph& outer, TensorNames* taken);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_BRANCH_MODEL_H_
