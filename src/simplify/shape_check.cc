#include "simplify/shape_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "ops/operator.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Operators of the broadcasting kind.
bool Broadcasts(const Node& node) {
  static const std::set<std::string> types = {
      "Add",  "And", "BitwiseAnd", "BitwiseOr",   "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
      "Less", "Max", "Mean",       "LessOrEqual", "Min",        "Mod", "Mul",   "Or",      "Pow",
      "Sub",  "Sum", "Where",      "Xor"};
  return types.count(node.op_type) != 0;
}

// Operators with an attribute `axis` of input 0's axes; the value: how many more than these it may name.
const std::map<std::string, int64_t>& WithAxis() {
  static const std::map<std::string, int64_t> types = {{"ArgMax", 0},
                                                       {"ArgMin", 0},
                                                       {"Compress", 0},
                                                       {"Concat", 0},
                                                       {"Gather", 0},
                                                       {"GatherElements", 0},
                                                       {"Hardmax", 0},
                                                       {"LogSoftmax", 0},
                                                       {"LayerNormalization", 0},
                                                       {"LpNormalization", 0},
                                                       {"RMSNormalization", 0},
                                                       {"Scatter", 0},
                                                       {"ScatterElements", 0},
                                                       {"Softmax", 0},
                                                       {"Split", 0},
                                                       {"SplitToSequence", 0},
                                                       {"TopK", 0},
                                                       {"OneHot", 1}};
  return types;
}

// Operators with a list of axes of input 0, in the attribute `axes` or, from some opset on, in this input.
const std::map<std::string, size_t>& WithAxes() {
  static const std::map<std::string, size_t> types = {{"ReduceL1", 1},     {"ReduceL2", 1},
                                                      {"ReduceLogSum", 1}, {"ReduceLogSumExp", 1},
                                                      {"ReduceMax", 1},    {"ReduceMean", 1},
                                                      {"ReduceMin", 1},    {"ReduceProd", 1},
                                                      {"ReduceSum", 1},    {"ReduceSumSquare", 1},
                                                      {"Slice", 3},        {"Squeeze", 1},
                                                      {"CumSum", 1},       {"MeanVarianceNormalization", 1}};
  return types;
}

std::string Apart(const char* what, int64_t a, int64_t b) {
  return a < 0 || b < 0 || a == b ? "" : StrCat(what, ": ", a, " and ", b);
}

// Throws Error for windows that nobody can place.
void CheckWindow(const Node& node, size_t spatial, const std::vector<int64_t>& kernel) {
  try {
    ReadWindow(node, spatial, kernel);
  } catch (const Unsupported&) {
    // other runtimes may take it
  }
}

}  // namespace

int64_t ShapeCheck::Dim(const Node& node, size_t slot, int64_t axis) const {
  const int64_t rank = Rank(node, slot);
  return axis >= -rank && axis < rank ? facts_.DimOf(node.input(slot), axis) : -1;
}

std::optional<std::vector<int64_t>> ShapeCheck::Ints(const Node& node, size_t slot,
                                                     const char* attribute) const {
  const ValueId input = node.input(slot);
  if (input == kNone) return node.Has(attribute) ? std::optional(node.Ints(attribute)) : std::nullopt;
  const auto& content = facts_.of(input).content;
  return content ? AsNumbers(*content) : std::nullopt;
}

std::string ShapeCheck::Of(const Node& node) const {
  if (std::string axes = AxesOf(node); !axes.empty()) return axes;
  if (Broadcasts(node)) return Broadcast(node);
  using Rule = std::string (ShapeCheck::*)(const Node&) const;
  static const std::map<std::string, Rule> rules = {
      {"MatMul", &ShapeCheck::Product},
      {"Gemm", &ShapeCheck::Product},
      {"Conv", &ShapeCheck::Convolution},
      {"ConvTranspose", &ShapeCheck::Convolution},
      {"ConvInteger", &ShapeCheck::Convolution},
      {"MaxPool", &ShapeCheck::Pool},
      {"AveragePool", &ShapeCheck::Pool},
      {"LpPool", &ShapeCheck::Pool},
      {"BatchNormalization", &ShapeCheck::PerChannel},
      {"InstanceNormalization", &ShapeCheck::PerChannel},
      {"Concat", &ShapeCheck::Concat},
      {"Transpose", &ShapeCheck::Transpose},
      {"Gather", &ShapeCheck::Gather},
      {"Unsqueeze", &ShapeCheck::Unsqueeze},
      {"Squeeze", &ShapeCheck::Squeeze},
      {"Split", &ShapeCheck::Split},
      {"Slice", &ShapeCheck::Slice},
      {"Reshape", &ShapeCheck::Reshape},
      {"Pad", &ShapeCheck::Listed},
      {"Tile", &ShapeCheck::Listed},
      {"Resize", &ShapeCheck::Listed},
      {"DepthToSpace", &ShapeCheck::Blocks},
      {"SpaceToDepth", &ShapeCheck::Blocks},
      {"TopK", &ShapeCheck::TopK},
  };
  const auto rule = rules.find(node.op_type);
  return rule == rules.end() ? "" : (this->*rule->second)(node);
}

