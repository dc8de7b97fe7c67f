// What is done to the channels between layers before anything is calibrated.
#ifndef XSLIM_TUNE_PREPARE_CHANNELS_H_
#define XSLIM_TUNE_PREPARE_CHANNELS_H_

#include <map>
#include <string>
#include <vector>

#include "data/samples.h"
#include "graph/graph.h"
#include "runtime/sample_lanes.h"
#include "tune/center.h"
#include "tune/equalize.h"

namespace xslim {

struct ChannelStages {
  bool centering = true, equalization = true;
  bool any() const { return centering || equalization; }
};

struct PreparedChannels {
  CenterResult centered;
  EqualizeResult equalized;
};

// Centers and equalizes, by one run of the samples. untouched: operators that stay as they are, with the
// reason.
PreparedChannels PrepareChannels(Graph* graph, const ChannelStages& stages,
                                 const std::vector<Sample>& samples,
                                 const std::map<NodeId, std::string>& untouched, const SampleLanes& lanes);

}  // namespace xslim

#endif  // XSLIM_TUNE_PREPARE_CHANNELS_H_
