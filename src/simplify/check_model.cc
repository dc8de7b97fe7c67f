#include "simplify/check_model.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/log.h"
#include "graph/dims_text.h"
#include "graph/function.h"
#include "simplify/opset/facts.h"
#include "simplify/opset/signature.h"
#include "simplify/shape_check.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kNamed = 5;

// "" when the body takes and makes as many values as the node gives it and takes of it.
std::string Miscounted(const Node& node, const char* body, size_t inputs, size_t outputs) {
  const Graph& graph = *node.attributes.at(body).graph;
  const auto counted = [&](size_t has, size_t needs, const char* what) {
    return has == needs ? "" : StrCat(body, " has ", has, " ", what, " instead of ", needs);
  };
  // Initializers may stand among the inputs.
  const size_t all = graph.inputs().size();
  const std::string wrong = counted(all == inputs ? all : graph.FreeInputs().size(), inputs, "inputs");
  return wrong.empty() ? counted(graph.outputs().size(), outputs, "outputs") : wrong;
}

// What is wrong with the bodies of an If, Loop or Scan; "" when nothing is.
std::string BodyFault(const Node& node, int opset) {
  for (const char* name : {"then_branch", "else_branch", "body"}) {
    if (node.Has(name) && !node.attributes.at(name).graph) return StrCat("attribute ", name, " is no graph");
  }
  const size_t inputs = node.inputs.size(), outputs = node.outputs.size();
  if (node.Is("If")) {
    const std::string wrong = Miscounted(node, "then_branch", 0, outputs);
    return wrong.empty() ? Miscounted(node, "else_branch", 0, outputs) : wrong;
  }
  if (node.Is("Loop")) {  // step and condition go in, the condition comes out
    const size_t states = inputs > 2 ? inputs - 2 : 0;
    if (outputs < states) return StrCat("has ", outputs, " outputs for ", states, " states");
    return Miscounted(node, "body", states + 2, outputs + 1);
  }
  if (node.Is("Scan") && opset >= 9) {  // before, lengths may stand in front of the states
    const int64_t scanned = node.Int("num_scan_inputs", 0);
    if (scanned < 1 || scanned > static_cast<int64_t>(inputs))
      return StrCat("num_scan_inputs is ", scanned, " for ", inputs, " inputs");
    const size_t states = inputs - static_cast<size_t>(scanned);
    if (outputs < states) return StrCat("has ", outputs, " outputs for ", states, " states");
    return Miscounted(node, "body", inputs, outputs);
  }
  return "";
}

class Finder {
 public:
  explicit Finder(const Graph& model)
      : opset_(static_cast<int>(model.opset())), imports_(model.opset_imports), functions_(model.functions) {}

  void Visit(const Graph& graph, const opset::GraphFacts* outer, const std::string& path) {
    const opset::GraphFacts facts(graph, opset_, outer);
    const std::optional<ShapeCheck> shapes = outer ? std::nullopt : ShapesOf(graph);
    for (NodeId id : graph.Order()) {
      const Node& node = graph.node(id);
      for (const auto& [name, attribute] : node.attributes) {
        if (attribute.graph) Visit(*attribute.graph, &facts, path + node.name + "/");
      }
      const std::string title = path + node.Title();
      if (!node.domain.empty()) {
        if (imports_.count(node.domain) == 0)
          faults.push_back({title, "the model does not import its domain " + node.domain, false});
        continue;
      }
      const opset::Signature* signature = opset::FindSignature(node.op_type, opset_);
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
      } else if (const std::string wrong = BodyFault(node, opset_); !wrong.empty()) {
        faults.push_back({title, wrong, true});
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
      return std::optional<ShapeCheck>(std::in_place, graph, true);
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
  const std::map<std::string, int64_t>& imports_;
  const std::vector<std::shared_ptr<const Function>>& functions_;
};

std::string Listed(const std::vector<ModelFault>& faults, bool fatal) {
  std::vector<std::string> texts;
  size_t count = 0;
  for (const ModelFault& fault : faults) {
    if (fault.fatal != fatal || count++ >= kNamed) continue;
    texts.push_back((fault.node.empty() ? "" : fault.node + ": ") + fault.why);
  }
  if (count > kNamed) texts.push_back(StrCat("and ", count - kNamed, " more"));
  return StrJoin(texts, "; ");
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
  if (!fatal.empty()) throw InvalidModel(fatal);
}

void RefuseFatalFaults(const Graph& graph) {
  const std::string fatal = Listed(FindFaults(graph), true);
  if (!fatal.empty()) throw InvalidModel(fatal);
}

InvalidModel::InvalidModel(const std::string& faults)
    : Error("the model is not valid: " + faults, "", kNoRuntime), faults_(faults) {}

int CorrectShapes(Graph* graph, bool fill) {
  if (graph->opset() > kHighestOpset) return 0;
  int corrected = 0;
  const ShapeFacts facts(*graph, false, true);
  for (ValueId id = 0; id < static_cast<ValueId>(graph->value_slots()); ++id) {
    Value& value = graph->value(id);
    const int64_t rank = facts.RankOf(id);
    if (value.id == kNone || value.producer == kNone || rank < 0) continue;
    if (!value.has_shape && !(fill && value.is_output && value.dtype != DType::kUndefined)) continue;
    std::vector<Dim> dims = value.dims;
    dims.resize(static_cast<size_t>(rank));
    const bool other_rank = dims.size() != value.dims.size();
    bool wrong = other_rank && value.has_shape, settled = fill && !value.has_shape;
    for (size_t axis = 0; axis < dims.size(); ++axis) {
      const int64_t size = facts.DimOf(id, static_cast<int64_t>(axis));
      if (size < 0 && other_rank) dims[axis] = {};
      if (size < 0 || dims[axis].size == size) continue;
      wrong |= dims[axis].size >= 0;
      settled |= fill;
      dims[axis] = {size, ""};
    }
    if (!wrong && !settled) continue;
    if (wrong && value.is_output) {
      LogWarning("output ", value.name, " is declared with the shape [", DimsText(value.dims), "], but has [",
                 DimsText(dims), "]; it is written so");
    }
    value.dims = std::move(dims);
    value.has_shape = true;
    corrected += wrong;
  }
  return corrected;
}

}  // namespace xslim