bool ShapeCheck::Determined(const Graph& graph, const Node& node) const {
  if (!node.domain.empty()) return false;
  for (const auto& [name, attribute] : node.attributes) {
    if (attribute.graph) return false;
  }
  for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
    const ValueId input = node.inputs[slot];
    if (input == kNone || graph.Constant(input) != nullptr) continue;
    const TensorFacts& known = facts_.of(input);
    if (!known.dims || !AsNumbers(*known.dims)) return false;
    // Small tensors may be parameters, whose elements matter.
    if (!IsFloating(known.dtype) || known.dims->size() < (slot == 0 ? 1 : 2)) return false;
  }
  return true;
}

std::string ShapeCheck::AxisIn(int64_t axis, int64_t rank) {
  if (rank < 1 || (axis >= -rank && axis < rank)) return "";
  return StrCat("axis ", axis, " of a tensor of rank ", rank);
}

std::string ShapeCheck::AxesOf(const Node& node) const {
  const int64_t rank = Rank(node, 0);
  if (const auto with = WithAxis().find(node.op_type); with != WithAxis().end() && node.Has("axis"))
    return rank < 1 ? "" : AxisIn(node.Int("axis", 0), rank + with->second);
  if (node.Is("Flatten")) {
    const int64_t axis = node.Int("axis", 1);
    return rank < 0 || (axis >= -rank && axis <= rank) ? ""
                                                       : StrCat("axis ", axis, " of a tensor of rank ", rank);
  }
  const auto with = WithAxes().find(node.op_type);
  if (with == WithAxes().end()) return "";
  for (const int64_t axis : Ints(node, with->second, "axes").value_or(std::vector<int64_t>())) {
    if (std::string wrong = AxisIn(axis, rank); !wrong.empty()) return wrong;
  }
  return "";
}

std::string ShapeCheck::Broadcast(const Node& node) const {
  int64_t most = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) most = std::max(most, Rank(node, i));
  for (int64_t axis = 1; axis <= most; ++axis) {
    int64_t size = 1;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int64_t each = Dim(node, i, -axis);
      if (each < 0 || each == 1) continue;
      if (size != 1 && size != each) return Apart("sizes that do not broadcast", size, each);
      size = each;
    }
  }
  return "";
}

std::string ShapeCheck::Inner(const Node& node, int64_t a, int64_t b) const {
  if (Rank(node, 0) == 0 || Rank(node, 1) == 0) return "a scalar in a matrix product";
  return Apart("inner sizes of a matrix product", Dim(node, 0, a), Dim(node, 1, b));
}

std::string ShapeCheck::Product(const Node& node) const {
  if (node.Is("MatMul")) return Inner(node, -1, Rank(node, 1) == 1 ? -1 : -2);
  for (const size_t slot : {0, 1}) {
    if (Rank(node, slot) >= 0 && Rank(node, slot) != 2)
      return StrCat("a matrix of rank ", Rank(node, slot), " in Gemm");
  }
  return Inner(node, node.Int("transA", 0) != 0 ? 0 : 1, node.Int("transB", 0) != 0 ? 1 : 0);
}

std::string ShapeCheck::Convolution(const Node& node) const {
  const bool transposed = node.Is("ConvTranspose");
  const int64_t rank = Rank(node, 0), weight = Rank(node, 1);
  if (std::string ranks = Apart("ranks of data and weight", rank, weight); !ranks.empty()) return ranks;
  const int64_t known = std::max(rank, weight);
  if (known >= 0 && known < 3) return StrCat("data of rank ", known);
  int64_t wanted = Dim(node, 1, transposed ? 0 : 1);
  const int64_t group = node.Int("group", 1), channels = Dim(node, 0, 1);
  if (group < 1) return StrCat("group ", group);
  if (channels >= 0 && group > std::max<int64_t>(channels, 1))
    return StrCat("group ", group, " of ", channels, " channels");
  if (wanted >= 0 && channels >= 0 && !transposed) wanted *= group;
  if (std::string apart = Apart("channels of the data and those that the weight is for", channels, wanted);
      !apart.empty())
    return apart;
  const int64_t out = transposed ? -1 : Dim(node, 1, 0);
  if (out >= 0 && out % group != 0) return StrCat("group ", group, " of ", out, " output channels");
  if (known < 0) return "";
  std::vector<int64_t> kernel;
  for (int64_t axis = 2; axis < known; ++axis) kernel.push_back(Dim(node, 1, axis));
  CheckWindow(node, kernel.size(), kernel);
  return "";
}

