// Graph rewriting before quantization: one pass a file, listed in pass_table.cc, run to a fixed point.
#ifndef XSLIM_SIMPLIFY_SIMPLIFY_H_
#define XSLIM_SIMPLIFY_SIMPLIFY_H_

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

struct SimplifyOptions {
  bool legalize = false;   // also the rewrites that only quantization needs
  int highest_opset = 24;  // fusions whose operator is newer are left out
};

struct Pass {
  const char* name;
  bool legalize_only;
  // Applies the rewrite wherever it fits; returns how often.
  int (*run)(Graph* graph, const SimplifyOptions& options);
};

const std::vector<Pass>& Passes();

// Runs all passes to a fixed point (at most 10 rounds); logs what each did.
void Simplify(Graph* graph, const SimplifyOptions& options);

// Converts the default domain up to `version`: attributes that became inputs, changed semantics. On failure
// the graph is unchanged and the reason (naming the node) is returned.
std::optional<std::string> RaiseOpset(Graph* graph, int version);

// ---- passes (one file each)
int ConstantsToInitializers(Graph*, const SimplifyOptions&);
int FoldConstants(Graph*, const SimplifyOptions&);
int RemoveIdentities(Graph*, const SimplifyOptions&);
int FuseBatchNorm(Graph*, const SimplifyOptions&);
int FoldAffine(Graph*, const SimplifyOptions&);
int FoldAffineForward(Graph*, const SimplifyOptions&);
int FusePad(Graph*, const SimplifyOptions&);
int FuseLayerNorm(Graph*, const SimplifyOptions&);
int FuseGelu(Graph*, const SimplifyOptions&);
int FuseHardSwish(Graph*, const SimplifyOptions&);
int DivToMul(Graph*, const SimplifyOptions&);
int BatchNormToAffine(Graph*, const SimplifyOptions&);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SIMPLIFY_H_
