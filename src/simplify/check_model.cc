#include "simplify/check_model.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "graph/function.h"
#include "simplify/opset/facts.h"
#include "simplify/opset/signature.h"
#include "simplify/shape_check.h"
#include "simplify/simplify.h"
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kNamed = 5;

class Finder {
 public:
  explicit Finder(const Graph& model)
      : opset_(static_cast<int>(model.opset())), functions_(model.functions) {}

  void Visit(const Graph& graph, const opset::GraphFacts* outer, const std::string& path) {
    const opset::GraphFacts facts(graph, opset_, outer);
    const std::optional<ShapeCheck> shapes = outer ? std::nullopt : ShapesOf(graph);
    for (NodeId id : graph.Order()) {
      const Node& node = graph.node(id);
      for (const auto& [name, attribute] : node.attributes) {
        if (attribute.graph) Visit(*attribute.graph, &facts, path + node.name + "/");
      }
      if (!node.domain.empty()) continue;
      const opset::Signature* signature = opset::FindSignature(node.op_type, opset_);
      const std::string title = path + node.Title();
      if (signature == nullptr) {
        if (!IsFunction(node))
          faults.push_back({title, StrCat("opset ", opset_, " has no operator ", node.op_type), false});
        continue;
      }
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
    if (outer == nullptr) OutputTypes(graph, facts);
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

  bool IsFunction(const Node& node) const {
    return std::any_of(functions_.begin(), functions_.end(), [&](const auto& function) {
      return function->domain == node.domain && function->name == node.op_type;
    });
  }

  // Who reads the declaration of an output relies on it.
  void OutputTypes(const Graph& graph, const opset::GraphFacts& facts) {
    for (ValueId id : graph.outputs()) {
      const Value& value = graph.value(id);
      const DType computed = facts.type(id);
      if (value.producer == kNone || value.dtype == DType::kUndefined || computed == DType::kUndefined ||
          value.dtype == computed)
        continue;
      faults.push_back({graph.node(value.producer).Title(),
                        StrCat("computes ", NameOf(computed), " for output ", value.name,
                               ", which is declared as ", NameOf(value.dtype)),
                        true});
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
  const std::vector<std::shared_ptr<const Function>>& functions_;
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
  if (graph.outputs().empty()) return {{"", "it has no outputs", true}};
  if (graph.opset() > kHighestOpset) return {};  // its operators are not in the table yet
  Finder finder(graph);
  finder.Visit(graph, nullptr, "");
  return std::move(finder.faults);
}

void RefuseFaults(const Graph& graph) {
  const std::vector<ModelFault> faults = FindFaults(graph);
  const std::string minor = Listed(faults, false), fatal = Listed(faults, true);
  if (!minor.empty()) LogWarning("the model is not valid ONNX: ", minor);
  if (!fatal.empty()) throw Error("the model is not valid: " + fatal, "", kNoRuntime);
}

}  // namespace xslim
