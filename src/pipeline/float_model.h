// The float graph that a static run quantizes, with the samples and the choices that it is quantized by.
#ifndef XSLIM_PIPELINE_FLOAT_MODEL_H_
#define XSLIM_PIPELINE_FLOAT_MODEL_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/trace.h"
#include "calibrate/statistics_file.h"
#include "pipeline/sample_choice.h"
#include "quant/choices.h"
#include "xslim/xslim.h"

namespace xslim {

inline constexpr char kOnZeros[] = "calibrated on zeros: ranges mean nothing";

struct FloatModel {
  Graph graph;  // simplified, its channels equalized
  std::unique_ptr<SampleSource> samples;
  SampleChoice choice;
  bool meaningful = false;  // the samples are data, not zeros
  Choices choices;
  Preparation preparation;                 // what led to `graph`: part of a statistics file
  std::optional<LoadedStatistics> loaded;  // with options.load_stats
  std::vector<Sample> drawn;               // DrawForChannels(), where they are small and still needed
};

// Throws Error where the model cannot be quantized with Q/DQ: it holds some already, or its opset cannot be
// raised to 13. Warns where the samples are no data. path: of the model. stage: gets the names of the parts.
FloatModel PrepareFloatModel(const Graph& original, const Config& config, const RunOptions& options,
                             const std::string& path, ThreadPool& pool, TraceStage* stage);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_FLOAT_MODEL_H_
