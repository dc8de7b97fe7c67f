// Model-local functions (onnx.FunctionProto): a call is a node that names one. The graph keeps its calls; who
// needs to look inside works on a graph in which they have been replaced by what the function does.
#ifndef XSLIM_GRAPH_FUNCTION_H_
#define XSLIM_GRAPH_FUNCTION_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

struct Function {
  std::string domain, name, overload;
  std::map<std::string, Attribute> defaults;  // of attributes that a call may leave out
  Graph body;  // inputs and outputs in the function's order; opset_imports are the function's
  // Of a function of ours: the names that a call must give. Attributes of its body that stand for one have their
  // own kind beside the reference.
  std::vector<std::string> attributes;
  std::string source;  // serialized onnx.FunctionProto as it was read; "" for a function of ours

  std::string Title() const;  // "domain::name", with ":overload" where there is one
};

// The function of `model` that the node calls; null for an operator. Functions come before operators of the
// same name.
const Function* FindFunction(const Graph& model, const Node& node);

// Replaces one call in `graph` by the function's nodes. New names begin with `prefix`; the call's outputs
// keep theirs. References to attributes are replaced by the call's values. `model` (which may be `graph`)
// imports the function's domains afterwards. Throws Error naming the call when it does not fit the function,
// or when over a million nodes have come out.
void InlineCall(Graph* model, Graph* graph, NodeId id, const Function& function, const std::string& prefix);

// Replaces all calls, also in bodies and in functions that functions call, for which `wanted` is true (null:
// all).
using WantedFn = std::function<bool(const Function&, const Node& call)>;
void InlineCalls(Graph* model, const WantedFn& wanted = nullptr);

// Whether a node of the graph or of a body in it calls a function of the model.
bool HasCalls(const Graph& model);

// Removes the functions that nothing calls any more; returns how many.
int DropUnusedFunctions(Graph* model);

// Throws Error when a function calls itself, directly or through others.
void CheckFunctions(const Graph& model);

}  // namespace xslim

#endif  // XSLIM_GRAPH_FUNCTION_H_
