#include "base/log.h"
#include "simplify/simplify.h"

namespace xslim {

const std::vector<Pass>& Passes() {
  static const std::vector<Pass> passes = {
      {"constants-to-initializers", false, ConstantsToInitializers},
      {"fold-constants", false, FoldConstants},
      {"remove-identities", false, RemoveIdentities},
      {"fuse-layer-norm", false, FuseLayerNorm},
      {"fuse-gelu", false, FuseGelu},
      {"fuse-hard-swish", false, FuseHardSwish},
      {"fuse-batch-norm", false, FuseBatchNorm},
      {"fold-affine", false, FoldAffine},
      {"fuse-pad", false, FusePad},
      {"div-to-mul", true, DivToMul},
      {"fold-affine-forward", true, FoldAffineForward},
      {"batch-norm-to-affine", true, BatchNormToAffine},
  };
  return passes;
}

void Simplify(Graph* graph, const SimplifyOptions& options) {
  for (int round = 0; round < 10; ++round) {
    int changes = 0;
    for (const Pass& pass : Passes()) {
      if (pass.legalize_only && !options.legalize) continue;
      const int count = pass.run(graph, options);
      if (count > 0) LogDebug("simplify: ", pass.name, " x", count);
      changes += count;
      graph->RemoveDead();
    }
#ifndef NDEBUG
    graph->Validate();
#endif
    if (changes == 0) break;
  }
}

}  // namespace xslim
