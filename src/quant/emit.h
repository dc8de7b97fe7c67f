// Adding nodes and tensors to a graph under names that hide nothing in the graphs around it.
#ifndef XSLIM_QUANT_EMIT_H_
#define XSLIM_QUANT_EMIT_H_

#include <map>
#include <string>
#include <vector>

#include "quant/bodies.h"

namespace xslim {

class Emitter {
 public:
  Emitter(Graph* graph, TensorNames* names) : graph_(*graph), names_(*names) {}

  ValueId AddValue(const std::string& wanted, DType dtype);
  ValueId AddConstant(const std::string& wanted, Tensor tensor);
  NodeId AddNode(const std::string& op_type, const std::string& wanted, std::vector<ValueId> inputs,
                 std::vector<ValueId> outputs, std::map<std::string, Attribute> attributes = {});
  // A node of the domain com.microsoft, which is imported where it was not.
  NodeId AddContribNode(const std::string& op_type, const std::string& wanted, std::vector<ValueId> inputs,
                        std::vector<ValueId> outputs, std::map<std::string, Attribute> attributes = {});
  // The output of a new DequantizeLinear(codes, scale, zero_point), named after the weight. zero_point may be
  // kNone, block 0 (one scale per index of `axis`). `weight` is a copy: adding values moves the names of
  // others.
  ValueId AddDequantized(std::string weight, Tensor codes, Tensor scale, ValueId zero_point, int axis,
                         int64_t block);

 private:
  Graph& graph_;
  TensorNames& names_;
};

}  // namespace xslim

#endif  // XSLIM_QUANT_EMIT_H_
