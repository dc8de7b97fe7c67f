#include "tune/prepare_channels.h"

#include "tune/channel_statistics.h"

namespace xslim {

PreparedChannels PrepareChannels(Graph* graph, const ChannelStages& stages,
                                 const std::vector<Sample>& samples,
                                 const std::map<NodeId, std::string>& untouched, const SampleLanes& lanes) {
  std::map<ValueId, bool> channels_first;
  if (stages.centering) channels_first = TensorsToCenter(*graph, untouched);
  if (stages.equalization) channels_first.merge(TensorsToEqualize(*graph, untouched));
  PreparedChannels result;
  if (channels_first.empty()) return result;
  StatisticsByValue statistics = ObserveChannels(*graph, samples, channels_first, lanes);
  if (stages.centering) result.centered = Center(graph, &statistics, untouched);
  if (stages.equalization) result.equalized = Equalize(graph, statistics, untouched);
  return result;
}

}  // namespace xslim
