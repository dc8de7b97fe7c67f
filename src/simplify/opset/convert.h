// Conversion of a whole graph to another opset of the default domain, one opset at a time.
#ifndef XSLIM_SIMPLIFY_OPSET_CONVERT_H_
#define XSLIM_SIMPLIFY_OPSET_CONVERT_H_

#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

struct OpsetObstacle {
  std::string node;  // Node::Title()
  std::string why;
  int version;  // the opset where the node gets stuck: the lowest it can have going down, the highest going
                // up
};

// Brings the graph with all bodies to `version` (kLowestOpset to kHighestOpset). On failure the graph is unchanged and every node
// that stands in the way is listed. Results stay equal; an operator that the target lacks is taken apart
// where that is exact up to rounding. The IR version becomes one that ONNX released with the opset. A
// function of the model follows as it is where its operators are the same in both opsets; calls of the others
// are replaced by what they do.
std::vector<OpsetObstacle> ConvertOpset(Graph* graph, int version);

// One sentence about obstacles: the first nodes with reasons, and the opset that can be reached.
std::string Describe(const std::vector<OpsetObstacle>& obstacles, bool lowering);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_OPSET_CONVERT_H_
