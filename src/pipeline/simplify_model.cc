#include "base/log.h"
#include "pipeline/modes.h"
#include "simplify/macs.h"
#include "simplify/verify.h"

namespace xslim {
namespace {

// Above the first the comparison takes one input, above the second it is made only when asked for.
constexpr size_t kLargeBytes = size_t{64} << 20, kHugeBytes = size_t{1} << 30;
constexpr int64_t kLargeMacs = 100'000'000;  // as the first

size_t ConstantBytes(const Graph& graph) {
  size_t bytes = 0;
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.constant.defined()) bytes += value.constant.bytes();
  }
  return bytes;
}

// SimplifyModel() but for the names.
bool Rewrite(Graph* graph, const Config& config, bool legalize, ThreadPool& pool, bool compared_before) {
  if (config.model.skip_onnxsim) {
    KernelShapes(graph, {});  // what the target asks for, as XSlim
    RunInBodies(graph, {}, KernelShapes);
    if (legalize) {  // ONNX Runtime's int8 Gemm multiplies the bias by alpha, too
      PlainGemm(graph, {});
      RunInBodies(graph, {}, PlainGemm);
    }
    return false;
  }
  LogInfo("simplifying");
  SimplifyOptions options = OptionsFor(*graph, config, legalize);
  options.skip.insert(config.model.skip_passes.begin(), config.model.skip_passes.end());
  const size_t bytes = ConstantBytes(*graph);
  const auto finish = [&](bool compared) {
    if (options.functions && !HoldsSpacemitFunctions(*graph)) {
      LogWarning(
          "spacemit_functions has no effect: the model has no windows and no YOLO boxes of a known form");
    }
    return compared;
  };
  if (compared_before && !config.model.verify.value_or(false)) {
    Simplify(graph, options);
    return finish(true);
  }
  if (!config.model.verify.value_or(bytes <= kHugeBytes)) {
    Simplify(graph, options);
    if (!config.model.verify)
      LogInfo("not verified: the model holds ", bytes >> 20,
              " MB of weights; --verify compares it all the same");
    return finish(false);
  }
  // A static run measures its result on real data later: one input is enough.
  const bool one = legalize || bytes > kLargeBytes || CountMacs(*graph) > kLargeMacs;
  return finish(
      SimplifyVerified(graph, options, pool, one ? 1 : 3, config.model.verify.value_or(false)).empty());
}

}  // namespace

std::string DescribePasses() { return DescribePassTable(); }

bool SimplifyModel(Graph* graph, const Config& config, bool legalize, ThreadPool& pool,
                   bool compared_before) {
  if (config.quantization.ignore_op_names.empty() && config.quantization.ignore_op_types.empty())
    return Rewrite(graph, config, legalize, pool, compared_before);
  const Graph before = *graph;
  const bool compared = Rewrite(graph, config, legalize, pool, compared_before);
  NameParts(before, graph);
  return compared;
}

}  // namespace xslim
