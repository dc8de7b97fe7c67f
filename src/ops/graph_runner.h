// How If, Loop and Scan run their bodies without knowing the executor.
#ifndef XSLIM_OPS_GRAPH_RUNNER_H_
#define XSLIM_OPS_GRAPH_RUNNER_H_

#include <vector>

#include "graph/graph.h"

namespace xslim {

class GraphRunner {
 public:
  virtual ~GraphRunner() = default;
  // Runs `body` on `inputs` (in the order of body.FreeInputs()); names that it does not define are looked up
  // in the graphs around it. Returns the body's outputs in order.
  virtual std::vector<Tensor> Run(const Graph& body, const std::vector<Tensor>& inputs) = 0;
};

}  // namespace xslim

#endif  // XSLIM_OPS_GRAPH_RUNNER_H_
