// What the model is fed with as first sample, for report and log.
#ifndef XSLIM_PIPELINE_FIRST_SAMPLE_H_
#define XSLIM_PIPELINE_FIRST_SAMPLE_H_

#include <string>
#include <vector>

#include "data/preview.h"
#include "graph/graph.h"

namespace xslim {

struct FirstSample {
  std::string title;
  std::vector<FedInput> inputs;
};

// Says the figures in the log: to all where `preview` names a PNG file, which is written then, whole or not
// at all, unless no input looks like pictures. sample: tensors of graph.FreeInputs(); title: of it.
FirstSample ShowFirstSample(const Graph& graph, const Sample& sample, const std::string& title,
                            const std::string& preview);

// A section of the report.
std::string FirstSampleMarkdown(const FirstSample& first);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_FIRST_SAMPLE_H_
