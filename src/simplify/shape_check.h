// Whether a node can be computed at all, from what is known of its inputs without running the model.
#ifndef XSLIM_SIMPLIFY_SHAPE_CHECK_H_
#define XSLIM_SIMPLIFY_SHAPE_CHECK_H_

#include <optional>
#include <string>
#include <vector>

#include "simplify/shape_facts.h"

namespace xslim {

// The hint of errors about models that are not valid.
inline constexpr char kNoRuntime[] = "no runtime can run it";

class ShapeCheck {
 public:
  // Of an outermost graph. `initialized`: as of ShapeFacts.
  explicit ShapeCheck(const Graph& graph, bool initialized = false) : facts_(graph, false, initialized) {}

  // Why the ranks, sizes, axes, windows and lists of a node do not go together, whatever the model is fed
  // with; "" when they do or are not known. Throws Error where an attribute is wrong by itself.
  std::string Of(const Node& node) const;

  // Whether what the node's operator says of its inputs depends on their shapes alone, which all are known
  // numbers, and on constants: an error of one run is then the error of every run. `graph`: the node's.
  bool Determined(const Graph& graph, const Node& node) const;

 private:
  int64_t Rank(const Node& node, size_t slot) const { return facts_.RankOf(node.input(slot)); }
  int64_t Dim(const Node& node, size_t slot, int64_t axis) const;
  // Known integers of an input or, where it is left out, of the attribute; none: not known or not there.
  std::optional<std::vector<int64_t>> Ints(const Node& node, size_t slot, const char* attribute = "") const;

  std::string Broadcast(const Node& node) const;
  std::string Inner(const Node& node, int64_t a, int64_t b) const;
  std::string Product(const Node& node) const;
  std::string Convolution(const Node& node) const;
  std::string Pool(const Node& node) const;
  std::string PerChannel(const Node& node) const;
  std::string Concat(const Node& node) const;
  std::string Transpose(const Node& node) const;
  std::string Gather(const Node& node) const;
  std::string Unsqueeze(const Node& node) const;
  std::string Squeeze(const Node& node) const;
  std::string Split(const Node& node) const;
  std::string Slice(const Node& node) const;
  std::string Reshape(const Node& node) const;
  std::string Listed(const Node& node) const;
  std::string Blocks(const Node& node) const;
  std::string TopK(const Node& node) const;

  // Why the axis does not lie in -rank to rank - 1; "" when it does, and where the rank is not known or 0.
  static std::string AxisIn(int64_t axis, int64_t rank);
  std::string AxesOf(const Node& node) const;

  const ShapeFacts facts_;
};

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SHAPE_CHECK_H_
