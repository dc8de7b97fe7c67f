// Weights that an operator packs once: what is kept serves later runs in their place.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "eval_helper.h"
#include "noise.h"
#include "ops/operator.h"

namespace xslim {
namespace {

using testing::Attributes;

// An operator whose inputs from 1 on are constants.
struct Case {
  std::string name, op_type, domain;
  int opset;
  std::vector<Shape> data;        // of input 0, by run
  std::vector<Tensor> constants;  // undefined: left out
  Attributes attributes;
  bool replaces_weights = true;
};

class Operator {
 public:
  Operator(const Case& each, bool constant)
      : row_(FindOperator(each.domain, each.op_type, each.opset)), opset_(each.opset) {
    node_.name = "node";
    node_.op_type = each.op_type;
    node_.domain = each.domain;
    node_.attributes = each.attributes;
    node_.inputs.push_back(0);
    for (const Tensor& tensor : each.constants) node_.inputs.push_back(tensor.defined() ? 1 : kNone);
    node_.outputs = {2};
    constant_.assign(each.constants.size() + 1, constant);
    constant_[0] = false;
  }

  Tensor Run(const Tensor& data, const std::vector<Tensor>& constants) {
    std::vector<const Tensor*> inputs{&data};
    for (const Tensor& tensor : constants) inputs.push_back(tensor.defined() ? &tensor : nullptr);
    ThreadPool pool(1);
    EvalContext context(node_, opset_, inputs, pool, nullptr, state_, constant_, nullptr);
    row_->evaluate(context);
    replaces_weights = context.state_replaces_weights();
    return context.outputs[0];
  }

  bool replaces_weights = false;

