// Which operators of a model SpacemiT's ONNX Runtime provider takes, and which fall back to the CPU, each
// with the reason. Source: the provider's public operator page (2026), as provider_table.cc has it.
#ifndef XSLIM_TARGET_PROVIDER_H_
#define XSLIM_TARGET_PROVIDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

struct CpuOperator {
  std::string title, op_type, why;
};

struct ProviderCheck {
  int64_t operators = 0;            // of the outermost graph, Constant nodes aside
  std::vector<CpuOperator> on_cpu;  // those that it does not take, in the graph's order
  int better_opset = 0;             // in which the fewest would be too new for it; 0: the model's own
  // Where the model computes with shapes: its inputs with open sizes, as --input-shapes takes them.
  std::vector<std::string> open_inputs;
};

// `model`: as it is written. Calls of its functions count as what the functions do, but for those that the
// provider knows by name; an If, Loop or Scan counts as one operator.
ProviderCheck CheckProvider(const Graph& model);

// A line for each reason, the most frequent first, with how many operators of which types have it.
std::vector<std::string> Reasons(const ProviderCheck& check);

// What would leave fewer operators to the CPU, a line each.
std::vector<std::string> Advice(const ProviderCheck& check);

}  // namespace xslim

#endif  // XSLIM_TARGET_PROVIDER_H_
