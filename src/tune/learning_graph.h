// The model with rounded weights and clipped activations, and with operators that compute the derivatives of
// its error: what learning runs. Activations are not rounded: their rounding errors are noise that no weight
// can take back, and what is learned from them holds for no other sample.
#ifndef XSLIM_TUNE_LEARNING_GRAPH_H_
#define XSLIM_TUNE_LEARNING_GRAPH_H_

#include <map>
#include <vector>

#include "tune/gradient.h"
#include "tune/layers.h"
#include "tune/output_error.h"

namespace xslim {

// The bias of an operator.
struct BiasPlace {
  NodeId node;
  ValueId constant, derivative;  // derivative: by the operator's output
};

// The weights of an operator.
struct WeightPlace {
  Layer layer;
  ValueId constant, input, derivative;   // derivative: by the operator's output
  std::vector<Gradient::Turned> turned;  // constants that follow from `constant`
};

// Where the error is measured, and what a sample brings along for it.
struct PointPlace {
  size_t point;  // of the OutputError
  ValueId value;
  ValueId wanted, weight;  // inputs: the float value, and twice what one unit of squared error costs
};

// The plan written into the graph, with floats in the place of codes and Clip in the place of pairs.
Graph ClippedGraph(const Graph& graph, const QuantPlan& plan, ThreadPool& pool);

struct LearningGraph {
  // clipped: of that graph and plan. The places hold for `clipped`, too. Parameters that no derivative
  // arrives at have none.
  LearningGraph(const Graph& clipped, const QuantPlan& plan, const OutputError& error, const Sample& sample,
                ThreadPool& pool);

  // The sample's inputs and what belongs to them. point_weights: by point of the error.
  Sample InputsFor(const Sample& sample, size_t index, const OutputError& error,
                   const std::vector<double>& point_weights) const;

  Graph graph;
  std::vector<BiasPlace> biases;
  std::vector<WeightPlace> weights;
  std::vector<PointPlace> points;
  std::vector<NodeId> stopped;  // operators that derivatives cannot pass
  std::vector<ValueId> sample_inputs;
  std::map<ValueId, Shape> shapes;  // of sample inputs and points: derivatives hold for them alone
};

}  // namespace xslim

#endif  // XSLIM_TUNE_LEARNING_GRAPH_H_
