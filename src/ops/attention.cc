// Attention (opset 23) and RotaryEmbedding. Computed in float32 whatever the float type.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// softcap * tanh(score / softcap); masked keys stay masked.
void Cap(float softcap, std::vector<float>& scores) {
  const kernels::Table& table = kernels::Active();
  const auto count = static_cast<int64_t>(scores.size());
  std::vector<bool> masked(scores.size());
  for (size_t e = 0; e < scores.size(); ++e) masked[e] = scores[e] == -kInf;
  table.binary_scalar(kernels::kDiv, scores.data(), softcap, scores.data(), count);
  table.unary(kernels::kTanh, scores.data(), scores.data(), count);
  table.binary_scalar(kernels::kMul, scores.data(), softcap, scores.data(), count);
  for (size_t e = 0; e < scores.size(); ++e) {
    if (masked[e]) scores[e] = -kInf;
  }
}

}  // namespace

Tensor ByHeads(const Tensor& given, int64_t heads, const char* what) {
  const Tensor x = given.ToFloat32();
  if (x.rank() == 4) return x;
  if (x.rank() != 3 || heads <= 0 || x.dim(2) % heads != 0) {
    throw Error(std::string(what) + " of shape " + ToString(x.shape()) + " does not split into " +
                    std::to_string(heads) + " heads",
                "", "expected [batch, length, heads*size] or [batch, heads, length, size]");
  }
  const int64_t batch = x.dim(0), length = x.dim(1), size = x.dim(2) / heads;
  Tensor y(DType::kFloat, {batch, heads, length, size});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t t = 0; t < length; ++t) {
        std::copy_n(x.data<float>() + ((b * length + t) * heads + h) * size, size,
                    y.data<float>() + ((b * heads + h) * length + t) * size);
      }
    }
  }
  return y;
}

Tensor Appended(const Tensor& past, const Tensor& x) {
  if (past.rank() != 4 || past.dim(0) != x.dim(0) || past.dim(1) != x.dim(1) || past.dim(3) != x.dim(3)) {
    throw Error("past of shape " + ToString(past.shape()) + " does not fit " + ToString(x.shape()));
  }
  const Tensor before = past.ToFloat32();
  const int64_t size = x.dim(3), old_run = before.dim(2) * size, new_run = x.dim(2) * size;
  Tensor y(DType::kFloat, {x.dim(0), x.dim(1), before.dim(2) + x.dim(2), size});
  for (int64_t i = 0; i < x.dim(0) * x.dim(1); ++i) {
    float* to = y.data<float>() + i * (old_run + new_run);
    std::copy_n(before.data<float>() + i * old_run, old_run, to);
    std::copy_n(x.data<float>() + i * new_run, new_run, to + old_run);
  }
  return y;
}

Tensor Attend(const EvalContext& c, const Tensor& q, const Tensor& k, const Tensor& v, bool merged,
              const AttentionScores& options) {
  const int64_t batch = q.dim(0), heads = q.dim(1), rows = q.dim(2), depth = q.dim(3), columns = k.dim(2),
                size = v.dim(3);
  if (k.dim(0) != batch || v.dim(0) != batch || k.dim(3) != depth || v.dim(2) != columns ||
      k.dim(1) != v.dim(1) || k.dim(1) == 0 || heads % k.dim(1) != 0) {
    throw Error("Q " + ToString(q.shape()) + ", K " + ToString(k.shape()) + " and V " + ToString(v.shape()) +
                " do not fit together");
  }
  const int64_t group = heads / k.dim(1);
  Tensor y =
      c.scratch(DType::kFloat, merged ? Shape{batch, rows, heads * size} : Shape{batch, heads, rows, size});
  const kernels::Table& table = kernels::Active();
  const int64_t row_step = merged ? heads * size : size;
  c.pool.ParallelFor(batch * heads, 1, [&](int64_t begin, int64_t end, int) {
    const int64_t inner = std::max(depth, columns);
    std::vector<float> left(static_cast<size_t>(PackedSizeA(rows, inner))),
        right(static_cast<size_t>(std::max(PackedSizeB(depth, columns), PackedSizeB(columns, size)))),
        scores(static_cast<size_t>(rows * columns));
    const kernels::Epilogue plain{kernels::kNoActivation, 0, 0};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / heads, h = i % heads, kv = b * k.dim(1) + h / group;
      auto keep = [&](int64_t stage) {
        if (options.kept != nullptr && options.kept_stage == stage)
          std::copy(scores.begin(), scores.end(), options.kept->data<float>() + i * rows * columns);
      };
      table.pack_a(rows, depth, q.data<float>() + i * rows * depth, depth, 1, left.data());
      table.pack_b(depth, columns, k.data<float>() + kv * columns * depth, 1, depth, right.data());
      table.gemm(rows, columns, depth, left.data(), right.data(), scores.data(), columns, nullptr, nullptr,
                 false, plain);
      table.binary_scalar(kernels::kMul, scores.data(), options.scale, scores.data(), rows * columns);
      keep(0);
      if (options.softcap > 0 && options.cap_first) Cap(options.softcap, scores);
      std::vector<bool> open(static_cast<size_t>(rows));
      for (int64_t r = 0; r < rows; ++r)
        open[static_cast<size_t>(r)] = options.add_bias(b, h, r, scores.data() + r * columns);
      keep(1);
      if (options.softcap > 0 && !options.cap_first) Cap(options.softcap, scores);
      keep(2);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores.data() + r * columns;
        if (open[static_cast<size_t>(r)]) {
          table.softmax(row, row, columns);
        } else {
          std::fill_n(row, columns, 0.0f);
        }
      }
      keep(3);
      table.pack_a(rows, columns, scores.data(), columns, 1, left.data());
      table.pack_b(columns, size, v.data<float>() + kv * columns * size, size, 1, right.data());
      float* out = y.data<float>() + (merged ? b * rows * heads * size + h * size : i * rows * size);
      table.gemm(rows, size, columns, left.data(), right.data(), out, row_step, nullptr, nullptr, false,
                 plain);
    }
  });
  return y;
}

