// Slimming that checks itself: the graph before and after runs on random inputs.
#ifndef XSLIM_SIMPLIFY_VERIFY_H_
#define XSLIM_SIMPLIFY_VERIFY_H_

#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "simplify/simplify.h"

namespace xslim {

// Largest difference of an output that counts as equal: |got - wanted| / largest |wanted| of that output. For
// 16-bit floats the rounding of their 10 bits is allowed for. Of whole numbers and truth values (ArgMax,
// TopK, comparisons) one in 1000 may differ, since they flip with the last bits of a float.
inline constexpr double kVerifyTolerance = 1e-5;

// Random inputs of a graph and the results that it gives on them.
class Reference {
 public:
  // Tries sizes for symbolic dimensions and ranges for integer inputs until the graph runs; keeps at most
  // `samples` inputs with results.
  Reference(const Graph& graph, ThreadPool& pool, int samples);
  ~Reference();

  // Why nothing can be compared; "" when it can: the graph ran and an output is finite and not constant.
  const std::string& obstacle() const { return obstacle_; }
  int samples() const { return static_cast<int>(inputs_.size()); }
  int outputs() const { return outputs_; }

  // "" when `changed` gives the same outputs within the tolerance, else what differs.
  std::string Differs(const Graph& changed) const;

 private:
  ThreadPool& pool_;
  // Whether the graph holds operators that are not known; what depends on them is not compared.
  bool skip_unknown_;
  std::vector<std::vector<Tensor>> inputs_, results_;  // by sample
  int outputs_ = 0;
  std::string obstacle_;
};

// Simplify(), then compared with the graph as it was. When they differ, the passes run again one by one, each
// compared; one that changes the outputs is undone, left out from then on, and named in a warning. Says in
// the log what was compared, or why nothing was. Returns the passes undone.
std::vector<std::string> SimplifyVerified(Graph* graph, const SimplifyOptions& options, ThreadPool& pool,
                                          int samples);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_VERIFY_H_
