// com.microsoft: Attention, QAttention, MultiHeadAttention, GroupQueryAttention, RotaryEmbedding, as ONNX
// Runtime's CPU provider understands them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention.h"
#include "ops/contrib.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct ScoreShape {
  int64_t batch, heads, rows, columns;
};

// What is added to the scores: mask_filter_value for padded keys, a bias by head, -inf for keys ahead.
class Bias {
 public:
  Bias(const EvalContext& c, ScoreShape shape, bool causal)
      : shape_(shape), causal_(causal), filter_(c.node.Float("mask_filter_value", -10000.0f)) {}

  // [B] valid lengths; [2B] those, then first valid keys; [B, T] or [B, S, T] with 0 for padding.
  void ReadMask(const Tensor& given) {
    const std::vector<int64_t> mask = given.ToInts();
    const auto [batch, heads, rows, columns] = shape_;
    if (given.rank() == 1 && (given.dim(0) == batch || given.dim(0) == 2 * batch)) {
      padding_ = Tensor(DType::kFloat, {batch, columns});
      for (int64_t i = 0; i < batch * columns; ++i) {
        const int64_t b = i / columns, key = i % columns;
        const int64_t first = given.dim(0) == batch ? 0 : mask[static_cast<size_t>(batch + b)];
        padding_.data<float>()[i] = key >= first && key < mask[static_cast<size_t>(b)] ? 0.0f : filter_;
      }
      return;
    }
    if (given.shape() != Shape{batch, columns} && given.shape() != Shape{batch, rows, columns}) {
      throw Error("mask of shape " + ToString(given.shape()) + " does not fit the scores", "",
                  "expected " + ToString({batch}) + ", " + ToString({batch, columns}) + " or " +
                      ToString({batch, rows, columns}));
    }
    padding_ = Tensor(DType::kFloat, given.shape());
    for (size_t i = 0; i < mask.size(); ++i) padding_.data<float>()[i] = mask[i] != 0 ? 0.0f : filter_;
  }

  // [B or 1, N or 1, S, T]
  void ReadAttentionBias(const Tensor& given) {
    const Shape& s = given.shape();
    if (s.size() != 4 || (s[0] != 1 && s[0] != shape_.batch) || (s[1] != 1 && s[1] != shape_.heads) ||
        s[2] != shape_.rows || s[3] != shape_.columns) {
      throw Error("attention_bias of shape " + ToString(s) + " does not fit the scores");
    }
    by_head_ = given.ToFloat32();
  }

  // False when no key is left.
  bool Add(int64_t b, int64_t h, int64_t row, float* scores) const {
    const int64_t columns = shape_.columns;
    if (padding_.defined()) {
      const int64_t at = padding_.rank() == 2 ? b : b * shape_.rows + row;
      kernels::Active().binary(kernels::kAdd, scores, padding_.data<float>() + at * columns, scores, columns);
    }
    if (by_head_.defined()) {
      const int64_t first = by_head_.dim(0) == 1 ? 0 : b, second = by_head_.dim(1) == 1 ? 0 : h;
      const int64_t at = (first * by_head_.dim(1) + second) * shape_.rows + row;
      kernels::Active().binary(kernels::kAdd, scores, by_head_.data<float>() + at * columns, scores, columns);
    }
    const int64_t ahead = columns - shape_.rows + row + 1;  // the queries are the last of the keys
    const int64_t end = causal_ ? std::clamp<int64_t>(ahead, 0, columns) : columns;
    std::fill(scores + end, scores + columns, -kInf);
    return end > 0;
  }

 private:
  ScoreShape shape_;
  bool causal_;
  float filter_;
  Tensor padding_, by_head_;
};

float ScaleOf(const Node& node, int64_t depth) {
  const float scale = node.Float("scale", 0);
  return scale != 0 ? scale : 1 / std::sqrt(static_cast<float>(std::max<int64_t>(depth, 1)));
}

Tensor RunAttention(EvalContext& c, const Tensor& q, const Tensor& k, const Tensor& v, const Bias& bias) {
  AttentionScores scores;
  scores.scale = ScaleOf(c.node, q.dim(3));
  scores.softcap = c.node.Float("softcap", 0);
  scores.add_bias = [&bias](int64_t b, int64_t h, int64_t i, float* row) { return bias.Add(b, h, i, row); };
  return Attend(c, q, k, v, true, scores);
}

