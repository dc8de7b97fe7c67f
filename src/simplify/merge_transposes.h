// What the files of merge-transposes share.
#ifndef XSLIM_SIMPLIFY_MERGE_TRANSPOSES_H_
#define XSLIM_SIMPLIFY_MERGE_TRANSPOSES_H_

#include <vector>

#include "graph/graph.h"
#include "simplify/shape_facts.h"

namespace xslim {

// Transpose by p, then by q: output axis i is axis p[q[i]] of the input.
std::vector<int64_t> Compose(const std::vector<int64_t>& p, const std::vector<int64_t>& q);

std::vector<int64_t> Inverse(const std::vector<int64_t>& p);

// The written permutation; empty when it is left out or is none.
std::vector<int64_t> PermOf(const Node& transpose);

// Merges the Transpose with others beyond a Reshape, or moves it in front of an Unsqueeze
// (transposes_at_reshapes.cc).
bool MergeAtReshape(Graph* graph, const ShapeFacts& facts, SymbolTable* symbols, NodeId transpose);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_MERGE_TRANSPOSES_H_