 private:
  const OperatorRow* row_;
  int opset_;
  Node node_;
  std::vector<bool> constant_;
  std::shared_ptr<void> state_;
};

Tensor Codes(Shape shape) {
  Tensor codes(DType::kUint8, std::move(shape));
  for (int64_t i = 0; i < codes.size(); ++i) codes.data<uint8_t>()[i] = static_cast<uint8_t>(37 * i + 11);
  return codes;
}

Attribute Int(int64_t value) { return Attribute::Int(value); }

std::vector<Case> Cases() {
  const std::vector<Shape> images{{1, 4, 6, 5}, {2, 4, 3, 8}}, rows{{3, 6}, {5, 6}};
  const std::string microsoft = "com.microsoft";
  return {
      {"pointwise", "Conv", "", 13, images, {Noise({5, 4, 1, 1}, 1), Noise({5}, 2)}, {}},
      {"windows", "Conv", "", 13, images, {Noise({5, 4, 3, 2}, 1)}, {}},
      {"grouped", "Conv", "", 13, images, {Noise({6, 2, 3, 3}, 1)}, {{"group", Int(2)}}},
      // Planes are convolved with the weights as they are.
      {"depthwise", "Conv", "", 13, images, {Noise({4, 1, 3, 3}, 1)}, {{"group", Int(4)}}, false},
      // The second run's volumes are images with square windows, convolved plane by plane.
      {"flat volumes",
       "Conv",
       "",
       13,
       {{1, 2, 6, 6, 2}, {1, 2, 6, 6, 1}},
       {Noise({16, 1, 3, 3, 1}, 1)},
       {{"group", Int(2)}},
       false},
      {"many per plane", "Conv", "", 13, {{1, 1, 6, 6}, {1, 1, 7, 4}}, {Noise({17, 1, 3, 3}, 1)}, {}},
      {"lines", "Conv", "", 13, {{1, 4, 9}, {3, 4, 5}}, {Noise({5, 4, 3}, 1)}, {}},
      {"volumes", "Conv", "", 13, {{1, 2, 4, 5, 5}, {1, 2, 3, 6, 4}}, {Noise({3, 2, 2, 3, 3}, 1)}, {}},
      {"fused", "FusedConv", microsoft, 1, images, {Noise({5, 4, 3, 3}, 1)}, {}},
      {"transposed", "ConvTranspose", "", 13, images, {Noise({4, 3, 2, 2}, 1)}, {}},
      {"transposed groups", "ConvTranspose", "", 13, images, {Noise({4, 3, 2, 2}, 1)}, {{"group", Int(2)}}},
      {"matrix", "MatMul", "", 13, {{3, 6}, {2, 4, 6}, {6}}, {Noise({6, 5}, 1)}, {}},
      {"matrices", "MatMul", "", 13, {{2, 3, 6}, {4, 6}}, {Noise({2, 6, 5}, 1)}, {}},
      {"gemm", "Gemm", "", 13, rows, {Noise({6, 5}, 1), Noise({5}, 2)}, {}},
      {"gemm turned", "Gemm", "", 13, rows, {Noise({5, 6}, 1)}, {{"transB", Int(1)}}},
      {"fused gemm", "FusedGemm", microsoft, 1, rows, {Noise({6, 5}, 1)}, {}},
      {"deformed",
       "DeformConv",
       "",
       19,
       {{1, 2, 4, 4}, {1, 2, 4, 4}},
       {Noise({3, 2, 2, 2}, 1), Noise({1, 8, 3, 3}, 2)},
       {}},
      {"4 bits",
       "MatMulNBits",
       microsoft,
       1,
       {{3, 20}, {2, 2, 20}, {20}},
       {Codes({5, 2, 8}), Noise({10}, 2), Codes({5, 1})},
       {{"K", Int(20)}, {"N", Int(5)}, {"bits", Int(4)}, {"block_size", Int(16)}},
       false},  // the executor lets go of floats alone
  };
}

TEST(PackedWeights, ServeInPlaceOfTheWeights) {
  for (const Case& each : Cases()) {
    SCOPED_TRACE(each.name);
    Operator kept(each, true);
    std::vector<Tensor> given = each.constants;
    for (size_t run = 0; run < each.data.size(); ++run) {
      const Tensor data = Noise(each.data[run], 7 + run);
      const Tensor wanted = Operator(each, false).Run(data, each.constants);
      EXPECT_TRUE(kept.Run(data, given).SameBytes(wanted)) << "run " << run;
      EXPECT_EQ(kept.replaces_weights, each.replaces_weights);
      // What the executor leaves of weights that are not read again.
      if (each.replaces_weights)
        given[0] = Tensor::Borrow(each.constants[0].dtype(), each.constants[0].shape(), nullptr, false);
    }
  }
}

TEST(PackedWeights, AreMadeAnewWhereTheWeightsMayChange) {
  for (const Case& each : Cases()) {
    SCOPED_TRACE(each.name);
    Operator changing(each, false);
    const Tensor data = Noise(each.data[0], 7);
    std::vector<Tensor> other = each.constants;
    other[0] = each.constants[0].Clone();
    std::swap(other[0].raw()[0], other[0].raw()[other[0].bytes() - 1]);
    const Tensor first = changing.Run(data, each.constants);
    EXPECT_FALSE(changing.replaces_weights);
    EXPECT_FALSE(changing.Run(data, other).SameBytes(first));
  }
}

// The weights follow from all of these inputs.
TEST(PackedWeights, OfCodesFollowFromScalesToo) {
  const Case codes = Cases().back();
  Operator constant(codes, true);
  const Tensor data = Noise(codes.data[0], 7), first = constant.Run(data, codes.constants);
  std::vector<Tensor> zeros = codes.constants;
  zeros[0] = Tensor(DType::kUint8, codes.constants[0].shape());
  std::fill_n(zeros[0].data<uint8_t>(), zeros[0].size(), uint8_t{0});
  EXPECT_TRUE(constant.Run(data, zeros).SameBytes(first));  // unpacked once, not in every run
  Node node;
  node.op_type = codes.op_type;
  node.domain = codes.domain;
  node.attributes = codes.attributes;
  node.inputs = {0, 1, 2, 3};
  node.outputs = {4};
  std::shared_ptr<void> state;
  ThreadPool pool(1);
  const Tensor scales[] = {codes.constants[1], Noise({10}, 5)};
  const std::vector<bool> partly{false, true, false, true};
  std::vector<Tensor> results;
  for (const Tensor& scale : scales) {
    EvalContext context(node, 1, {&data, &codes.constants[0], &scale, &codes.constants[2]}, pool, nullptr,
                        state, partly, nullptr);
    FindOperator(codes.domain, codes.op_type, 1)->evaluate(context);
    EXPECT_FALSE(context.state_replaces_weights());
    results.push_back(context.outputs[0]);
  }
  EXPECT_TRUE(results[0].SameBytes(first));
  EXPECT_FALSE(results[1].SameBytes(first));
}

}  // namespace
}  // namespace xslim
