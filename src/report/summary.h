// The table that every mode ends with: what the written model has of each operator, against the model read.
#ifndef XSLIM_REPORT_SUMMARY_H_
#define XSLIM_REPORT_SUMMARY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "quant/left_list.h"
#include "xslim/xslim.h"

namespace xslim {

struct ModelCounts {
  std::map<std::string, int64_t> operators;  // by type, "domain.Type" outside the default domain
  int64_t parameters = 0;                    // elements of initializers and Constant nodes
  int64_t int8 = 0;                          // of these, int8 or uint8
  int64_t macs = -1;                         // of the outermost graph for one sample; -1: not known
};

// Bodies included. macs: of the graph, or of the float graph that it was made from.
ModelCounts CountModel(const Graph& graph, int64_t macs);

// Fills summary and left of the result. Rows: operator types whose number changed, all operators, parameters,
// those of them in 8 bits, multiply-adds, bytes of the two files with their external data (result->model_path
// must be written). `left`: joined by reason.
void Summarize(const ModelCounts& before, const ModelCounts& after, const std::string& input_path,
               const LeftList& left, RunResult* result);

}  // namespace xslim

#endif  // XSLIM_REPORT_SUMMARY_H_