Tensor Rotate(const EvalContext& c, const Tensor& x, const Tensor& cosines, const Tensor& sines,
              const std::vector<int64_t>& rows, Rotation rotation) {
  const bool rank4 = x.rank() == 4;
  const int64_t heads = rank4 ? x.dim(1) : rotation.heads;
  if (!(rank4 || (x.rank() == 3 && heads > 0 && x.dim(2) % heads == 0))) {
    throw Error("input of shape " + ToString(x.shape()) + " does not split into " + std::to_string(heads) +
                " heads");
  }
  const int64_t batch = x.dim(0), length = rank4 ? x.dim(2) : x.dim(1),
                size = rank4 ? x.dim(3) : x.dim(2) / heads;
  const int64_t half = (rotation.rotated == 0 ? size : rotation.rotated) / 2;
  if (2 * half > size || half == 0 || cosines.shape() != sines.shape() || cosines.size() % half != 0 ||
      static_cast<int64_t>(rows.size()) != batch * length) {
    throw Error("caches of shapes " + ToString(cosines.shape()) + " and " + ToString(sines.shape()) +
                " and " + std::to_string(rows.size()) + " positions do not fit input " + ToString(x.shape()));
  }
  for (const int64_t row : rows) {
    if (row < 0 || row >= cosines.size() / half)
      throw Error("position " + std::to_string(row) + " is outside of the cache");
  }
  Tensor y = c.scratch(DType::kFloat, x.shape());
  std::copy_n(x.data<float>(), x.size(), y.data<float>());
  c.pool.ParallelFor(
      batch * length, std::max<int64_t>(1, 16384 / (heads * size + 1)), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const float* cosine = cosines.data<float>() + rows[static_cast<size_t>(i)] * half;
          const float* sine = sines.data<float>() + rows[static_cast<size_t>(i)] * half;
          for (int64_t h = 0; h < heads; ++h) {
            const int64_t at =
                rank4 ? ((i / length * heads + h) * length + i % length) * size : (i * heads + h) * size;
            const float* in = x.data<float>() + at;
            float* out = y.data<float>() + at;
            for (int64_t j = 0; j < half; ++j) {
              const int64_t first = rotation.interleaved ? 2 * j : j;
              const int64_t second = rotation.interleaved ? 2 * j + 1 : j + half;
              out[first] = cosine[j] * in[first] - sine[j] * in[second];
              out[second] = sine[j] * in[first] + cosine[j] * in[second];
            }
          }
        }
      });
  return y;
}

namespace {

// What is added to the scores of [batch, heads, rows, columns]: 0, the mask's value or -inf.
class Bias {
 public:
  Bias(EvalContext& c, int64_t batch, int64_t heads, int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), causal_(c.node.Int("is_causal", 0) != 0) {
    if (c.has(3)) ReadMask(c.in(3), batch, heads);
    if (c.has(6)) valid_ = c.in(6).ToInts();
    if (!valid_.empty() && static_cast<int64_t>(valid_.size()) != batch) {
      throw Error("nonpad_kv_seqlen of shape " + ToString(c.in(6).shape()), "", "expected [batch]");
    }
    past_ = c.has(4) ? c.in(4).dim(2) : 0;
  }

  // The row of batch b, head h, query i, added to scores; false when every key is masked.
  bool Add(int64_t b, int64_t h, int64_t i, float* scores) const {
    int64_t end = columns_;
    if (!valid_.empty()) end = std::min(end, valid_[static_cast<size_t>(b)]);
    if (causal_) {
      const int64_t offset = valid_.empty() ? past_ : valid_[static_cast<size_t>(b)] - rows_;
      end = std::min(end, i + offset + 1);
    }
    const float* mask =
        mask_.defined() ? mask_.data<float>() + b * steps_[0] + h * steps_[1] + i * steps_[2] : nullptr;
    bool open = false;
    for (int64_t j = 0; j < columns_; ++j) {
      float bias = j < end ? 0 : -kInf;
      if (mask && j < end) bias = j < width_ ? mask[j * steps_[3]] : -kInf;
      open = open || bias != -kInf;
      scores[j] = bias == -kInf ? -kInf : scores[j] + bias;
    }
    return open;
  }

