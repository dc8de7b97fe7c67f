// How If, Loop, Scan and SequenceMap run their bodies without knowing the executor.
#ifndef XSLIM_OPS_GRAPH_RUNNER_H_
#define XSLIM_OPS_GRAPH_RUNNER_H_

#include <vector>

#include "ops/operator.h"

namespace xslim {

class GraphRunner {
 public:
  virtual ~GraphRunner() = default;
  // Runs `body` on `inputs` (in the order of body.FreeInputs()); names that it does not define are looked up
  // in the graphs around it. Returns the body's outputs in order.
  virtual std::vector<Tensor> Run(const Graph& body, const std::vector<Tensor>& inputs) = 0;
};

// The graph in an attribute of the node; throws Error when there is none.
const Graph& BodyOf(const EvalContext& context, const char* attribute);
// Runs it with the context's runner; throws Error where there is none.
std::vector<Tensor> RunBody(const EvalContext& context, const Graph& body, const std::vector<Tensor>& inputs);

}  // namespace xslim

#endif  // XSLIM_OPS_GRAPH_RUNNER_H_