// Columns [begin, begin + count) of the last axis, plus `bias` from there on where there is one.
Tensor Columns(const EvalContext& c, const Tensor& x, int64_t begin, int64_t count, const Tensor& bias) {
  Tensor y = Part(c, x, x.rank() - 1, begin, count);
  if (!bias.defined()) return y;
  for (int64_t at = 0; count > 0 && at < y.size(); at += count) {
    float* row = y.data<float>() + at;
    kernels::Active().binary(kernels::kAdd, row, bias.data<float>() + begin, row, count);
  }
  return y;
}

// One of the two halves of a [2, batch, heads, length, size] cache.
Tensor Half(const EvalContext& c, const Tensor& cache, int64_t index) {
  if (cache.rank() != 5 || cache.dim(0) != 2)
    throw Error("past of shape " + ToString(cache.shape()), "", "expected [2, batch, heads, length, size]");
  return Part(c, cache, 0, index, 1)
      .Reshaped({cache.dim(1), cache.dim(2), cache.dim(3), cache.dim(4)})
      .ToFloat32();
}

int64_t HeadsOf(const Node& node, const char* attribute = "num_heads") {
  const int64_t heads = node.Int(attribute, 0);
  if (heads < 1) throw Error(std::string(attribute) + " is " + std::to_string(heads));
  return heads;
}

void RefuseRotaryAndSharedBuffers(const Node& node) {
  if (node.Int("do_rotary", 0) != 0) throw Unsupported("do_rotary is not supported");
  if (node.Int("past_present_share_buffer", 0) != 0)
    throw Unsupported("past_present_share_buffer is not supported");
}

// What follows the projections `all` [B, S, q+k+v] of widths `sizes`, to which `bias` is still to be added.
struct AttentionSlots {
  size_t mask, past, attention_bias;
};
void AttendProjected(EvalContext& c, const Tensor& all, const std::vector<int64_t>& sizes, const Tensor& bias,
                     AttentionSlots slots, DType dtype) {
  const int64_t heads = HeadsOf(c.node);
  const Tensor q = ByHeads(Columns(c, all, 0, sizes[0], bias), heads, "Q");
  Tensor k = ByHeads(Columns(c, all, sizes[0], sizes[1], bias), heads, "K"),
         v = ByHeads(Columns(c, all, sizes[0] + sizes[1], sizes[2], bias), heads, "V");
  if (c.has(slots.past)) {
    k = Appended(Half(c, c.in(slots.past), 0), k);
    v = Appended(Half(c, c.in(slots.past), 1), v);
  }
  Bias added(c, {q.dim(0), heads, q.dim(2), k.dim(2)}, c.node.Int("unidirectional", 0) != 0);
  if (c.has(slots.mask)) added.ReadMask(c.in(slots.mask));
  if (c.has(slots.attention_bias)) added.ReadAttentionBias(c.in(slots.attention_bias));
  SetFloatResult(c, 0, RunAttention(c, q, k, v, added), dtype);
  if (c.wants(1)) SetFloatResult(c, 1, Stacked(c, {k, v}, 0), dtype);
}

// Inputs: x, weights [D, q+k+v], bias, mask_index, past, attention_bias. Outputs: y, present.
void EvaluateAttention(EvalContext& c) {
  RefuseRotaryAndSharedBuffers(c.node);
  const Tensor x = c.in(0).ToFloat32(), weights = c.in(1).ToFloat32();
  if (x.rank() != 3 || weights.rank() != 2)
    throw Error("input " + ToString(x.shape()) + " and weights " + ToString(weights.shape()) + " do not fit");
  const int64_t each = weights.dim(1) / 3;
  const std::vector<int64_t> sizes = c.node.Ints("qkv_hidden_sizes", {each, each, each});
  if (sizes.size() != 3 || std::min({sizes[0], sizes[1], sizes[2]}) < 1 ||
      sizes[0] > weights.dim(1) - sizes[1] || sizes[2] != weights.dim(1) - sizes[0] - sizes[1]) {
    throw Error("qkv_hidden_sizes " + ToString(sizes) + " do not fit weights " + ToString(weights.shape()));
  }
  Tensor bias;
  if (c.has(2)) {
    bias = c.in(2).ToFloat32();
    if (bias.size() != weights.dim(1)) throw Error("bias of shape " + ToString(bias.shape()));
  }
  AttendProjected(c, MatMulFloat(c, x, weights), sizes, bias, {3, 4, 5}, c.in(0).dtype());
}

