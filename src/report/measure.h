// Measures the exported Q/DQ graph against float: what the report says. Everything runs on our executor.
#ifndef XSLIM_REPORT_MEASURE_H_
#define XSLIM_REPORT_MEASURE_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "data/samples.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "report/output_measure.h"

namespace xslim {

struct TensorMeasure {
  NodeId node;  // operator that the row belongs to
  std::string tensor;
  bool constant = false;
  double snr = 0, mse = 0, cosine = 0;
  float q_min = 0, q_max = 0, f_min = 0, f_max = 0;
  std::vector<int64_t> histogram;  // 32 bins over [f_min, f_max]
};

struct Measures {
  int64_t samples = 0;
  std::vector<OutputMeasure> outputs;  // exported graph against the original model
  std::vector<TensorMeasure> tensors;  // inner tensors: against the float graph that was quantized
};

// original: the model as read; reference: the equalized float graph before biases moved, parts: of its
// outputs; exported: with Q/DQ.
Measures Measure(const Graph& original, const Graph& reference, const Graph& exported, const QuantPlan& plan,
                 const std::vector<OutputParts>& parts, const SampleSource& source,
                 const std::vector<int64_t>& indices, ThreadPool& pool,
                 const std::function<void(int64_t, int64_t)>& progress,
                 const MemoryCeiling& ceiling = MemoryCeiling());

}  // namespace xslim

#endif  // XSLIM_REPORT_MEASURE_H_
