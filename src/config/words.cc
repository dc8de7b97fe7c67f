#include "config/words.h"

namespace xslim {

const Words<CalibrationType>& CalibrationTypes() {
  static const Words<CalibrationType> words = {{"default", CalibrationType::kDefault},
                                               {"kl", CalibrationType::kKl},
                                               {"minmax", CalibrationType::kMinMax},
                                               {"percentile", CalibrationType::kPercentile},
                                               {"mse", CalibrationType::kMse}};
  return words;
}

}  // namespace xslim
