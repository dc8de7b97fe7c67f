// Inputs and outputs of an int8 model as codes, for callers that quantize and dequantize themselves.
#ifndef XSLIM_QUANT_INT8_IO_H_
#define XSLIM_QUANT_INT8_IO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// value = (code - zero_point) * scale
struct CodedTensor {
  std::string name;
  bool is_input = false;
  float scale = 1;
  int64_t zero_point = 0;
};

// Inputs that a QuantizeLinear alone reads and outputs that a DequantizeLinear makes, with one scale for the
// tensor, become their codes, under their names; the model's metadata (scale:<name>, zero_point:<name>) says
// what they stand for. The others stay as they are. In the order of the model's inputs and outputs.
std::vector<CodedTensor> MakeIoInt8(Graph* exported);

// Of such a graph, the inputs and outputs that are floats still, each with the reason: "output y stays float:
// Softmax_3[Softmax] makes it".
std::vector<std::string> FloatEnds(const Graph& exported);

// "input x holds codes: value = (code - 3) * 0.5"
std::string Describe(const CodedTensor& tensor);

}  // namespace xslim

#endif  // XSLIM_QUANT_INT8_IO_H_
