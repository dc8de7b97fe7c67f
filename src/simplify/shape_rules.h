// What the rules of shape_rules.cc, shape_rules_move.cc and shape_rules_compute.cc share.
#ifndef XSLIM_SIMPLIFY_SHAPE_RULES_H_
#define XSLIM_SIMPLIFY_SHAPE_RULES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "simplify/shape_facts.h"

namespace xslim {

using RuleFunction = void (*)(RuleContext&);
using ShapeRules = std::map<std::string, RuleFunction>;

// Gather, Concat, Reshape, Slice and their like.
void AddMoveRules(ShapeRules* rules);
// Convolutions, pools, matrix products, reductions, resizing.
void AddComputeRules(ShapeRules* rules);

// A written axis (negative: from the end) as an index; none when it is outside.
std::optional<size_t> AxisIn(int64_t axis, size_t rank);
// Numpy's broadcasting; a size that cannot be said is a new symbol of output 0.
std::optional<Sizes> Broadcast(const RuleContext& c, const std::vector<const TensorFacts*>& inputs);
Size Product(const RuleContext& c, const Sizes& sizes);
// Type and shape of input 0.
void SameAsFirst(RuleContext& c);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SHAPE_RULES_H_
