// Conversion of a float32 model to float16 or bfloat16.
#ifndef XSLIM_QUANT_HALF_H_
#define XSLIM_QUANT_HALF_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "quant/bodies.h"
#include "quant/ignore_list.h"
#include "quant/left_list.h"

namespace xslim {

inline constexpr float kLargestHalf = 65504.0f;

struct HalfOptions {
  DType type = DType::kFloat16;  // or kBFloat16
  bool io = false;               // float inputs and outputs of the model change their type, too
  // Values of the outermost graph that are known to leave the range of float16; they stay float32. When
  // `measured` is not set they are guessed from constants.
  std::set<ValueId> wide;
  bool measured = false;
  // Further operators of a graph or body that stay float32, with the reason; may be empty.
  std::function<std::map<NodeId, std::string>(const Scope&)> keep;
};

// In the reason of what has a 16-bit form, but not at the model's opset.
inline constexpr char kSinceOpset[] = " form of it since opset ";

// Elements of a converted constant that became 0 and were not small beside its largest: over 2^-11 of it,
// which is the precision of float16.
struct Vanished {
  std::string name;  // the tensor's, or the title of the node that holds it
  int64_t elements = 0, of = 0;
};

struct HalfOutcome {
  int converted = 0;             // operators that work on 16-bit values
  int casts = 0;                 // Cast nodes added
  std::set<std::string> types;   // of the converted operators
  LeftList left;                 // operators on floats that stay float32
  std::vector<std::string> nan;  // converted constants that hold NaN
  std::vector<Vanished> vanished;
  // Elements of the float constants, and how many of them operators outside the ignore lists keep float32, by
  // their reason.
  int64_t weights = 0;
  std::map<std::string, int64_t> float_weights;
};

// Converts the graph and its bodies. Each float32 value has one home, float32 or 16-bit; a reader that needs
// the other gets it from one shared Cast. Stays float32:
// - operators on the ignore lists, of unknown domains, and those whose schema has no 16-bit form at the
//   model's opset;
// - kinds whose results 16 bits would spoil (indices, sampling, sums of squares: see docs/modes.md);
// - operators that read or make values outside the range of float16;
// - what enters and leaves a body: state that a loop carries keeps its precision.
HalfOutcome ConvertToHalf(Graph* graph, const HalfOptions& options, IgnoreList* ignored);

}  // namespace xslim

#endif  // XSLIM_QUANT_HALF_H_
