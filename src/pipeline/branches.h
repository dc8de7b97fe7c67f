// Static int8 in the branches of If (voice activity detectors choose a sampling rate so).
#ifndef XSLIM_PIPELINE_BRANCHES_H_
#define XSLIM_PIPELINE_BRANCHES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "quant/choices.h"
#include "quant/facts.h"
#include "report/measure.h"
#include "report/verdict.h"
#include "xslim/xslim.h"

namespace xslim {

struct BranchTask {
  const Config& config;
  const RunOptions& options;
  const SampleSource& samples;
  const std::vector<int64_t>& indices;  // of calibration
  const Choices& choices;               // of the graph around the branches
  bool meaningful;                      // the samples are data, not zeros
  ThreadPool& pool;
};

// What the report says of branches.
struct BranchFigures {
  int64_t operators = 0, activations = 0, constants = 0;  // in int8
  Int8Share share;                                        // as if every branch ran once
  std::vector<FloatOperator> left;   // operators in int8 branches, and whole branches, that stay float
  std::vector<std::string> account;  // of tuning
  std::vector<std::string> coarse;   // CoarseTensors()
  std::vector<std::string> notes;    // for the report
  void Add(const BranchFigures& other);
};

struct QuantizedBranch {
  NodeId node = kNone;     // the If
  std::string key, title;  // "then_branch" or "else_branch"; with the If's name
  Graph model;             // float, as a model
  std::optional<Graph> int8;
  std::vector<QuantizedBranch> inner;  // branches in it
  BranchFigures figures;               // with those of `inner`
};

// Whether there are branches with products, in which something may become int8.
bool HasBranches(const Graph& graph);

// Each branch with products is quantized like a model of its own, on what it reads in the calibration samples
// that take it; branches in branches, too. One that cannot be, or must not, stays float, and figures.left
// says why. What the task chooses for an If counts for all operators of its branches. graph: float, not
// tuned; facts: of it. Bodies of Loop and Scan stay as they are.
std::vector<QuantizedBranch> QuantizeBranches(const Graph& graph, const ValueFacts& facts,
                                              const BranchTask& task);

// For auto_precision: where all branches together, everything around them float, miss their part of the
// target, those stay float with which they do. measure: the model with these branches alone in int8.
void LeaveNoisy(double target,
                const std::function<Measures(const std::vector<const QuantizedBranch*>&)>& measure,
                std::vector<QuantizedBranch>* branches);

// Puts int8 branches into `exported`, which was written from the graph, with the same node ids.
void PutBranches(const std::vector<const QuantizedBranch*>& branches, Graph* exported);

std::vector<const QuantizedBranch*> AllOf(const std::vector<QuantizedBranch>& branches);
BranchFigures Together(const std::vector<QuantizedBranch>& branches);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_BRANCHES_H_
