// Float matrix products on the packed kernels, for the operator families that need one.
#ifndef XSLIM_OPS_MATMUL_H_
#define XSLIM_OPS_MATMUL_H_

#include <optional>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernels.h"
#include "ops/operator.h"
#include "ops/pack_store.h"

namespace xslim {

// Float attributes that the runtime sets on its own copy of a Conv or Gemm node to fuse a following Relu or
// Clip: the result is stored as min(max(v, lo), hi). Either may be absent (no bound).
inline constexpr char kClampLo[] = "xslim_clamp_lo";
inline constexpr char kClampHi[] = "xslim_clamp_hi";
kernels::Epilogue EpilogueOf(const Node& node);
// Int attribute that the runtime sets on its own copy of a Conv node: the kernels::UnaryOp that follows.
inline constexpr char kThenUnary[] = "xslim_then_unary";

// Quantization to codes of lo to hi and back, of each element.
struct QuantizeEpilogue {
  float scale;
  int32_t zero_point, lo, hi;

  void Apply(const kernels::Table& table, const float* x, float* y, int64_t n) const {
    table.fake_quantize(x, scale, zero_point, lo, hi, y, n);
  }
};
// Floats that the runtime sets on its own copy of a Conv node: scale, zero point, lo and hi of what comes
// last.
inline constexpr char kThenQuantize[] = "xslim_then_quantize";

// What is applied to each element of a Conv's result while it is in cache, behind the kernels' epilogue.
struct AfterProduct {
  explicit AfterProduct(const Node& node);
  bool empty() const { return !unary && !quantize; }
  void Apply(const kernels::Table& table, float* y, int64_t n) const;

  std::optional<kernels::UnaryOp> unary;
  std::optional<QuantizeEpilogue> quantize;
};

// Elements of a packed operand: `extent` (m or n) rounded up to whole panels, times k.
int64_t PackedSizeA(int64_t m, int64_t k);
int64_t PackedSizeB(int64_t k, int64_t n);

// c (m x n, row length ldc) = a * b on packed operands, split over the pool by blocks of the result.
struct PackedProduct {
  int64_t m, n, k;
  const float* a;
  const float* b;
  float* c;
  int64_t ldc;
  const float* bias_m = nullptr;
  const float* bias_n = nullptr;
  bool accumulate = false;
  kernels::Epilogue epilogue{kernels::kNoActivation, 0, 0};
};
void RunProduct(ThreadPool& pool, const PackedProduct& product);
// Items of so many elements each that one thread packs at a time.
int64_t PackingGrain(int64_t elements_each);
// pack_a of an m x k operand, pack_b of a k x n one, split over the pool by panels.
void PackAParallel(ThreadPool& pool, int64_t m, int64_t k, const float* a, int64_t stride_m, int64_t stride_k,
                   float* packed);
void PackBParallel(ThreadPool& pool, int64_t k, int64_t n, const float* b, int64_t stride_k, int64_t stride_n,
                   float* packed);

// The constant input that has these elements; null where they were made for this run or are no constant's.
const Tensor* ConstantOf(const EvalContext& context, const float* elements);

// The packed form of `weights`, `size` floats that `pack` writes: once for all nodes that pack this constant
// in this way.
template <typename Pack>
Tensor PackShared(const EvalContext& context, const float* weights, const PackLayout& layout, int64_t size,
                  const Pack& pack) {
  const Tensor* constant = ConstantOf(context, weights);
  if (constant != nullptr) {
    if (Tensor found = FindPack(*constant, layout); found.defined()) return found;
  }
  Tensor fresh(DType::kFloat, {size});
  pack(fresh.data<float>());
  return constant != nullptr ? SharePack(*constant, layout, std::move(fresh)) : fresh;
}

// The same, kept for the node where they follow from constants alone (`kept`); else packed in each run.
template <typename Pack>
Tensor PackOnce(EvalContext& context, bool kept, const float* weights, const PackLayout& layout, int64_t size,
                const Pack& pack) {
  Tensor unkept;
  Tensor& packed = kept ? context.state<Tensor>() : unkept;
  if (!packed.defined()) packed = PackShared(context, weights, layout, size, pack);
  return packed;
}
// Of weights that are made for packing.
template <typename Pack>
Tensor PackOnce(EvalContext& context, bool kept, int64_t size, const Pack& pack) {
  return PackOnce(context, kept, nullptr, {}, size, pack);
}
// Of `matrices` right operands (k x n) one behind the other.
PackLayout RightOperands(int64_t matrices, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n);

// y (m x n) = a (m x k) * right, which is packed. `left`: scratch.
void MultiplyRows(ThreadPool& pool, int64_t m, int64_t n, int64_t k, const float* a, const float* right,
                  float* y, std::vector<float>& left);

// Numpy's matmul of two float32 tensors. b is packed once when input 1 of the node is an initializer: it must
// then be that or follow from that.
Tensor MatMulFloat(EvalContext& context, const Tensor& a, const Tensor& b);

}  // namespace xslim

#endif  // XSLIM_OPS_MATMUL_H_
