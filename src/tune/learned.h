// What learning moves: biases and rounded weights, and how the derivatives of samples add up to theirs.
#ifndef XSLIM_TUNE_LEARNED_H_
#define XSLIM_TUNE_LEARNED_H_

#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "graph/graph.h"
#include "quant/plan.h"
#include "tune/learning_graph.h"

namespace xslim {

// Numbers that are learned, and Adam's memory of their derivatives.
struct Numbers {
  std::vector<float> value, mean, power, sum;  // sum: of the derivatives of this step, then the direction

  void Start(std::vector<float> values);
  // Turns `sum` into the direction of the step; returns what a step of that length takes away to first order.
  double Direct(int turn, ThreadPool& pool);
  // A step of this length, within lo to hi; `sum` is 0 then.
  void Move(float length, float lo, float hi, ThreadPool& pool);
};

struct LearnedBias {
  BiasPlace place;
  Numbers numbers;
  float unit = 0;  // root mean square of the operator's output; derivatives are taken by bias / unit
};

struct LearnedWeight {
  WeightPlace place;
  Numbers numbers;                          // in steps of the scale, as codes are
  std::vector<int64_t> chosen;              // places of the sample at hand,
  std::vector<std::vector<float>> patches;  // and the input's patches there, by group
};

// Calls of(begin, end, scale) for runs of elements with the same scale; zero points of weights are 0.
template <typename F>
void ForScales(const WeightQuant& quant, F&& of) {
  const Shape& shape = quant.codes.shape();
  const int64_t axis = quant.params.axis, size = quant.codes.size();
  const int64_t inner = axis < 0 ? size : InnerCount(shape, axis),
                channels = axis < 0 ? 1 : shape[static_cast<size_t>(axis)];
  for (int64_t run = 0; run * inner < size; ++run) {
    const size_t channel = static_cast<size_t>(run % channels);
    of(run * inner, (run + 1) * inner, quant.params.scale[channel]);
  }
}

// Where the numbers of a weight begin: the float weight where it rounds to the present code, else near the
// end of what does; none so near that the first steps, which know little, round it another way: rounding
// against second moments has made each make up for the others.
std::vector<float> InitialWeights(const WeightQuant& quant, const Tensor& weight);
// What the numbers round to.
std::vector<float> RoundedCodes(const LearnedWeight& weight, ThreadPool& pool);

// g: [n, channels, inner], the derivative by the operator's output.
void AddToBias(const Tensor& g, LearnedBias* bias, ThreadPool& pool);
// Chooses places of an operator's input and keeps what the weight is multiplied with there; `seed` chooses.
void KeepPatches(const Graph& graph, const Tensor& input, uint64_t seed, LearnedWeight* weight,
                 ThreadPool& pool);
// Adds the derivative by the weight at the kept places, and lets the patches go.
void AddToWeight(const Graph& graph, const Tensor& g, LearnedWeight* weight, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_TUNE_LEARNED_H_
