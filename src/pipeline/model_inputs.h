// The inputs of a graph as the data readers want them.
#ifndef XSLIM_PIPELINE_MODEL_INPUTS_H_
#define XSLIM_PIPELINE_MODEL_INPUTS_H_

#include <vector>

#include "data/samples.h"
#include "graph/graph.h"

namespace xslim {

// In the order of graph.FreeInputs(); unknown dimensions as the graph has them.
std::vector<ModelInput> InputsOf(const Graph& graph);

// Takes the default values of inputs (initializers) for constants, and says so in the log.
void FixDefaults(Graph* graph);

// The same where most initializers are inputs: exporters of old list all of them, as IR version 3 wanted it.
// Where few are, callers are meant to override these. Left as they are, too, where no other input would
// remain.
void FixDefaultsOfHabit(Graph* graph);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_MODEL_INPUTS_H_
