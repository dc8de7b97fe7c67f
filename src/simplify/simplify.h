// Graph rewriting before quantization: one pass a file, listed in pass_table.cc, run to a fixed point.
#ifndef XSLIM_SIMPLIFY_SIMPLIFY_H_
#define XSLIM_SIMPLIFY_SIMPLIFY_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "xslim/config.h"

namespace xslim {

struct SimplifyOptions {
  bool legalize = false;  // before quantization: the rewrites that it needs, none that it does not want
  int highest_opset = kHighestOpset;  // fusions whose operator is newer are left out
  std::set<std::string> skip;         // names of passes that are left out
  bool body = false;                  // the graph is a body of If, Loop or Scan
  bool functions = false;             // also the passes of PassMode::kFunctions
};

enum class PassMode {
  kAlways,
  kLegalizeOnly,  // rewrites that only quantization needs
  kSlimOnly,      // rewrites that would change where the quantizer places Q/DQ
  kLast,          // once, when nothing is left to do for the others
  kFunctions,  // groups become calls of functions that a target knows: once, after all others, when asked for
};

struct Pass {
  const char* name;
  PassMode mode;
  // Applies the rewrite wherever it fits; returns how often.
  int (*run)(Graph* graph, const SimplifyOptions& options);
  const char* summary;
};

const std::vector<Pass>& Passes();

// One line per pass: name, mode, summary.
std::string DescribePassTable();

// Throws Error naming the nearest pass when a name is none.
void CheckPassNames(const std::vector<std::string>& names);

// Runs all passes to a fixed point (at most 10 rounds), on bodies of If, Loop and Scan too; logs what each
// did. Returns the number of changes.
int Simplify(Graph* graph, const SimplifyOptions& options);

// Tells each operator that passes have put into `after` the names of those of `before` that it stands for
// (Node::parts), and `after` those of which nothing is left (Graph::gone); in bodies, too. part_names.cc
void NameParts(const Graph& before, Graph* after);

// Runs `pass` on the bodies of If, Loop and Scan, and those in them. Returns the sum of its results.
int RunInBodies(Graph* graph, const SimplifyOptions& options, int (*pass)(Graph*, const SimplifyOptions&));

// Converts the default domain up to `version`: attributes that became inputs, changed semantics. On failure
// the graph is unchanged and the reason (naming the node) is returned.
std::optional<std::string> RaiseOpset(Graph* graph, int version);

// Whether the graph may hold an operator of opset `version`: raises it where the options allow that, and says
// so in the log.
bool ReachOpset(Graph* graph, const SimplifyOptions& options, int version, const char* op_type);

// ---- passes (one file each, unless named otherwise)
int ConstantsToInitializers(Graph*, const SimplifyOptions&);
int FoldConstants(Graph*, const SimplifyOptions&);
int FoldShapes(Graph*, const SimplifyOptions&);
int RebuildShapes(Graph*, const SimplifyOptions&);
int InlineIf(Graph*, const SimplifyOptions&);
int ZeroStates(Graph*, const SimplifyOptions&);
int IdleMasks(Graph*, const SimplifyOptions&);
int RemoveIdentities(Graph*, const SimplifyOptions&);
int MergeDuplicates(Graph*, const SimplifyOptions&);
int MergeConstants(Graph*, const SimplifyOptions&);  // merge_duplicates.cc
int MergeReshapes(Graph*, const SimplifyOptions&);
int MergeTransposes(Graph*, const SimplifyOptions&);
int MatMulBetweenReshapes(Graph*, const SimplifyOptions&);
int WindowsTo1d(Graph*, const SimplifyOptions&);
int TilesToResize(Graph*, const SimplifyOptions&);
int ReciprocalToDiv(Graph*, const SimplifyOptions&);
int TransposesToReshapes(Graph*, const SimplifyOptions&);
int SlicesToSplit(Graph*, const SimplifyOptions&);
int SplitToSlice(Graph*, const SimplifyOptions&);  // slices_to_split.cc
int SplitQkv(Graph*, const SimplifyOptions&);
int FuseBatchNorm(Graph*, const SimplifyOptions&);
int FoldAffine(Graph*, const SimplifyOptions&);
int FoldAffineForward(Graph*, const SimplifyOptions&);
int FuseWindows(Graph*, const SimplifyOptions&);     // spacemit_functions.cc
int FuseYoloDecode(Graph*, const SimplifyOptions&);  // spacemit_functions.cc
bool HoldsSpacemitFunctions(const Graph& graph);
int FuseGemm(Graph*, const SimplifyOptions&);
int FusePad(Graph*, const SimplifyOptions&);
int FuseLayerNorm(Graph*, const SimplifyOptions&);
int FuseRmsNorm(Graph*, const SimplifyOptions&);  // fuse_layer_norm.cc
int FuseActivations(Graph*, const SimplifyOptions&);
int ExplicitClipBounds(Graph*, const SimplifyOptions&);
int KernelShapes(Graph*, const SimplifyOptions&);
int DivToMul(Graph*, const SimplifyOptions&);
int PlainGemm(Graph*, const SimplifyOptions&);
int BatchNormToAffine(Graph*, const SimplifyOptions&);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SIMPLIFY_H_
