#include <algorithm>

#include "base/log.h"
#include "base/nearest_name.h"
#include "simplify/simplify.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int kMostRounds = 10;

int RunPasses(Graph* graph, const SimplifyOptions& options) {
  int sum = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    int changes = 0;
    for (const Pass& pass : Passes()) {
      if (pass.mode == (options.legalize ? PassMode::kSlimOnly : PassMode::kLegalizeOnly)) continue;
      if (pass.mode == PassMode::kFunctions || pass.mode == PassMode::kLast) continue;
      if (options.skip.count(pass.name)) continue;
      const int count = pass.run(graph, options);
      if (count > 0) LogDebug("simplify: ", pass.name, " x", count);
      changes += count + graph->RemoveDead();
    }
#ifndef NDEBUG
    graph->Validate();
#endif
    sum += changes;
    if (changes == 0) break;
  }
  return sum;
}

// The passes of a mode that is no part of the rounds.
int RunOnce(Graph* graph, const SimplifyOptions& options, PassMode mode) {
  int sum = 0;
  for (const Pass& pass : Passes()) {
    if (pass.mode != mode || options.skip.count(pass.name)) continue;
    sum += pass.run(graph, options);
    graph->RemoveDead();
  }
  return sum;
}

int RunLast(Graph* graph, const SimplifyOptions& options) {
  const int changes = RunOnce(graph, options, PassMode::kLast);
  return changes == 0 ? 0 : changes + RunPasses(graph, options);
}

const char* NameOf(PassMode mode) {
  switch (mode) {
    case PassMode::kAlways:
      return "always";
    case PassMode::kLegalizeOnly:
      return "before int8";
    case PassMode::kSlimOnly:
      return "slimming only";
    case PassMode::kFunctions:
      return "--spacemit-functions";
    case PassMode::kLast:
      return "last";
  }
  return "";
}

}  // namespace

// Bodies are shared between copies of a graph, so they are copied before they are changed.
int RunInBodies(Graph* graph, const SimplifyOptions& options, int (*pass)(Graph*, const SimplifyOptions&)) {
  SimplifyOptions inner = options;
  inner.body = true;
  inner.highest_opset = graph->opset();  // a body cannot raise the model
  int sum = 0;
  for (NodeId id = 0; id < static_cast<NodeId>(graph->node_slots()); ++id) {
    if (!graph->alive(id)) continue;
    for (auto& [name, attribute] : graph->node(id).attributes) {
      if (!attribute.graph) continue;
      auto body = std::make_shared<Graph>(*attribute.graph);
      const int changes = pass(body.get(), inner) + RunInBodies(body.get(), inner, pass);
      if (changes == 0) continue;
      attribute.graph = std::move(body);
      attribute.source.clear();
      sum += changes;
    }
  }
  return sum;
}