 private:
  void ReadMask(const Tensor& given, int64_t batch, int64_t heads) {
    if (given.dtype() == DType::kBool) {
      mask_ = Tensor(DType::kFloat, given.shape());
      for (int64_t i = 0; i < given.size(); ++i) mask_.data<float>()[i] = given.data<bool>()[i] ? 0 : -kInf;
    } else {
      mask_ = given.ToFloat32();
    }
    // Aligned to the right; a last axis that is too short is masked off behind its end.
    const int64_t wanted[] = {batch, heads, rows_, columns_};
    const std::vector<int64_t> strides = DenseStrides(given.shape());
    const int64_t rank = given.rank();
    bool fits = rank >= 1 && rank <= 4;
    for (int64_t k = 0; fits && k < rank; ++k) {
      const int64_t axis = 4 - rank + k, dim = given.dim(k);
      fits = dim == wanted[axis] || dim == 1 || (axis == 3 && dim < columns_);
      steps_[axis] = dim == 1 ? 0 : strides[static_cast<size_t>(k)];
    }
    if (!fits) throw Error("attn_mask of shape " + ToString(given.shape()) + " does not fit the scores");
    width_ = given.dim(-1) == 1 ? columns_ : given.dim(-1);
  }

  int64_t rows_, columns_, past_ = 0, width_ = 0;
  int64_t steps_[4] = {0, 0, 0, 0};  // of the mask by batch, head, row, column
  bool causal_;
  Tensor mask_;                 // float32; undefined without a mask
  std::vector<int64_t> valid_;  // keys per batch; empty without padding
};

// softmax(softcap(Q K^T * scale + bias)) V by heads.
void EvaluateAttention(EvalContext& c) {
  const DType dtype = c.in(0).dtype();
  const int64_t kv_heads = c.node.Int("kv_num_heads", 0);
  const Tensor q = ByHeads(c.in(0), c.node.Int("q_num_heads", 0), "Q");
  Tensor k = ByHeads(c.in(1), kv_heads, "K"), v = ByHeads(c.in(2), kv_heads, "V");
  if (c.has(4)) k = Appended(c.in(4), k);
  if (c.has(5)) v = Appended(c.in(5), v);
  const int64_t batch = q.dim(0), heads = q.dim(1), rows = q.dim(2), columns = k.dim(2);
  const Bias bias(c, batch, heads, rows, columns);
  Tensor kept = c.wants(3) ? c.scratch(DType::kFloat, {batch, heads, rows, columns}) : Tensor();
  AttentionScores scores;
  const auto depth = static_cast<float>(std::max<int64_t>(q.dim(3), 1));
  scores.scale = c.node.Float("scale", 1 / std::sqrt(depth));
  scores.softcap = c.node.Float("softcap", 0);
  scores.add_bias = [&bias](int64_t b, int64_t h, int64_t i, float* row) { return bias.Add(b, h, i, row); };
  scores.kept = c.wants(3) ? &kept : nullptr;
  scores.kept_stage = c.node.Int("qk_matmul_output_mode", 0);
  SetFloatResult(c, 0, Attend(c, q, k, v, c.in(0).rank() == 3, scores), dtype);
  if (c.wants(1)) SetFloatResult(c, 1, k, c.in(1).dtype());
  if (c.wants(2)) SetFloatResult(c, 2, v, c.in(2).dtype());
  if (c.wants(3)) SetFloatResult(c, 3, std::move(kept), dtype);
}

// With position ids the caches are tables, else they have one row for each position of the batch.
void EvaluateRotaryEmbedding(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32(), cosines = c.in(1).ToFloat32(), sines = c.in(2).ToFloat32();
  std::vector<int64_t> rows;
  if (c.has(3)) {
    rows = c.in(3).ToInts();
  } else if (x.rank() >= 3) {
    for (int64_t i = 0; i < x.dim(0) * x.dim(x.rank() == 4 ? 2 : 1); ++i) rows.push_back(i);
  }
  const Rotation rotation{c.node.Int("num_heads", 0), c.node.Int("rotary_embedding_dim", 0),
                          c.node.Int("interleaved", 0) != 0};
  SetFloatResult(c, 0, Rotate(c, x, cosines, sines, rows, rotation), c.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> AttentionOperators() {
  return {
      {"", "Attention", 23, kAnyLater, EvaluateAttention},
      {"", "RotaryEmbedding", 23, kAnyLater, EvaluateRotaryEmbedding},
  };
}

}  // namespace xslim
