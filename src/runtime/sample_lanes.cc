#include "runtime/sample_lanes.h"

#include <algorithm>

namespace xslim {
namespace {

// Samples that are read ahead, and what a stage counts or draws in a lane.
constexpr int64_t kBesideTensors = 4 << 20;

}  // namespace

int64_t SampleLanes::Count(const std::string& stage, int64_t samples, int64_t buffer_bytes) const {
  // Half as much again for what lies free between an arena's tensors.
  return ceiling_.Lanes(std::min<int64_t>(pool_.size(), samples), buffer_bytes * 3 / 2 + kBesideTensors,
                        stage);
}

}  // namespace xslim
