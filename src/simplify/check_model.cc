#include "simplify/check_model.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/log.h"
#include "simplify/opset/facts.h"
#include "simplify/opset/signature.h"
#include "simplify/simplify.h"
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kNamed = 5;

// Operators of the broadcasting kind.
bool Broadcasts(const Node& node) {
  static const std::set<std::string> types = {
      "Add",  "And", "BitwiseAnd", "BitwiseOr",   "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
      "Less", "Max", "Mean",       "LessOrEqual", "Min",        "Mod", "Mul",   "Or",      "Pow",
      "Sub",  "Sum", "Where",      "Xor"};
  return types.count(node.op_type) != 0;
}

class ShapeCheck {
 public:
  explicit ShapeCheck(const Graph& graph) : facts_(graph, false) {}

  // Why the shapes of the inputs do not go together; "" when they do or are not known.
  std::string Of(const Node& node) const {
    if (Broadcasts(node)) return Broadcast(node);
    if (node.Is("MatMul")) return Inner(node, -1, Rank(node, 1) == 1 ? -1 : -2);
    if (node.Is("Gemm"))
      return Inner(node, node.Int("transA", 0) != 0 ? 0 : 1, node.Int("transB", 0) != 0 ? 1 : 0);
    if (node.Is("Conv") || node.Is("ConvTranspose")) return Channels(node);
    if (node.Is("BatchNormalization")) return PerChannel(node);
    if (node.Is("Concat")) return Concat(node);
    return "";
  }

 private:
  int64_t Rank(const Node& node, size_t slot) const { return facts_.RankOf(node.input(slot)); }
  int64_t Dim(const Node& node, size_t slot, int64_t axis) const {
    const int64_t rank = Rank(node, slot);
    return axis >= -rank && axis < rank ? facts_.DimOf(node.input(slot), axis) : -1;
  }

  static std::string Apart(const char* what, int64_t a, int64_t b) {
    return a < 0 || b < 0 || a == b ? "" : StrCat(what, ": ", a, " and ", b);
  }

  std::string Broadcast(const Node& node) const {
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

  std::string Inner(const Node& node, int64_t a, int64_t b) const {
    if (Rank(node, 0) == 0 || Rank(node, 1) == 0) return "a scalar in a matrix product";
    return Apart("inner sizes of a matrix product", Dim(node, 0, a), Dim(node, 1, b));
  }

  std::string Channels(const Node& node) const {
    const int64_t rank = Rank(node, 0), weight = Rank(node, 1);
    if (std::string ranks = Apart("ranks of data and weight", rank, weight); !ranks.empty()) return ranks;
    if (rank >= 0 && rank < 3) return StrCat("data of rank ", rank);
    int64_t wanted = Dim(node, 1, node.Is("Conv") ? 1 : 0);
    const int64_t group = node.Is("Conv") ? node.Int("group", 1) : 1, channels = Dim(node, 0, 1);
    if (group < 1) return StrCat("group ", group);
    if (channels >= 0 && group > std::max<int64_t>(channels, 1))
      return StrCat("group ", group, " of ", channels, " channels");
    if (wanted >= 0 && channels >= 0) wanted *= group;
    return Apart("channels of the data and those that the weight is for", Dim(node, 0, 1), wanted);
  }

  std::string PerChannel(const Node& node) const {
    for (size_t slot = 1; slot < 5; ++slot) {
      const std::string wrong = Apart("channels and numbers for them", Dim(node, 0, 1), Dim(node, slot, 0));
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

  std::string Concat(const Node& node) const {
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

  const ShapeFacts facts_;
};

class Finder {
 public:
  explicit Finder(int opset) : opset_(opset) {}

  void Visit(const Graph& graph, const opset::GraphFacts* outer, const std::string& path) {
    const opset::GraphFacts facts(graph, opset_, outer);
    const std::optional<ShapeCheck> shapes = outer ? std::nullopt : ShapesOf(graph);
    for (NodeId id : graph.Order()) {
      const Node& node = graph.node(id);
      for (const auto& [name, attribute] : node.attributes) {
        if (attribute.graph) Visit(*attribute.graph, &facts, path + node.name + "/");
      }
      const opset::Signature* signature =
          node.domain.empty() ? opset::FindSignature(node.op_type, opset_) : nullptr;
      if (signature == nullptr) continue;
      const std::string title = path + node.Title();
      const auto misfit = opset::Misfit(node, *signature, [&](ValueId value) { return facts.type(value); });
      if (misfit) {
        const bool extra = std::any_of(node.attributes.begin(), node.attributes.end(), [&](const auto& each) {
          return signature->Find(each.first) == nullptr;
        });
        faults.push_back({title, StrCat("not as opset ", opset_, " has it: ", *misfit), !extra});
      } else if (shapes) {
        ShapeFault(*shapes, node, title);
      }
    }
  }

  std::vector<ModelFault> faults;

 private:
  std::optional<ShapeCheck> ShapesOf(const Graph& graph) {
    try {
      Graph initialized = graph;  // of Constant nodes the facts know nothing; values keep their ids
      ConstantsToInitializers(&initialized, {});
      return std::optional<ShapeCheck>(initialized);
    } catch (const Error& error) {  // an attribute of the wrong kind, which it names
      faults.push_back({"", error.what(), true});
      return std::nullopt;
    }
  }

  void ShapeFault(const ShapeCheck& shapes, const Node& node, const std::string& title) {
    try {
      const std::string wrong = shapes.Of(node);
      if (!wrong.empty()) faults.push_back({title, wrong, true});
    } catch (const Error& error) {  // an attribute of the wrong kind
      faults.push_back({title, error.what(), true});
    }
  }

  const int opset_;
};

std::string Listed(const std::vector<ModelFault>& faults, bool fatal) {
  std::string text;
  size_t count = 0;
  for (const ModelFault& fault : faults) {
    if (fault.fatal != fatal) continue;
    if (count++ >= kNamed) continue;
    text += (text.empty() ? "" : "; ") + (fault.node.empty() ? "" : fault.node + ": ") + fault.why;
  }
  return count > kNamed ? StrCat(text, "; and ", count - kNamed, " more") : text;
}

}  // namespace

std::vector<ModelFault> FindFaults(const Graph& graph) {
  if (graph.opset() > kHighestOpset) return {};  // its operators are not in the table yet
  Finder finder(static_cast<int>(graph.opset()));
  finder.Visit(graph, nullptr, "");
  return std::move(finder.faults);
}

void RefuseFaults(const Graph& graph) {
  const std::vector<ModelFault> faults = FindFaults(graph);
  const std::string minor = Listed(faults, false), fatal = Listed(faults, true);
  if (!minor.empty()) LogWarning("the model is not valid ONNX: ", minor);
  if (!fatal.empty()) throw Error("the model is not valid: " + fatal, "", "no runtime can run it");
}

}  // namespace xslim
