// The inputs of a graph as the data readers want them.
#ifndef XSLIM_PIPELINE_MODEL_INPUTS_H_
#define XSLIM_PIPELINE_MODEL_INPUTS_H_

#include <vector>

#include "data/samples.h"
#include "graph/graph.h"

namespace xslim {

// In the order of graph.FreeInputs(); unknown dimensions as the graph has them.
std::vector<ModelInput> InputsOf(const Graph& graph);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_MODEL_INPUTS_H_
