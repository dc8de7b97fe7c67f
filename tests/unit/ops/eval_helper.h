// Evaluates one operator on given tensors, without a graph.
#ifndef TESTS_UNIT_OPS_EVAL_HELPER_H_
#define TESTS_UNIT_OPS_EVAL_HELPER_H_

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim::testing {

struct EvalOptions {
  int opset = 21;  // of the operator's domain
  int num_outputs = 1;
  int threads = 1;
  std::string domain = {};
  std::vector<bool> constant_inputs = {};  // which inputs count as initializers; none when empty
};

using Attributes = std::map<std::string, Attribute>;

// Runs FindOperator(domain, op_type, opset)->evaluate; an undefined tensor is an input left out. Throws Error
// when the operator is not known at that opset.
inline std::vector<Tensor> Eval(const std::string& op_type, const std::vector<Tensor>& inputs,
                                Attributes attributes = {}, const EvalOptions& options = {}) {
  const OperatorRow* row = FindOperator(options.domain, op_type, options.opset);
  if (row == nullptr) throw Error("unknown operator", op_type);
  Node node;
  node.id = 0;
  node.name = "node";
  node.op_type = op_type;
  node.domain = options.domain;
  node.attributes = std::move(attributes);
  std::vector<const Tensor*> pointers;
  ValueId next = 0;
  for (const Tensor& input : inputs) {
    pointers.push_back(input.defined() ? &input : nullptr);
    node.inputs.push_back(input.defined() ? next++ : kNone);
  }
  for (int i = 0; i < options.num_outputs; ++i) node.outputs.push_back(next++);
  ThreadPool pool(options.threads);
  std::shared_ptr<void> state;
  EvalContext context(node, options.opset, pointers, pool, nullptr, state, options.constant_inputs, nullptr);
  row->evaluate(context);
  return std::move(context.outputs);
}

// The first output of Eval().
inline Tensor Eval1(const std::string& op_type, const std::vector<Tensor>& inputs, Attributes attributes = {},
                    const EvalOptions& options = {}) {
  return Eval(op_type, inputs, std::move(attributes), options)[0];
}

inline Tensor F(Shape shape, const std::vector<float>& values) {
  return Tensor::Of<float>(std::move(shape), values);
}
inline Tensor I64(Shape shape, const std::vector<int64_t>& values) {
  return Tensor::Of<int64_t>(std::move(shape), values);
}
inline Tensor I32(Shape shape, const std::vector<int32_t>& values) {
  return Tensor::Of<int32_t>(std::move(shape), values);
}
inline Tensor B(Shape shape, const std::vector<bool>& values) {
  Tensor tensor(DType::kBool, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) tensor.data<bool>()[i] = values[i];
  return tensor;
}

// The elements as a vector; T is the element type.
template <typename T>
std::vector<T> Values(const Tensor& tensor) {
  return std::vector<T>(tensor.data<T>(), tensor.data<T>() + tensor.size());
}

// Same shape and type (float32), every element within tolerance * max(1, |want|); NaN equals NaN.
inline void ExpectNear(const Tensor& got, const Tensor& want, double tolerance = 1e-5) {
  ASSERT_EQ(got.dtype(), want.dtype());
  ASSERT_EQ(got.shape(), want.shape());
  const float* a = got.data<float>();
  const float* b = want.data<float>();
  for (int64_t i = 0; i < got.size(); ++i) {
    if ((std::isnan(a[i]) && std::isnan(b[i])) || a[i] == b[i]) continue;
    EXPECT_LE(std::fabs(static_cast<double>(a[i]) - b[i]), tolerance * std::fmax(1.0, std::fabs(b[i])))
        << "element " << i << ": got " << a[i] << ", want " << b[i];
  }
}

}  // namespace xslim::testing

#endif  // TESTS_UNIT_OPS_EVAL_HELPER_H_
