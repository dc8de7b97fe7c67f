// Which operators become 16-bit ones.
#ifndef XSLIM_QUANT_HALF_RULES_H_
#define XSLIM_QUANT_HALF_RULES_H_

#include <map>
#include <set>
#include <string>

#include "quant/bodies.h"
#include "quant/half.h"

namespace xslim {

// For the nodes of one graph: "" when the node becomes 16-bit, else why it stays float32. Nodes without any
// float32 value are not in it. Types must be inferred.
std::map<NodeId, std::string> DecideHalf(const Scope& scope, const HalfOptions& options, IgnoreList* ignored);

// Slots of Clip hold bounds: those past the range of float16 become its ends, which is the same to it.
bool IsBound(const Node& node, size_t slot);

}  // namespace xslim

#endif  // XSLIM_QUANT_HALF_RULES_H_
