// Slimming that checks itself: the graph before and after runs on random inputs.
#ifndef XSLIM_SIMPLIFY_VERIFY_H_
#define XSLIM_SIMPLIFY_VERIFY_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "simplify/simplify.h"

namespace xslim {

// Largest difference of an output that counts as equal: |got - wanted| / largest |wanted| of that output. For
// 16-bit floats the rounding of their 10 bits is allowed for. Of whole numbers and truth values (ArgMax,
// TopK, comparisons) one in 1000 may differ, since they flip with the last bits of a float. Where an output
// is more sensitive than that (a Sigmoid far from 0, a choice among near equals), it may differ by four times
// what the rounding of all inputs and weights to one unit of their 23rd bit does to it, of a few random ones
// the one that does most.
inline constexpr double kVerifyTolerance = 1e-5;

// Random inputs of a graph and the results that it gives on them.
class Reference {
 public:
  // Tries sizes for symbolic dimensions and ranges for integer inputs until the graph runs; keeps at most
  // `samples` inputs with results. The graph must outlive it.
  Reference(const Graph& graph, ThreadPool& pool, int samples);
  ~Reference();

  // Why nothing can be compared; "" when it can: the graph ran and an output is finite and not constant.
  const std::string& obstacle() const { return obstacle_; }
  // Whether the obstacle is that the graph cannot be run with the shapes that its inputs declare, all of them
  // numbers. Then either random numbers are nothing for it (indices), or nobody can run it.
  bool fails() const { return fails_; }
  // Whether it moreover cannot be run by anyone: the node that failed (the obstacle names it) sees nothing
  // but constants and tensors whose shapes follow from those of the inputs.
  bool impossible() const { return impossible_; }
  int samples() const { return static_cast<int>(inputs_.size()); }
  int outputs() const { return outputs_; }

  // "" when `changed` gives the same outputs within the tolerance, else what differs.
  std::string Differs(const Graph& changed) const;
  // Whether an output was compared with what rounding does to it.
  bool rounding_mattered() const { return !rounded_.empty(); }

 private:
  void Judge(const Error& error);
  // The results of a sample after the draw-th random rounding of inputs and weights; undefined where the
  // graph fails on these.
  const std::vector<Tensor>& AfterRounding(size_t sample, int draw) const;

  const Graph& graph_;
  ThreadPool& pool_;
  // Whether the graph holds operators that are not known; what depends on them is not compared.
  bool skip_unknown_;
  std::vector<std::vector<Tensor>> inputs_, results_;                      // by sample
  mutable std::map<std::pair<size_t, int>, std::vector<Tensor>> rounded_;  // those that were needed
  int outputs_ = 0;
  std::string obstacle_;
  bool fails_ = false, impossible_ = false;
};

// Simplify(), then compared with the graph as it was. When they differ, the passes run again one by one, each
// compared; one that changes the outputs is undone, left out from then on, and named in a warning. Says in
// the log what was compared, or why nothing was: in a warning where the user asked for it or the graph fails.
// Returns the passes undone. Throws Error when the graph cannot be run by anyone (Reference::impossible).
std::vector<std::string> SimplifyVerified(Graph* graph, const SimplifyOptions& options, ThreadPool& pool,
                                          int samples, bool asked = false);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_VERIFY_H_
