#include "pipeline/float_model.h"

#include <future>
#include <utility>

#include "base/log.h"
#include "base/memory.h"
#include "onnx/model_io.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/naming_samples.h"
#include "quant/inline.h"
#include "quant/integer_operators.h"
#include "quant/named_tensors.h"
#include "tune/prepare_channels.h"

namespace xslim {
namespace {

constexpr int kQdqOpset = 13;  // per-axis QuantizeLinear and DequantizeLinear

void RefuseQuantized(const Graph& graph, const std::string& path) {
  constexpr size_t kNamed = 5;
  std::vector<std::string> names;
  for (NodeId id : graph.Order()) {
    if (IsPairHalf(graph.node(id))) names.push_back(graph.node(id).name);
  }
  if (!names.empty())
    throw Error("the model already holds QuantizeLinear/DequantizeLinear nodes: " + FirstOf(names, kNamed),
                path, "give the float model");
}

void RefusePinned(const Config& config) {
  if (!config.model.opset || *config.model.opset >= kQdqOpset) return;
  throw Error("int8 with scales per channel needs opset 13, and " + std::to_string(*config.model.opset) +
                  " is asked for",
              config.source + ": model_parameters.opset (or --opset)", "ask for 13 or more");
}

// Reading the first samples takes as long as simplification does, and neither needs the other.
class FirstReads {
 public:
  FirstReads(const SampleSource& samples, const SampleChoice& choice, const std::vector<ModelInput>& inputs,
             const Config& config, bool for_channels) {
    constexpr std::launch kMeanwhile = std::launch::async | std::launch::deferred;
    hold_values_ = std::async(kMeanwhile, [&] {
      return inputs.empty() || (HasData(config) && HoldValues(samples, choice.calibration, inputs));
    });
    if (!for_channels) return;
    for_channels_ = std::async(kMeanwhile, [&] {
      ThreadPool one(1);
      return DrawForChannels(samples, choice.calibration, one);
    });
  }
  bool HoldData() { return hold_values_.get(); }
  std::vector<Sample> ForChannels() { return for_channels_.get(); }

 private:
  std::future<bool> hold_values_;
  std::future<std::vector<Sample>> for_channels_;
};

// Simplified and released of the names that the config reads; returns the choices by those names.
Choices SimplifyForInt8(const Config& config, const std::string& path, ThreadPool& pool, FloatModel* model) {
  Graph& graph = model->graph;
  FixDefaults(&graph);
  if (const int calls = InlineForInt8(&graph))
    LogInfo("inlined ", Counted(calls, "call"), " of the model's functions");
  NamedTensors named(config, &graph);
  PinOpset(&graph, config, path);
  if (const auto obstacle = RaiseOpset(&graph, kQdqOpset)) {
    throw Error("int8 needs opset 13 and the model cannot be raised to it: " + *obstacle, path);
  }
  const bool before = model->loaded && model->loaded->preparation().compared;
  model->preparation.compared = SimplifyModel(&graph, config, true, pool, before);
  named.Release(&graph);
  return MakeChoices(graph, named, config);
}

void PrepareAsLoaded(const std::string& path, const ChannelStages& stages, FloatModel* model) {
  const Preparation& known = model->loaded->preparation();
  const auto& untouched = model->choices.stay_float;
  if ((!stages.centering || Recenter(&model->graph, known.centers, untouched)) &&
      (!stages.equalization || Rescale(&model->graph, known.factors, untouched)))
    return;
  throw Error(
      "the statistics are of another model, of a run with another --opset or without centering or "
      "equalization, or of one that left more layers alone",
      path, "make the file anew with --save-stats");
}

}  // namespace

FloatModel PrepareFloatModel(const Graph& original, const Config& config, const RunOptions& options,
                             const std::string& path, ThreadPool& pool, TraceStage* stage) {
  const QuantizationParameters& settings = config.quantization;
  RefuseQuantized(original, path);
  RefusePinned(config);
  FloatModel model;
  const std::vector<ModelInput> inputs = InputsOf(original);
  model.samples = OpenSamples(config, inputs, 0);
  model.choice = ChooseSamples(model.samples->size(), config.calibration);
  const ChannelStages stages{settings.centering, settings.equalization};
  const bool search = stages.any() && options.load_stats.empty();
  FirstReads reads(*model.samples, model.choice, inputs, config, search);

  model.graph = original;
  // The file's graph is compared with this one when its statistics are read: what led to it once does again.
  if (!options.load_stats.empty()) model.loaded.emplace(options.load_stats);
  model.choices = SimplifyForInt8(config, path, pool, &model);
  model.meaningful = reads.HoldData();
  if (!model.meaningful) LogWarning(kOnZeros, "; give real data in calibration_parameters.input_parameters");
  ReleaseFreedMemory();

  stage->Next("equalize");
  if (search) {
    model.drawn = reads.ForChannels();
    PreparedChannels prepared = NamingSamples(model, pool, [&] {
      return PrepareChannels(&model.graph, stages, model.drawn, model.choices.stay_float,
                             {pool, MemoryCeiling(options.max_memory)});
    });
    const auto& [centered, equalized] = prepared;
    LogInfo("centered ", centered.changed, " of ", Counted(centered.groups, "group"),
            " of tensors, equalized ", equalized.changed, " of ", Counted(equalized.groups, "group"),
            " of layers");
    model.preparation.centers = std::move(prepared.centered.centers);
    model.preparation.factors = std::move(prepared.equalized.factors);
    const bool for_means = settings.finetune_level == 0 && settings.keep_means;
    if (!for_means || !MayWait(model.drawn)) model.drawn.clear();
  } else if (stages.any()) {
    PrepareAsLoaded(options.load_stats, stages, &model);
  }
  return model;
}

}  // namespace xslim
