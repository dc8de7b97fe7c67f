// What is wrong with a model whatever its inputs are.
#ifndef XSLIM_SIMPLIFY_CHECK_MODEL_H_
#define XSLIM_SIMPLIFY_CHECK_MODEL_H_

#include <string>
#include <vector>

#include "graph/graph.h"
#include "xslim/error.h"

namespace xslim {

struct ModelFault {
  std::string node;  // Node::Title(), that of a body behind the names of the nodes that hold it;
                     // "" where `why` names it
  std::string why;
  bool fatal = false;  // no runtime can compute it; else one may look past it (an attribute too many)
};

// Nodes of the default domain, of bodies too, whose inputs, outputs, attributes or element types are not what
// their operator has in the model's opset (not fatal: an operator that it does not have), nodes of the
// outermost graph whose input shapes, as far as they follow from the model's inputs, do not go together, and
// outputs of the model that are declared with another element type than is computed. Operators of other
// domains are not judged, nor are the model's functions.
std::vector<ModelFault> FindFaults(const Graph& graph);

// A model that no runtime can run; `faults` says where and why, without what stands around it in the text.
class InvalidModel : public Error {
 public:
  explicit InvalidModel(const std::string& faults);
  const std::string& faults() const { return faults_; }

 private:
  std::string faults_;
};

// Throws InvalidModel naming the fatal faults; warns of the others.
void RefuseFaults(const Graph& graph);
// The same without the warning.
void RefuseFatalFaults(const Graph& graph);

// Tensors that are declared with a shape which the model, whatever it is fed with, does not give get the
// right one: who allocates by the declaration relies on it. Of outputs a warning is said. `fill`: sizes that
// a declaration leaves open and that are known are put in, too. Returns how many were declared wrongly.
int CorrectShapes(Graph* graph, bool fill);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_CHECK_MODEL_H_