std::string ShapeCheck::Pool(const Node& node) const {
  const int64_t rank = Rank(node, 0);
  if (rank < 0) return "";
  if (rank < 3) return StrCat("data of rank ", rank);
  CheckWindow(node, static_cast<size_t>(rank - 2), {});
  return "";
}

std::string ShapeCheck::PerChannel(const Node& node) const {
  if (node.Int("spatial", 1) == 0) return "";  // opsets 7 and 8: numbers for each place
  for (size_t slot = 1; slot < node.inputs.size(); ++slot) {
    if (Rank(node, slot) > 1) return StrCat("numbers for the channels of rank ", Rank(node, slot));
    const std::string wrong = Apart("channels and numbers for them", Dim(node, 0, 1), Dim(node, slot, 0));
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string ShapeCheck::Concat(const Node& node) const {
  const int64_t rank = Rank(node, 0);
  if (rank < 0) return "";
  int64_t along = node.Int("axis", 1);
  along += along < 0 ? rank : 0;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (std::string ranks = Apart("ranks of what is joined", rank, Rank(node, i)); !ranks.empty())
      return ranks;
    for (int64_t axis = 0; axis < rank; ++axis) {
      if (axis == along) continue;
      const std::string wrong =
          Apart("sizes of what is joined along another axis", Dim(node, 0, axis), Dim(node, i, axis));
      if (!wrong.empty()) return wrong;
    }
  }
  return "";
}

std::string ShapeCheck::Transpose(const Node& node) const {
  if (!node.Has("perm")) return "";
  const std::vector<int64_t> perm = node.Ints("perm");
  const int64_t rank = Rank(node, 0);
  if (rank >= 0 && static_cast<int64_t>(perm.size()) != rank)
    return StrCat("perm ", ToString(perm), " of a tensor of rank ", rank);
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i))
      return StrCat("perm ", ToString(perm), " does not name each axis once");
  }
  return "";
}

std::string ShapeCheck::Gather(const Node& node) const {
  const int64_t size = Dim(node, 0, node.Int("axis", 0));
  if (size < 0) return "";
  for (const int64_t index : Ints(node, 1).value_or(std::vector<int64_t>())) {
    if (index < -size || index >= size) return StrCat("index ", index, " of an axis of ", size);
  }
  return "";
}

std::string ShapeCheck::Unsqueeze(const Node& node) const {
  const auto axes = Ints(node, 1, "axes");
  if (Rank(node, 0) < 0 || !axes) return "";
  const int64_t rank = Rank(node, 0) + static_cast<int64_t>(axes->size());
  std::set<int64_t> added;
  for (const int64_t axis : *axes) {
    if (std::string wrong = AxisIn(axis, rank); !wrong.empty()) return wrong;
    if (!added.insert(axis < 0 ? axis + rank : axis).second)
      return StrCat("axes ", ToString(*axes), " names an axis twice");
  }
  return "";
}

std::string ShapeCheck::Squeeze(const Node& node) const {
  for (const int64_t axis : Ints(node, 1, "axes").value_or(std::vector<int64_t>())) {
    const int64_t size = Dim(node, 0, axis);
    if (size >= 0 && size != 1) return StrCat("axis ", axis, " of ", size, " elements cannot be left out");
  }
  return "";
}

std::string ShapeCheck::Split(const Node& node) const {
  const int64_t size = Dim(node, 0, node.Int("axis", 0)), outputs = static_cast<int64_t>(node.outputs.size());
  const auto parts = Ints(node, 1, "split");
  if (!parts) {
    if (node.Has("num_outputs"))
      return Apart("num_outputs and outputs of the node", node.Int("num_outputs", 0), outputs);
    if (node.input(1) != kNone || size < 0 || size % outputs == 0) return "";
    return StrCat(size, " elements in ", outputs, " equal parts");
  }
  int64_t sum = 0;
  for (const int64_t part : *parts) {
    if (part < 0 || __builtin_add_overflow(sum, part, &sum))
      return StrCat("parts of ", ToString(*parts), " elements");
  }
  if (std::string count = Apart("parts and outputs", static_cast<int64_t>(parts->size()), outputs);
      !count.empty())
    return count;
  return Apart("the axis to split and the sum of its parts", size, sum);
}

