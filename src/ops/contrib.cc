#include "ops/contrib.h"

#include <limits>

#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "xslim/error.h"

namespace xslim {

Tensor Maybe(const EvalContext& context, size_t slot) {
  return context.has(slot) ? context.in(slot) : Tensor();
}

std::vector<Tensor> RunOperator(const EvalContext& context, const std::string& op_type, int opset,
                                const std::vector<Tensor>& inputs,
                                std::map<std::string, Attribute> attributes, size_t outputs,
                                const char* domain) {
  const OperatorRow* row = FindOperator(domain, op_type, opset);
  if (row == nullptr)
    throw Error("operator " + op_type + " of opset " + std::to_string(opset) + " is not known");
  Node node;
  node.name = context.node.name;
  node.op_type = op_type;
  node.domain = domain;
  node.attributes = std::move(attributes);
  // Only which ids are kNone matters: there is no graph around the node.
  std::vector<const Tensor*> given;
  for (const Tensor& input : inputs) {
    given.push_back(input.defined() ? &input : nullptr);
    node.inputs.push_back(input.defined() ? 0 : kNone);
  }
  node.outputs.assign(outputs, 0);
  std::shared_ptr<void> state;
  const std::vector<bool> constant(inputs.size(), false);
  EvalContext inner(node, opset, std::move(given), context.pool, context.allocator(), state, constant,
                    nullptr);
  row->evaluate(inner);
  return std::move(inner.outputs);
}

void SetOutputs(EvalContext& context, std::vector<Tensor> outputs) {
  for (size_t i = 0; i < outputs.size(); ++i)
    if (context.wants(i)) context.set_out(i, std::move(outputs[i]));
}

void ApplyActivation(ThreadPool& pool, const std::string& name, const std::vector<float>& parameters,
                     float* data, int64_t count) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const kernels::Table& table = kernels::Active();
  const auto parameter = [&](size_t i, float otherwise) {
    return i < parameters.size() ? parameters[i] : otherwise;
  };
  const auto over = [&](const auto& run) {
    pool.ParallelFor(count, kElementGrain,
                     [&](int64_t begin, int64_t end, int) { run(data + begin, end - begin); });
  };
  if (name.empty()) return;
  if (name == "Relu") {
    over([&](float* x, int64_t n) { table.clamp(x, 0, kInf, x, n); });
  } else if (name == "Tanh") {
    over([&](float* x, int64_t n) { table.unary(kernels::kTanh, x, x, n); });
  } else if (name == "Sigmoid") {
    over([&](float* x, int64_t n) { table.unary(kernels::kSigmoid, x, x, n); });
  } else if (name == "HardSwish") {
    over([&](float* x, int64_t n) { table.unary(kernels::kHardSwish, x, x, n); });
  } else if (name == "LeakyRelu") {
    over([&](float* x, int64_t n) { table.leaky_relu(x, parameter(0, 0.01f), x, n); });
  } else if (name == "HardSigmoid") {
    over([&](float* x, int64_t n) { table.hard_sigmoid(x, parameter(0, 0.2f), parameter(1, 0.5f), x, n); });
  } else if (name == "Clip") {
    over([&](float* x, int64_t n) { table.clamp(x, parameter(0, -kInf), parameter(1, kInf), x, n); });
  } else {
    throw Error("unknown activation " + name, "",
                "expected Relu, Tanh, Sigmoid, LeakyRelu, Clip, HardSigmoid or HardSwish");
  }
}

}  // namespace xslim