const std::vector<Pass>& Passes() {
  using enum PassMode;
  static const std::vector<Pass> passes = {
      {"constants-to-initializers", kAlways, ConstantsToInitializers, "Constant nodes become initializers"},
      {"fold-constants", kAlways, FoldConstants,
       "operators on constants become initializers of at most 1 MB more"},
      {"fold-shapes", kAlways, FoldShapes,
       "shape arithmetic on known sizes becomes constants; Reshape targets get -1 and 0"},
      {"rebuild-shapes", kSlimOnly, RebuildShapes,
       "what is left of shape arithmetic becomes Shape, Slice, Concat"},
      {"inline-if", kAlways, InlineIf, "If on a constant becomes the branch taken"},
      {"idle-masks", kAlways, IdleMasks,
       "Where on a condition of one value becomes what it takes; tests for NaN behind a Softmax of finite "
       "numbers go"},
      {"zero-states", kAlways, ZeroStates, "initial states of LSTM, GRU, RNN that are zeros go"},
      {"remove-identities", kAlways, RemoveIdentities, "operators that change nothing are removed"},
      {"merge-duplicates", kAlways, MergeDuplicates, "equal operators on equal inputs become one"},
      {"merge-constants", kSlimOnly, MergeConstants, "equal initializers become one"},
      {"merge-reshapes", kAlways, MergeReshapes,
       "chains of Reshape, Flatten, Squeeze, Unsqueeze become one Reshape"},
      {"merge-transposes", kAlways, MergeTransposes,
       "chains of Transpose become one, also through elementwise operators, biases, slopes, Concat, "
       "Split, Resize, Reshapes"},
      {"matmul-between-reshapes", kAlways, MatMulBetweenReshapes,
       "Reshapes that join leading axes for a MatMul alone go"},
      {"windows-to-1d", kAlways, WindowsTo1d,
       "Conv and pools between Unsqueeze and Squeeze of a row lose that axis"},
      {"tiles-to-resize", kAlways, TilesToResize,
       "Tiles that repeat rows and columns become a Resize to the nearest"},
      {"reciprocal-to-div", kAlways, ReciprocalToDiv,
       "(1 / x) * y becomes y / x; before int8 not where 1 / x is a Reciprocal"},
      {"slices-to-split", kAlways, SlicesToSplit, "Slices that cut a tensor into parts become a Split"},
      {"split-to-slice", kAlways, SplitToSlice, "a Split with one output in use becomes a Slice"},
      {"split-qkv", kAlways, SplitQkv, "one product for query, key and value becomes one for each"},
      {"fuse-layer-norm", kAlways, FuseLayerNorm, "the parts of a LayerNormalization (opset 17) become one"},
      {"fuse-rms-norm", kSlimOnly, FuseRmsNorm, "the parts of an RMSNormalization (opset 23) become one"},
      {"fuse-activations", kAlways, FuseActivations,
       "the parts of HardSigmoid, HardSwish (opset 14), Mish (18), Gelu (20), Swish (24) become one; before "
       "int8 HardSwish and Gelu only"},
      {"fuse-batch-norm", kAlways, FuseBatchNorm,
       "BatchNormalization behind Conv, ConvTranspose, Gemm, MatMul goes into weights and bias"},
      {"fold-affine", kAlways, FoldAffine,
       "Add, Sub, Mul, Div by constants behind Conv, ConvTranspose, Gemm go into weights and bias"},
      {"fuse-pad", kAlways, FusePad, "Pad goes into Conv, AveragePool, MaxPool"},
      {"kernel-shapes", kAlways, KernelShapes, "Conv and ConvTranspose without kernel_shape get it"},
      {"fuse-gemm", kSlimOnly, FuseGemm, "MatMul and Add of a bias become Gemm where the rank is 2"},
      {"explicit-clip-bounds", kSlimOnly, ExplicitClipBounds, "a bound that Clip leaves out is written"},
      {"div-to-mul", kLegalizeOnly, DivToMul, "Div by a constant becomes Mul"},
      {"plain-gemm", kLegalizeOnly, PlainGemm,
       "alpha and beta of a Gemm go into its constants, transA becomes a Transpose"},
      {"fold-affine-forward", kLegalizeOnly, FoldAffineForward,
       "Mul and Add by one number go into the Conv behind them"},
      {"batch-norm-to-affine", kLegalizeOnly, BatchNormToAffine,
       "BatchNormalization that is left becomes Mul and Add"},
      {"fuse-windows", kFunctions, FuseWindows,
       "Reshape, Transpose, Reshape around windows become WindowPartition, WindowReverse"},
      {"fuse-yolo-decode", kFunctions, FuseYoloDecode,
       "the boxes' arithmetic behind a YOLO becomes YoloDecode"},
      {"transposes-to-reshapes", kLast, TransposesToReshapes,
       "a Transpose that moves only axes of size 1 becomes a Reshape"},
  };
  return passes;
}

std::string DescribePassTable() {
  std::string text;
  for (const Pass& pass : Passes()) {
    std::string line = std::string("  ") + pass.name;
    line.resize(std::max<size_t>(line.size() + 2, 30), ' ');
    line += NameOf(pass.mode);
    line.resize(std::max<size_t>(line.size() + 2, 52), ' ');
    text += line + pass.summary + "\n";
  }
  return text;
}

void CheckPassNames(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const Pass& pass : Passes()) known.push_back(pass.name);
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = NearestName(name, known);
    throw UsageError("there is no pass " + name, "--skip-pass",
                     nearest.empty() ? "--list-passes names them" : "did you mean " + nearest + "?");
  }
}

bool ReachOpset(Graph* graph, const SimplifyOptions& options, int version, const char* op_type) {
  const int from = graph->opset();
  if (from >= version) return true;
  if (options.highest_opset < version) return false;
  if (const auto obstacle = RaiseOpset(graph, version)) {
    LogDebug(op_type, " not fused: ", *obstacle);
    return false;
  }
  LogInfo("opset ", version, " instead of ", from, ": needed by the fused operator ", op_type);
  return true;
}

int Simplify(Graph* graph, const SimplifyOptions& options) {
  int sum = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    sum += RunPasses(graph, options);
    const int changes = RunInBodies(graph, options, RunPasses);
    sum += changes;
    if (changes == 0) break;
  }
  if (options.functions) sum += RunOnce(graph, options, PassMode::kFunctions);
  return sum + RunLast(graph, options) + RunInBodies(graph, options, RunLast);
}

}  // namespace xslim