// Inputs: codes, weight codes [D, 3*H], bias, scale, weight scale, mask_index, zero point, weight zero point,
// past. Outputs: y, present.
void EvaluateQAttention(EvalContext& c) {
  RefuseRotaryAndSharedBuffers(c.node);
  const Tensor &x = c.in(0), &weights = c.in(1);
  if (x.rank() != 3 || weights.rank() != 2 || weights.dim(1) % 3 != 0 || weights.dim(1) == 0)
    throw Error("input " + ToString(x.shape()) + " and weights " + ToString(weights.shape()) + " do not fit");
  const int64_t each = weights.dim(1) / 3;
  const Tensor all = ProductOfCodes(c, {x, c.in(3), Maybe(c, 6)}, {weights, c.in(4), Maybe(c, 7)}, c.in(2));
  constexpr size_t kNoSlot = std::numeric_limits<size_t>::max();
  AttendProjected(c, all, {each, each, each}, Tensor(), {5, 8, kNoSlot}, c.in(3).dtype());
}

// Part `index` of packed [batch, length, heads, parts, size] as [batch, length, heads*size].
Tensor Unpacked(const EvalContext& c, const Tensor& packed, int64_t index) {
  return Part(c, packed, 3, index, 1)
      .Reshaped({packed.dim(0), packed.dim(1), packed.dim(2) * packed.dim(4)})
      .ToFloat32();
}

// Inputs: query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value. The query may hold
// all three [B, S, N, 3, H], the key also the value [B, L, N, 2, H]; [B, N, L, H] is as it is.
void EvaluateMultiHeadAttention(EvalContext& c) {
  const int64_t heads = HeadsOf(c.node);
  Tensor inputs[3];
  const bool packed_all = c.in(0).rank() == 5, packed_pair = c.has(1) && c.in(1).rank() == 5;
  if ((packed_all && c.in(0).dim(3) != 3) || (packed_pair && c.in(1).dim(3) != 2))
    throw Error("packed input of shape " + ToString(c.in(packed_all ? 0 : 1).shape()));
  for (int64_t i = 0; i < 3; ++i) {
    const auto slot = static_cast<size_t>(i);
    if (packed_all) {
      inputs[i] = Unpacked(c, c.in(0), i);
    } else if (packed_pair && i > 0) {
      inputs[i] = Unpacked(c, c.in(1), i - 1);
    } else {
      inputs[i] = c.in(slot).ToFloat32();
    }
  }
  if (c.has(3)) {
    const Tensor bias = c.in(3).ToFloat32();
    int64_t at = 0;
    for (Tensor& input : inputs) {
      const int64_t width = input.rank() == 3 ? input.dim(2) : input.rank() == 4 ? heads * input.dim(3) : 0;
      if (width > bias.size() - at) throw Error("bias of shape " + ToString(bias.shape()));
      if (input.rank() == 3)
        input = Columns(c, input, 0, width, Part(c, bias.Reshaped({bias.size()}), 0, at, width));
      at += width;
    }
  }
  const Tensor q = ByHeads(inputs[0], heads, "query");
  Tensor k = ByHeads(inputs[1], heads, "key"), v = ByHeads(inputs[2], heads, "value");
  if (c.has(6)) k = Appended(c.in(6), k);
  if (c.has(7)) v = Appended(c.in(7), v);
  Bias added(c, {q.dim(0), heads, q.dim(2), k.dim(2)}, c.node.Int("unidirectional", 0) != 0);
  if (c.has(4)) added.ReadMask(c.in(4));
  if (c.has(5)) added.ReadAttentionBias(c.in(5));
  const DType dtype = c.in(0).dtype();
  SetFloatResult(c, 0, RunAttention(c, q, k, v, added), dtype);
  if (c.wants(1)) SetFloatResult(c, 1, k, dtype);
  if (c.wants(2)) SetFloatResult(c, 2, v, dtype);
}

// Rows of the caches for [batch, length] positions: given ones, or one first position for all.
std::vector<int64_t> Positions(const Tensor& given, int64_t batch, int64_t length) {
  std::vector<int64_t> rows = given.ToInts();
  if (rows.size() != 1) return rows;
  const int64_t first = rows[0];
  rows.clear();
  for (int64_t i = 0; i < batch * length; ++i) rows.push_back(first + i % length);
  return rows;
}

