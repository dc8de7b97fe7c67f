// Tensors that the config names (custom_setting, truncate_var_names). Names are those of the user's model, so
// they are looked up there and kept through simplification.
#ifndef XSLIM_QUANT_NAMED_TENSORS_H_
#define XSLIM_QUANT_NAMED_TENSORS_H_

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "xslim/config.h"

namespace xslim {

class NamedTensors {
 public:
  // Looks the names up in the model as it was read (calls of functions opened) and makes the tensors outputs
  // of the graph, so that no pass removes them. A BatchNormalization that alone reads the named output of a
  // computing operator belongs to that operator, as it will be folded into it: its output is kept instead.
  // Throws Error with the JSON path and the nearest name for a tensor that the model does not have.
  NamedTensors(const Config& config, Graph* graph);

  // Undoes what the constructor did to the graph's outputs; afterwards Of() may be asked.
  void Release(Graph* graph);

  // The tensor that stands for `name` in the released graph; kNone for a constant.
  ValueId Of(const std::string& name) const;

 private:
  struct Entry {
    std::string kept;  // name in the graph; "" for a constant
    bool added = false;
    ValueId id = kNone;
  };
  void Keep(const std::string& name, const std::string& where, Graph* graph,
            const std::string& complaint = "the model has no tensor ");

  std::map<std::string, Entry> entries_;
};

// "<file>: quantization_parameters.<key>", for messages.
std::string QuantizationPath(const Config& config, const std::string& key);

}  // namespace xslim

#endif  // XSLIM_QUANT_NAMED_TENSORS_H_
