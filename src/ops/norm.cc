// Normalisations by mean and deviation, and LRN. Rows are spread over the threads; every row is one sequence
// of kernel calls.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/operator.h"
#include "ops/rows.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// `count` float32 elements of an input, or Error.
Tensor Vector(EvalContext& context, size_t slot, int64_t count) {
  Tensor tensor = context.in(slot).ToFloat32();
  if (tensor.size() != count) {
    throw Error("input " + std::to_string(slot) + " has " + std::to_string(tensor.size()) +
                " elements instead of " + std::to_string(count));
  }
  return tensor;
}

// y = (x - mean) * scale + shift with mean and deviation of the row itself; `scale` is gamma / sqrt(variance
// + epsilon).
struct Moments {
  float mean, deviation;  // sqrt(variance + epsilon), variance over n
};
Moments MomentsOf(const float* x, int64_t n, float epsilon) {
  const kernels::Table& table = kernels::Active();
  const float count = static_cast<float>(n);
  const float mean = table.sum(x, n) / count;
  return {mean, std::sqrt(table.sum_of_squares(x, mean, n) / count + epsilon)};
}

// y = (x - mean) * scale + shift. The mean goes first, so that a large one costs no digits.
void Normalize(const float* x, float mean, float scale, float shift, float* y, int64_t n) {
  kernels::Active().binary_scalar(kernels::kSub, x, mean, y, n);
  kernels::Active().scale_shift(y, scale, shift, y, n);
}

// ---- with given or spatial moments

