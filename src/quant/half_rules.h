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

// Whether what is past the range of float16 in the slot may become its ends, which is the same to what reads
// it: bounds of a Clip, and what a Where fills masked scores with in front of a Softmax, which gives them 0,
// or equal shares where a row has nothing else. (Not what an Add masks with: rows of nothing else then depend
// on the scores.)
bool IsBound(const Scope& scope, const Node& node, size_t slot);

}  // namespace xslim

#endif  // XSLIM_QUANT_HALF_RULES_H_
