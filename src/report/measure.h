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
#include "quant/plan.h"

namespace xslim {

// Sums from which the measures follow; float64, added in the order of elements and samples.
struct ErrorSums {
  double signal = 0, noise = 0, dot = 0, quant = 0;  // sum f^2, (q-f)^2, f*q, q^2
  int64_t count = 0;
  double Snr() const { return noise / (signal + 1e-7); }  // noise power / signal power; lower is better
  double Mse() const { return count ? noise / static_cast<double>(count) : 0; }
  double Cosine() const;  // 1 for two zero vectors, 0 for one
};

ErrorSums Compare(const float* reference, const float* other, int64_t n);

struct OutputMeasure {
  std::string name;
  double snr = 0, snr_worst = 0, cosine = 0, cosine_worst = 1;  // mean and worst over samples
  int64_t samples = 0;  // that were compared; 0: the numbers say nothing
  std::string note;     // why samples were not compared, or what was instead; "" when all were
};

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
  std::vector<TensorMeasure> tensors;  // inner tensors: against the equalized float graph
};

// original: the model as read; reference: the float graph that the plan belongs to; exported: with Q/DQ.
Measures Measure(const Graph& original, const Graph& reference, const Graph& exported, const QuantPlan& plan,
                 const SampleSource& source, const std::vector<int64_t>& indices, ThreadPool& pool,
                 const std::function<void(int64_t, int64_t)>& progress,
                 const MemoryCeiling& ceiling = MemoryCeiling());

}  // namespace xslim

#endif  // XSLIM_REPORT_MEASURE_H_