void EvaluateBatchNormalization(EvalContext& context) {
  const Node& node = context.node;
  if (node.Int("training_mode", 0) != 0) throw Unsupported("training_mode is not supported");
  if (node.Int("spatial", 1) != 1) throw Unsupported("spatial = 0 is not supported");
  const Tensor x = context.in(0).ToFloat32();
  const int64_t channels = x.rank() < 2 ? 1 : x.dim(1);
  const int64_t inner = x.rank() < 2 ? 1 : Product(x.shape(), 2, x.rank());
  const Tensor gamma = Vector(context, 1, channels), beta = Vector(context, 2, channels);
  const Tensor mean = Vector(context, 3, channels), variance = Vector(context, 4, channels);
  const float epsilon = node.Float("epsilon", 1e-5f);
  std::vector<float> scale(static_cast<size_t>(channels)), shift(scale.size());
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] = gamma.data<float>()[c] / std::sqrt(variance.data<float>()[c] + epsilon);
    shift[c] = std::fma(-mean.data<float>()[c], scale[c], beta.data<float>()[c]);
  }
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const int64_t rows = inner == 0 ? 0 : x.size() / inner;
  context.pool.ParallelFor(rows, RowGrain(inner), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const size_t c = static_cast<size_t>(row % channels);
      if (inner == 1) {
        out[row] = std::fma(in[row], scale[c], shift[c]);
      } else {
        kernels::Active().scale_shift(in + row * inner, scale[c], shift[c], out + row * inner, inner);
      }
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

void EvaluateInstanceNormalization(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  if (x.rank() < 3) throw Error("shape " + ToString(x.shape()) + " has no spatial dimensions");
  const int64_t channels = x.dim(1), inner = Product(x.shape(), 2, x.rank());
  const Tensor gamma = Vector(context, 1, channels), beta = Vector(context, 2, channels);
  const float epsilon = context.node.Float("epsilon", 1e-5f);
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  context.pool.ParallelFor(x.dim(0) * channels, RowGrain(inner), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const Moments moments = MomentsOf(in + row * inner, inner, epsilon);
      const int64_t c = row % channels;
      Normalize(in + row * inner, moments.mean, gamma.data<float>()[c] / moments.deviation,
                beta.data<float>()[c], out + row * inner, inner);
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

// Opset 18 gives scale and bias per group, 21 per channel.
void EvaluateGroupNormalization(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const int64_t groups = context.node.Int("num_groups", 0);
  if (x.rank() < 2 || !AreGroups(groups, x.dim(1))) {
    throw Error("num_groups " + std::to_string(groups) + " does not divide the channels of " +
                ToString(x.shape()));
  }
  const int64_t channels = x.dim(1), inner = Product(x.shape(), 2, x.rank()), per_group = channels / groups;
  const int64_t parameters = context.opset >= 21 ? channels : groups;
  const Tensor gamma = Vector(context, 1, parameters), beta = Vector(context, 2, parameters);
  const float epsilon = context.node.Float("epsilon", 1e-5f);
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const int64_t size = per_group * inner;
  context.pool.ParallelFor(x.dim(0) * groups, RowGrain(size), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const Moments moments = MomentsOf(in + row * size, size, epsilon);
      for (int64_t i = 0; i < per_group; ++i) {
        const int64_t group = row % groups, p = context.opset >= 21 ? group * per_group + i : group;
        const int64_t at = row * size + i * inner;
        Normalize(in + at, moments.mean, gamma.data<float>()[p] / moments.deviation, beta.data<float>()[p],
                  out + at, inner);
      }
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

// ---- over the last dimensions

// A parameter that broadcasts to the normalised dimensions, spread out to all of their elements.
Tensor Spread(const Tensor& parameter, const Shape& shape, int64_t axis) {
  const Tensor source = parameter.ToFloat32();
  const Shape dims(shape.begin() + axis, shape.end());
  const int64_t count = ElementCount(dims);
  if (source.size() == count) return source;
  Shape padded = source.shape();
  while (padded.size() > dims.size() && padded.front() == 1) padded.erase(padded.begin());
  if (padded.size() > dims.size() || BroadcastShapes(padded, dims) != dims) {
    throw Error("scale or bias " + ToString(source.shape()) + " does not fit " + ToString(dims));
  }
  padded.insert(padded.begin(), dims.size() - padded.size(), 1);
  Tensor spread(DType::kFloat, dims);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, from = 0, stride = 1;
    for (size_t d = dims.size(); d-- > 0;) {
      if (padded[d] != 1) from += rest % dims[d] * stride;
      stride *= padded[d];
      rest /= dims[d];
    }
    spread.data<float>()[i] = source.data<float>()[from];
  }
  return spread;
}

struct RowNorm {
  int64_t axis = -1;  // first normalised dimension
  float epsilon = 1e-5f;
  bool centered = true;                   // false: root mean square only
  int mean_slot = -1, inverse_slot = -1;  // outputs for the moments; -1 = none
};

// y of `x` (float32), gamma and beta spread; beta may be undefined.
Tensor NormalizeRows(EvalContext& context, const Tensor& x, const RowNorm& norm, const Tensor& gamma,
                     const Tensor& beta) {
  const int64_t n = Product(x.shape(), norm.axis, x.rank());
  const int64_t rows = Product(x.shape(), 0, norm.axis);
  Tensor y = context.scratch(DType::kFloat, x.shape());
  Shape reduced = x.shape();
  std::fill(reduced.begin() + norm.axis, reduced.end(), 1);
  auto moments_out = [&](int slot) -> float* {
    if (slot < 0 || !context.wants(static_cast<size_t>(slot))) return nullptr;
    return context.out(static_cast<size_t>(slot), DType::kFloat, reduced).data<float>();
  };
  float* means = moments_out(norm.mean_slot);
  float* inverses = moments_out(norm.inverse_slot);
  const kernels::Table& table = kernels::Active();
  const float* in = x.data<float>();
  const float* g = gamma.data<float>();
  const float* b = beta.defined() ? beta.data<float>() : nullptr;
  float* out = y.data<float>();
  context.pool.ParallelFor(rows, RowGrain(n), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * n;
      float* target = out + row * n;
      if (norm.centered) {
        table.layer_norm(source, g, b, norm.epsilon, target, n);
        if (means || inverses) {
          const Moments moments = MomentsOf(source, n, norm.epsilon);
          if (means) means[row] = moments.mean;
          if (inverses) inverses[row] = 1.0f / moments.deviation;
        }
        continue;
      }
      const float square = table.sum_of_squares(source, 0.0f, n) / static_cast<float>(n);
      const float inverse = 1.0f / std::sqrt(square + norm.epsilon);
      if (inverses) inverses[row] = inverse;
      table.binary_scalar(kernels::kMul, source, inverse, target, n);
      table.binary(kernels::kMul, target, g, target, n);
      if (b) table.binary(kernels::kAdd, target, b, target, n);
    }
  });
  return y;
}

void LayerNormLike(EvalContext& context, bool centered) {
  const Tensor x = context.in(0).ToFloat32();
  RowNorm norm;
  norm.axis = NormalAxis(context.node.Int("axis", -1), std::max<int64_t>(x.rank(), 1));
  norm.epsilon = context.node.Float("epsilon", 1e-5f);
  norm.centered = centered;
  norm.mean_slot = centered ? 1 : -1;
  norm.inverse_slot = centered ? 2 : 1;
  const Tensor gamma = Spread(context.in(1), x.shape(), norm.axis);
  const Tensor beta = context.has(2) ? Spread(context.in(2), x.shape(), norm.axis) : Tensor();
  SetFloatResult(context, 0, NormalizeRows(context, x, norm, gamma, beta), context.in(0).dtype());
}

void EvaluateLayerNormalization(EvalContext& context) { LayerNormLike(context, true); }
void EvaluateRmsNormalization(EvalContext& context) { LayerNormLike(context, false); }

// com.microsoft: the norm of input + skip (+ bias); output 3 is that sum.
void SkipNorm(EvalContext& context, bool centered) {
  const Tensor input = context.in(0).ToFloat32(), skip = context.in(1).ToFloat32();
  const int64_t n = input.rank() == 0 ? 1 : input.dim(-1);
  if (skip.size() == 0 || input.size() % skip.size() != 0 || n == 0) {
    throw Error("skip " + ToString(skip.shape()) + " does not fit " + ToString(input.shape()));
  }
  const size_t bias_slot = centered ? 4 : 3, beta_slot = 3;
  Tensor sum = context.scratch(DType::kFloat, input.shape());
  const kernels::Table& table = kernels::Active();
  for (int64_t at = 0; at < input.size(); at += skip.size()) {
    table.binary(kernels::kAdd, input.data<float>() + at, skip.data<float>(), sum.data<float>() + at,
                 skip.size());
  }
  if (context.has(bias_slot)) {
    const Tensor bias = Vector(context, bias_slot, n);
    for (int64_t at = 0; at < sum.size(); at += n) {
      table.binary(kernels::kAdd, sum.data<float>() + at, bias.data<float>(), sum.data<float>() + at, n);
    }
  }
  RowNorm norm;
  norm.axis = input.rank() - 1;
  norm.epsilon = context.node.Float("epsilon", 1e-12f);
  norm.centered = centered;
  const Tensor gamma = Vector(context, 2, n);
  const Tensor beta = centered && context.has(beta_slot) ? Vector(context, beta_slot, n) : Tensor();
  const DType dtype = context.in(0).dtype();
  SetFloatResult(context, 0, NormalizeRows(context, sum, norm, gamma, beta), dtype);
  if (context.wants(3)) SetFloatResult(context, 3, std::move(sum), dtype);
}

void EvaluateSkipLayerNormalization(EvalContext& context) { SkipNorm(context, true); }
void EvaluateSkipRmsNormalization(EvalContext& context) { SkipNorm(context, false); }

// Adds the rows of `table` [rows, n] that the ids name to the rows of `sum`.
void AddRows(EvalContext& context, const char* name, const std::vector<int64_t>& ids, size_t slot,
             Tensor& sum) {
  const Tensor rows = context.in(slot).ToFloat32();
  const int64_t n = sum.dim(-1);
  if (rows.rank() != 2 || rows.dim(1) != n) {
    throw Error(std::string(name) + " embedding " + ToString(rows.shape()) + " does not fit " +
                ToString(sum.shape()));
  }
  float* to = sum.data<float>();
  for (const int64_t id : ids) {
    if (id < 0 || id >= rows.dim(0))
      throw Error(std::string(name) + " id " + std::to_string(id) + " is out of range");
    kernels::Active().binary(kernels::kAdd, to, rows.data<float>() + id * n, to, n);
    to += n;
  }
}

// com.microsoft: the norm of word + position (+ segment) embeddings; outputs: it, the number of 1s of each
// row of the mask, the sum. Inputs: input_ids, segment_ids, three tables, gamma, beta, mask, position_ids.
void EvaluateEmbedLayerNormalization(EvalContext& context) {
  const Tensor& ids = context.in(0);
  if (ids.rank() != 2)
    throw Error("input_ids of shape " + ToString(ids.shape()), "", "expected [batch, length]");
  const int64_t batch = ids.dim(0), length = ids.dim(1);
  const Tensor gamma = context.in(5).ToFloat32();
  const Tensor beta = Vector(context, 6, gamma.size());
  Tensor sum = context.scratch(DType::kFloat, {batch, length, gamma.size()});
  std::fill_n(sum.data<float>(), sum.size(), 0.0f);
  AddRows(context, "word", ids.ToInts(), 2, sum);
  std::vector<int64_t> positions;
  if (context.has(8)) {
    const std::vector<int64_t> given = context.in(8).ToInts();
    if (given.empty() || ids.size() % static_cast<int64_t>(given.size()) != 0)
      throw Error("position_ids of shape " + ToString(context.in(8).shape()));
    for (int64_t i = 0; i < ids.size(); ++i)
      positions.push_back(given[static_cast<size_t>(i) % given.size()]);
  } else {
    for (int64_t i = 0; i < ids.size(); ++i) positions.push_back(i % length);
  }
  AddRows(context, "position", positions, 3, sum);
  if (context.has(1)) {
    if (context.in(1).shape() != ids.shape())
      throw Error("segment_ids of shape " + ToString(context.in(1).shape()));
    AddRows(context, "segment", context.in(1).ToInts(), 4, sum);
  }
  RowNorm norm;
  norm.axis = 2;
  norm.epsilon = context.node.Float("epsilon", 1e-12f);
  const DType dtype = context.in(2).dtype();
  SetFloatResult(context, 0, NormalizeRows(context, sum, norm, gamma, beta), dtype);
  if (context.wants(1)) {
    int32_t* counts = context.out(1, DType::kInt32, {batch}).data<int32_t>();
    std::fill_n(counts, batch, 0);
    if (context.has(7)) {
      const std::vector<int64_t> mask = context.in(7).ToInts();
      if (context.in(7).shape() != ids.shape())
        throw Error("mask of shape " + ToString(context.in(7).shape()));
      for (size_t i = 0; i < mask.size(); ++i) counts[static_cast<int64_t>(i) / length] += mask[i] == 1;
    }
  }
  if (context.wants(2)) SetFloatResult(context, 2, std::move(sum), dtype);
}

// y = x / (bias + alpha/size * sum of squares over the neighbouring channels)^beta
void EvaluateLrn(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const Node& node = context.node;
  const int64_t size = node.Int("size", 0);
  if (size < 1 || x.rank() < 2)
    throw Error("LRN of size " + std::to_string(size) + ", shape " + ToString(x.shape()));
  const float alpha = node.Float("alpha", 1e-4f) / static_cast<float>(size);
  const float beta = node.Float("beta", 0.75f), bias = node.Float("bias", 1.0f);
  const int64_t channels = x.dim(1), inner = Product(x.shape(), 2, x.rank());
  const int64_t work = inner * std::min(size, channels);
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const kernels::Table& table = kernels::Active();
  context.pool.ParallelFor(x.dim(0) * channels, RowGrain(work), [&](int64_t begin, int64_t end, int) {
    std::vector<float> square(static_cast<size_t>(inner));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t c = row % channels;
      const float* source = in + row * inner;
      float* target = out + row * inner;
      std::fill(target, target + inner, 0.0f);
      for (int64_t k = std::max<int64_t>(c - (size - 1) / 2, 0); k <= std::min(c + size / 2, channels - 1);
           ++k) {
        const float* neighbour = source + (k - c) * inner;
        table.binary(kernels::kMul, neighbour, neighbour, square.data(), inner);
        table.binary(kernels::kAdd, target, square.data(), target, inner);
      }
      table.scale_shift(target, alpha, bias, target, inner);
      table.unary(kernels::kLog, target, target, inner);
      table.binary_scalar(kernels::kMul, target, beta, target, inner);
      table.unary(kernels::kExp, target, target, inner);
      table.binary(kernels::kDiv, source, target, target, inner);
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

// (x - mean) / (deviation + 1e-9), the moments over `axes`.
void EvaluateMeanVarianceNormalization(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const std::vector<int64_t> axes = context.node.Ints("axes", {0, 2, 3});
  std::vector<bool> reduced(static_cast<size_t>(x.rank()), false);
  for (int64_t axis : axes)
    reduced[static_cast<size_t>(NormalAxis(axis, std::max<int64_t>(x.rank(), 1)))] = true;
  // Offsets of the kept positions and, relative to them, of the elements that share moments.
  std::vector<int64_t> kept{0}, shared{0};
  int64_t stride = x.size();
  for (int64_t d = 0; d < x.rank(); ++d) {
    if (x.dim(d) == 0) return SetFloatResult(context, 0, x, context.in(0).dtype());
    stride /= x.dim(d);
    std::vector<int64_t>& offsets = reduced[static_cast<size_t>(d)] ? shared : kept;
    std::vector<int64_t> next;
    for (int64_t base : offsets) {
      for (int64_t i = 0; i < x.dim(d); ++i) next.push_back(base + i * stride);
    }
    offsets = std::move(next);
  }
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const int64_t n = static_cast<int64_t>(shared.size());
  context.pool.ParallelFor(
      static_cast<int64_t>(kept.size()), RowGrain(n), [&](int64_t begin, int64_t end, int) {
        std::vector<float> row(shared.size());
        for (int64_t k = begin; k < end; ++k) {
          const int64_t base = kept[static_cast<size_t>(k)];
          for (size_t i = 0; i < row.size(); ++i) row[i] = in[base + shared[i]];
          const Moments moments = MomentsOf(row.data(), n, 0.0f);
          for (size_t i = 0; i < row.size(); ++i) {
            out[base + shared[i]] = (row[i] - moments.mean) / (moments.deviation + 1e-9f);
          }
        }
      });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> NormOperators() {
  return {
      {"", "BatchNormalization", 7, kAnyLater, EvaluateBatchNormalization},
      {"", "InstanceNormalization", 6, kAnyLater, EvaluateInstanceNormalization, QuantRole::kNorm},
      {"", "GroupNormalization", 18, kAnyLater, EvaluateGroupNormalization, QuantRole::kNorm},
      // ONNX Runtime's exporters wrote it into older opsets too.
      {"", "LayerNormalization", 1, kAnyLater, EvaluateLayerNormalization, QuantRole::kNorm},
      {"", "SimplifiedLayerNormalization", 1, kAnyLater, EvaluateRmsNormalization},
      {"", "RMSNormalization", 23, kAnyLater, EvaluateRmsNormalization},
      {"com.microsoft", "SkipLayerNormalization", 1, kAnyLater, EvaluateSkipLayerNormalization},
      {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, kAnyLater, EvaluateSkipRmsNormalization},
      {"com.microsoft", "EmbedLayerNormalization", 1, kAnyLater, EvaluateEmbedLayerNormalization},
      {"", "LRN", 1, kAnyLater, EvaluateLrn, QuantRole::kElementwise},
      {"", "MeanVarianceNormalization", 9, kAnyLater, EvaluateMeanVarianceNormalization},
  };
}

}  // namespace xslim