std::string ShapeCheck::Slice(const Node& node) const {
  const auto starts = Ints(node, 1, "starts"), ends = Ints(node, 2, "ends"), axes = Ints(node, 3, "axes"),
             steps = Ints(node, 4);
  const auto length = [](const auto& list) { return list ? static_cast<int64_t>(list->size()) : -1; };
  for (const auto& [what, other] : {std::pair("starts and ends", &ends), std::pair("starts and axes", &axes),
                                    std::pair("starts and steps", &steps)}) {
    if (std::string wrong = Apart(what, length(starts), length(*other)); !wrong.empty())
      return "lengths of " + wrong;
  }
  if (!axes && node.input(3) == kNone && Rank(node, 0) >= 0 && length(starts) > Rank(node, 0))
    return StrCat("a slice of ", length(starts), " axes of a tensor of rank ", Rank(node, 0));
  if (steps && std::count(steps->begin(), steps->end(), 0) > 0) return "a step of 0";
  return "";
}

std::string ShapeCheck::Reshape(const Node& node) const {
  if (Rank(node, 1) >= 0 && Rank(node, 1) != 1) return StrCat("a shape of rank ", Rank(node, 1));
  const auto shape = Ints(node, 1);
  if (!shape) return "";
  const std::string title = "shape " + ToString(*shape);
  const int64_t rank = Rank(node, 0);
  const bool keeps = node.Int("allowzero", 0) == 0;
  bool open = false, known = rank >= 0;
  int64_t wanted = 1, held = 1;
  for (size_t i = 0; i < shape->size(); ++i) {
    int64_t size = (*shape)[i];
    if (size < -1) return title + " has a negative size";
    if (size == -1) {
      if (open) return title + " leaves two sizes open";
      open = true;
      continue;
    }
    if (size == 0 && keeps) {
      if (rank >= 0 && static_cast<int64_t>(i) >= rank)
        return StrCat(title, " keeps axis ", i, " of a tensor of rank ", rank);
      size = Dim(node, 0, static_cast<int64_t>(i));
    }
    known = known && size >= 0 && !__builtin_mul_overflow(wanted, size, &wanted);
  }
  for (int64_t axis = 0; axis < rank; ++axis) {
    const int64_t size = Dim(node, 0, axis);
    known = known && size >= 0 && !__builtin_mul_overflow(held, size, &held);
  }
  if (!known) return "";
  const bool fits = open ? wanted == 0 ? held == 0 : held % wanted == 0 : held == wanted;
  return fits ? "" : StrCat(held, " elements in ", title);
}

// Operators with one number for each axis, or two.
std::string ShapeCheck::Listed(const Node& node) const {
  const int64_t rank = Rank(node, 0);
  const auto length = [&](size_t slot, const char* attribute) -> int64_t {
    if (node.input(slot) == kNone)
      return node.Has(attribute) ? static_cast<int64_t>(node.Ints(attribute).size()) : -1;
    return Rank(node, slot) == 1 ? Dim(node, slot, 0) : -1;
  };
  if (rank < 0) return "";
  if (node.Is("Tile")) return Apart("axes and repeats for them", rank, length(1, ""));
  if (node.Is("Pad")) {
    return node.input(3) != kNone ? ""
                                  : Apart("pads and twice the number of axes", length(1, "pads"), 2 * rank);
  }
  if (node.Has("axes")) return "";
  // Exporters leave an input out by an empty list, too.
  for (const size_t slot : {node.inputs.size() < 3 ? size_t{1} : size_t{2}, size_t{3}}) {
    if (length(slot, "") == 0) continue;
    if (std::string wrong = Apart("axes and sizes or scales for them", rank, length(slot, ""));
        !wrong.empty())
      return wrong;
  }
  return "";
}

std::string ShapeCheck::Blocks(const Node& node) const {
  const int64_t block = node.Int("blocksize", 1), rank = Rank(node, 0);
  if (block < 1) return StrCat("blocksize ", block);
  if (rank >= 0 && rank != 4) return StrCat("data of rank ", rank);
  const bool to_space = node.Is("DepthToSpace");
  for (const int64_t axis : {1, 2, 3}) {
    if (to_space != (axis == 1)) continue;
    const int64_t size = Dim(node, 0, axis);
    if (size >= 0 && (size % block != 0 || (to_space && size / block % block != 0)))
      return StrCat("axis ", axis, " of ", size, " elements in blocks of ", block);
  }
  return "";
}

std::string ShapeCheck::TopK(const Node& node) const {
  const auto k = Ints(node, 1);
  const int64_t size = Dim(node, 0, node.Int("axis", -1));
  if (!k || k->size() != 1) return "";
  if (k->front() < 0) return StrCat("k ", k->front());
  return size >= 0 && k->front() > size ? StrCat("the largest ", k->front(), " of ", size) : "";
}

}  // namespace xslim
