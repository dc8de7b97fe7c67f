// The modes of a run, one file each: Run() in run.cc loads the model and picks one by precision_level.
#ifndef XSLIM_PIPELINE_MODES_H_
#define XSLIM_PIPELINE_MODES_H_

#include <string>

#include "base/threads.h"
#include "graph/graph.h"
#include "onnx/model_io.h"
#include "pipeline/output_paths.h"
#include "runtime/computable.h"
#include "simplify/simplify.h"
#include "xslim/xslim.h"

namespace xslim {

// Whether the level is one of QuantizeStatic's.
bool Calibrates(const QuantizationParameters& settings);

// Levels 0 to 2: calibrated int8 with Q/DQ and report.
RunResult QuantizeStatic(Graph original, Config config, const RunOptions& options, const OutputPaths& paths,
                         ThreadPool& pool);

// Level 3: products on integers with DynamicQuantizeLinear, the other weights as integers; no data.
RunResult QuantizeDynamic(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool);

// Level 4: float16 or bfloat16; data only to find values outside the range of float16.
RunResult ConvertToHalf(Graph graph, const Config& config, const RunOptions& options,
                        const OutputPaths& paths, ThreadPool& pool);

// Level 100: simplification only.
RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool);

// Brings the graph to the opset that the config pins, if it does. Throws Error when that cannot be.
void PinOpset(Graph* graph, const Config& config, const std::string& path);

// Says each operator that cannot be computed once, with what depends on it; throws Error when strict.
void ReportUnknown(const std::vector<UnknownOperator>& unknown, bool strict);

// How the config wants the model written; every mode saves with these.
SaveOptions SaveOptionsFor(const Config& config);

// legalize: also the passes that only quantization wants.
SimplifyOptions OptionsFor(const Graph& graph, const Config& config, bool legalize);

// Simplify() with the config's choices (none with skip_onnxsim), compared with the original on random inputs.
// Whether it was, and no pass was undone: a later run on an equal graph may say so (`compared_before`), and
// makes the comparison only if the config asks for it.
bool SimplifyModel(Graph* graph, const Config& config, bool legalize, ThreadPool& pool,
                   bool compared_before = false);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_MODES_H_
