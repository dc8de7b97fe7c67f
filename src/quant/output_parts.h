// What a model output is made of: a detector's output may join boxes in pixels with scores in 0..1, and the
// error of the whole then says nothing of the scores.
#ifndef XSLIM_QUANT_OUTPUT_PARTS_H_
#define XSLIM_QUANT_OUTPUT_PARTS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "quant/facts.h"

namespace xslim {

// Noise power / signal power, lower is better; the addend keeps the ratio of a silent output finite.
inline double NoiseRatio(double noise, double signal) { return noise / (signal + 1e-7); }

// Samples with less than this part of the mean signal are silent: their ratios, which tell next to nothing,
// are left out of means.
inline constexpr double kLeastSignal = 1e-3;
// The signal, of those of all samples, under which a sample is silent. Infinite ones would make all others
// so.
inline double SilentBelow(const std::vector<double>& signals) {
  double sum = 0;
  size_t count = 0;
  for (double signal : signals) {
    if (!std::isfinite(signal)) continue;
    sum += signal;
    ++count;
  }
  return kLeastSignal * sum / static_cast<double>(std::max<size_t>(count, 1));
}

struct OutputPart {
  std::string tensor;         // that the part holds; of a single part: the output itself
  std::vector<ValueId> path;  // from the output back to the tensor, both included
};

struct OutputParts {
  std::vector<OutputPart> parts;  // at least one
  std::vector<int32_t> labels;    // by element of the output: its part; empty when there is one part only
  Shape shape;                    // that `labels` are for
  bool is_float = true;
  bool rounded = false;  // integers that a Cast makes of float32 (an image in bytes): measured like it

  std::string selected_by = "";  // the operator (selected.h) that selects its elements; "" when none does

  bool IsMeasured() const { return is_float || rounded; }  // whether there is a noise to tell of

  // The number of the part that an element of an output of that shape belongs to is labels[element]; an
  // output of another shape counts as one part.
  bool Divides(const Shape& other) const { return !labels.empty() && other == shape; }
};

// By output of the graph. Parts are the tensors that data movement alone (Concat, Reshape, Transpose ...)
// joins into the output. Not divided: outputs of other types than float32, of unknown shape, with constants
// or more than 64 tensors in them.
std::vector<OutputParts> FindOutputParts(const Graph& graph, const ValueFacts& facts, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_QUANT_OUTPUT_PARTS_H_
