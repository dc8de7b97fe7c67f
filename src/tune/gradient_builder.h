// What the rules of gradient.cc have in common: adding operators, and handing derivatives on.
#ifndef XSLIM_TUNE_GRADIENT_BUILDER_H_
#define XSLIM_TUNE_GRADIENT_BUILDER_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tune/gradient.h"

namespace xslim {

class GradientBuilder {
 public:
  GradientBuilder(Graph* graph, const ValueFacts& facts, ThreadPool& pool, WithoutRule without_rule)
      : graph_(graph), facts_(facts), pool_(pool), without_rule_(without_rule), known_(facts.size()) {}

  Gradient Run(const std::map<ValueId, ValueId>& seeds, const std::set<ValueId>& wanted);

  // ---- for rules
  Graph& graph() { return *graph_; }
  ThreadPool& pool() { return pool_; }
  const Shape& ShapeOf(ValueId id) const { return facts_.of(id).shape; }
  // Whether a derivative by this input is needed: it is float, and something wanted lies before it.
  bool Needs(ValueId id) const { return id != kNone && needed_.count(id) != 0; }
  ValueId Emit(const std::string& type, std::vector<ValueId> inputs,
               std::map<std::string, Attribute> attributes = {}, const std::string& domain = "");
  ValueId Scalar(float value);
  ValueId Ints(std::vector<int64_t> values);
  ValueId Constant(Tensor tensor);
  ValueId Zeros(const Shape& shape);
  ValueId Reshaped(ValueId x, const Shape& shape) { return Emit("Reshape", {x, Ints(shape)}); }
  ValueId Scaled(ValueId x, double factor) { return Emit("Mul", {x, Scalar(static_cast<float>(factor))}); }
  // Sum over the axes, which are kept with size 1.
  ValueId SumOver(ValueId x, std::vector<int64_t> axes) {
    return Emit("ReduceSum", {x, Ints(std::move(axes))}, {{"keepdims", Attribute::Int(1)}});
  }
  // What broadcasting from `to` to `from` does, backwards: sums.
  ValueId SumTo(ValueId x, const Shape& from, const Shape& to);
  // The derivative by `input` of what its reader makes of it is `derivative` (one summand of several).
  void Give(ValueId input, ValueId derivative);
  void NoteTurned(ValueId weight, Gradient::Turned turned) { turned_[weight].push_back(turned); }

 private:
  bool ReadsNeeded(const Node& node) const;
  void FindNeeded(const std::set<ValueId>& wanted);
  ValueId Arrived(ValueId value);
  void Estimate(const Node& node, const std::vector<ValueId>& g);

  Graph* graph_;
  const ValueFacts& facts_;
  ThreadPool& pool_;
  const WithoutRule without_rule_;
  const size_t known_;  // values that have facts: ids below
  std::set<ValueId> needed_;
  std::map<ValueId, std::vector<ValueId>> given_;
  std::map<ValueId, ValueId> arrived_;
  std::map<ValueId, std::vector<Gradient::Turned>> turned_;
  std::set<ValueId> partial_;  // a derivative stopped on one of the ways to them
};

// One operator on the way back. g: the derivatives by its outputs, kNone where none arrived.
struct GradientSite {
  GradientBuilder& builder;
  const Node& node;
  const std::vector<ValueId>& g;
  ValueId x(size_t slot) const { return node.input(slot); }
  ValueId y() const { return node.outputs[0]; }
  const Shape& shape(size_t slot) const { return builder.ShapeOf(node.input(slot)); }
  const Shape& out_shape() const { return builder.ShapeOf(node.outputs[0]); }
};

// False: no rule for this operator, or not for this use of it.
bool HandOn(const GradientSite& site);
// Families of rules, by file. Likewise.
bool HandOnProduct(const GradientSite& site);  // gradient_products.cc: Conv ConvTranspose Gemm MatMul, pools
bool HandOnElementwise(const GradientSite& site);  // gradient_elementwise.cc
bool HandOnMoved(const GradientSite& site);        // gradient_moves.cc: what only moves elements

}  // namespace xslim

#endif  // XSLIM_TUNE_GRADIENT_BUILDER_H_