// Inputs: x, position_ids, cos_cache, sin_cache.
void EvaluateRotaryEmbedding(EvalContext& c) {
  if (c.node.Int("is_packed_batching", 0) != 0) throw Error("is_packed_batching is not supported");
  if (c.node.Float("scale", 1) != 1) throw Error("scale is not supported", "", "expected 1");
  const Tensor x = c.in(0).ToFloat32(), cosines = c.in(2).ToFloat32(), sines = c.in(3).ToFloat32();
  if (x.rank() < 3 || cosines.rank() != 2 || cosines.dim(1) == 0)
    throw Error("input " + ToString(x.shape()) + " and cache " + ToString(cosines.shape()) + " do not fit");
  Rotation rotation{c.node.Int("num_heads", 0), c.node.Int("rotary_embedding_dim", 0),
                    c.node.Int("interleaved", 0) != 0};
  if (rotation.heads == 0 && x.rank() == 3) rotation.heads = x.dim(2) / (2 * cosines.dim(1));
  const std::vector<int64_t> rows = Positions(c.in(1), x.dim(0), x.dim(x.rank() == 4 ? 2 : 1));
  SetFloatResult(c, 0, Rotate(c, x, cosines, sines, rows, rotation), c.in(0).dtype());
}

// What each sequence of GroupQueryAttention has in its cache: `past` positions, then those of this call.
struct CacheLengths {
  std::vector<int64_t> past;
  int64_t present;  // positions of the caches that are given back
};

CacheLengths LengthsOf(const EvalContext& c, int64_t batch, int64_t rows, int64_t cache) {
  const std::vector<int64_t> last = c.in(5).ToInts(), total = c.in(6).ToInts();
  if (static_cast<int64_t>(last.size()) != batch || total.size() != 1)
    throw Error("seqlens_k " + ToString(c.in(5).shape()) + " or total_sequence_length " +
                    ToString(c.in(6).shape()) + " does not fit",
                "", "expected one length per sequence, and one number");
  CacheLengths lengths{{}, std::max(cache, total[0])};
  const bool first_call = rows == total[0];
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t end = last[static_cast<size_t>(b)];  // of any size
    const int64_t past = first_call ? 0 : end < rows - 1 || end >= cache + rows ? -1 : end + 1 - rows;
    if (past < 0 || past > cache || past + rows > lengths.present) {
      throw Error("sequence " + std::to_string(b) + " ends at " +
                  std::to_string(last[static_cast<size_t>(b)]) + ", which does not fit " +
                  std::to_string(rows) + " new and " + std::to_string(cache) + " cached positions");
    }
    lengths.past.push_back(past);
  }
  return lengths;
}

// The cache of `x` [B, N, S, H]: past positions, those of x, zeros.
Tensor Present(const Tensor& x, const Tensor& past, const CacheLengths& lengths) {
  Tensor y(DType::kFloat, {x.dim(0), x.dim(1), lengths.present, x.dim(3)});
  FillZero(y);
  const int64_t size = x.dim(3), rows = x.dim(2);
  if (past.defined() &&
      (past.rank() != 4 || past.dim(0) != x.dim(0) || past.dim(1) != x.dim(1) || past.dim(3) != size))
    throw Error("past of shape " + ToString(past.shape()) + " does not fit " + ToString(x.shape()));
  for (int64_t i = 0; i < x.dim(0) * x.dim(1); ++i) {
    const int64_t before = lengths.past[static_cast<size_t>(i / x.dim(1))];
    float* to = y.data<float>() + i * lengths.present * size;
    if (before > 0) std::copy_n(past.data<float>() + i * past.dim(2) * size, before * size, to);
    std::copy_n(x.data<float>() + i * rows * size, rows * size, to + before * size);
  }
  return y;
}

