// Groups of layers that can be rescaled together: tensors whose channels may all be multiplied by one factor
// each, since layers make them and layers alone read them.
#ifndef XSLIM_TUNE_CHANNEL_GROUPS_H_
#define XSLIM_TUNE_CHANNEL_GROUPS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tune/channels.h"

namespace xslim {

// What equalization may rescale. Its tensors are joined by operators that commute with a factor per channel
// and by Adds of two of them (residual connections): all of them have the same factors.
struct ChannelGroup {
  std::vector<NodeId> fronts;  // what makes the tensors: layers, normalizations, gains; in the graph's order
  std::vector<NodeId> behind;  // layers that read them
  std::vector<NodeId> sums;    // Adds of two of the tensors
  std::vector<NodeId> slopes;  // LeakyRelu and PRelu between the tensors
  std::vector<Slot> vectors;   // constants that scale with the channels: biases, a normalization's gain ...
  size_t channels = 0;
  ChannelAxis axis;
};

// What layers and sums of the group read: all of it is rounded to int8.
std::vector<ValueId> RoundedTensors(const Graph& graph, const ChannelGroup& group);

// The group's Adds of a vector, which have an int8 pair in front of them as well, as ChannelGroup::slopes
// have.
std::vector<NodeId> VectorAdds(const Graph& graph, const ChannelGroup& group);

// Groups without an operator of `untouched`, by the order of their first fronts; linear in the graph's size.
std::vector<ChannelGroup> FindChannelGroups(const Graph& graph,
                                            const std::map<NodeId, std::string>& untouched);

// Multiplies channel c of the group's tensors by factor[c] > 0: the fronts' output channels, and the inverse
// on the input channels of the layers behind. The group's outputs stay the same up to float rounding.
void RescaleGroup(Graph* graph, const ChannelGroup& group, const std::vector<double>& factor);

}  // namespace xslim

#endif  // XSLIM_TUNE_CHANNEL_GROUPS_H_