// Inputs: query (or packed query, key and value), key, value, past_key, past_value, seqlens_k,
// total_sequence_length, cos_cache, sin_cache, position_ids, attention_bias. Outputs: y, present_key,
// present_value.
void EvaluateGroupQueryAttention(EvalContext& c) {
  for (const char* attribute : {"smooth_softmax", "qk_output"}) {
    if (c.node.Int(attribute, 0) > 0) throw Unsupported(std::string(attribute) + " is not supported");
  }
  if (c.has(11)) throw Unsupported("head_sink is not supported");
  const int64_t heads = HeadsOf(c.node), kv_heads = HeadsOf(c.node, "kv_num_heads");
  const Tensor given = c.in(0).ToFloat32();
  if (given.rank() != 3) throw Error("query of shape " + ToString(given.shape()), "", "expected rank 3");
  const int64_t batch = given.dim(0), rows = given.dim(1);
  Tensor q = given, k, v;
  if (c.has(1)) {
    k = c.in(1).ToFloat32();
    v = c.in(2).ToFloat32();
  } else {
    if (heads > given.dim(2) || kv_heads > given.dim(2))
      throw Error("packed query of shape " + ToString(given.shape()) + " is too narrow for its heads");
    const int64_t each = given.dim(2) / (heads + 2 * kv_heads);
    if (each * (heads + 2 * kv_heads) != given.dim(2))
      throw Error("packed query of shape " + ToString(given.shape()) + " does not split into its heads");
    q = Part(c, given, 2, 0, heads * each);
    k = Part(c, given, 2, heads * each, kv_heads * each);
    v = Part(c, given, 2, (heads + kv_heads) * each, kv_heads * each);
  }
  const Tensor past_key = c.has(3) ? c.in(3).ToFloat32() : Tensor(),
               past_value = c.has(4) ? c.in(4).ToFloat32() : Tensor();
  if (past_key.defined() != past_value.defined() ||
      (past_key.defined() && past_key.shape() != past_value.shape()))
    throw Error("past_key and past_value differ");
  const int64_t cache = past_key.defined() && past_key.rank() == 4 ? past_key.dim(2) : 0;
  const CacheLengths lengths = LengthsOf(c, batch, rows, cache);
  if (c.node.Int("do_rotary", 0) != 0) {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < batch * rows; ++i)
      positions.push_back(lengths.past[static_cast<size_t>(i / rows)] + i % rows);
    if (c.has(9)) positions = c.in(9).ToInts();
    const bool interleaved = c.node.Int("rotary_interleaved", 0) != 0;
    const Tensor cosines = c.in(7).ToFloat32(), sines = c.in(8).ToFloat32();
    const int64_t rotated = cosines.rank() == 0 ? 0 : 2 * cosines.dim(-1);
    q = Rotate(c, q, cosines, sines, positions, {heads, rotated, interleaved});
    k = Rotate(c, k, cosines, sines, positions, {kv_heads, rotated, interleaved});
  }
  const Tensor queries = ByHeads(q, heads, "query"), new_keys = ByHeads(k, kv_heads, "key"),
               new_values = ByHeads(v, kv_heads, "value");
  if (new_keys.dim(0) != batch || new_keys.dim(2) != rows || new_values.dim(0) != batch ||
      new_values.dim(2) != rows)
    throw Error("query " + ToString(q.shape()) + ", key " + ToString(k.shape()) + " and value " +
                ToString(v.shape()) + " do not fit together");
  const Tensor keys = Present(new_keys, past_key, lengths), values = Present(new_values, past_value, lengths);
  Bias added(c, {batch, heads, rows, lengths.present}, false);
  if (c.has(10)) added.ReadAttentionBias(c.in(10));
  const int64_t window = c.node.Int("local_window_size", -1);
  AttentionScores scores;
  scores.scale = ScaleOf(c.node, queries.dim(3));
  scores.softcap = c.node.Float("softcap", 0);
  scores.cap_first = true;
  scores.add_bias = [&](int64_t b, int64_t h, int64_t row, float* to) {
    added.Add(b, h, row, to);
    const int64_t end = lengths.past[static_cast<size_t>(b)] + row + 1;
    const int64_t begin = window >= 0 ? std::max<int64_t>(end - window, 0) : 0;
    std::fill(to, to + begin, -kInf);
    std::fill(to + end, to + lengths.present, -kInf);
    return begin < end;
  };
  const DType dtype = c.in(0).dtype();
  SetFloatResult(c, 0, Attend(c, queries, keys, values, true, scores), dtype);
  if (c.wants(1)) SetFloatResult(c, 1, keys, dtype);
  if (c.wants(2)) SetFloatResult(c, 2, values, dtype);
}

}  // namespace

std::vector<OperatorRow> ContribAttentionOperators() {
  constexpr const char* kMicrosoft = "com.microsoft";
  return {
      {kMicrosoft, "Attention", 1, kAnyLater, EvaluateAttention},
      {kMicrosoft, "QAttention", 1, kAnyLater, EvaluateQAttention},
      {kMicrosoft, "MultiHeadAttention", 1, kAnyLater, EvaluateMultiHeadAttention},
      {kMicrosoft, "GroupQueryAttention", 1, kAnyLater, EvaluateGroupQueryAttention},
      {kMicrosoft, "RotaryEmbedding", 1, kAnyLater, EvaluateRotaryEmbedding},
  };
}

}  // namespace xslim
