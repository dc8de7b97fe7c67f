// The core of the attention operators. All tensors are float32.
#ifndef XSLIM_OPS_ATTENTION_H_
#define XSLIM_OPS_ATTENTION_H_

#include <functional>
#include <vector>

#include "ops/operator.h"

namespace xslim {

// [batch, length, heads*size] or [batch, heads, length, size], as the latter; throws Error naming `what`.
Tensor ByHeads(const Tensor& given, int64_t heads, const char* what);
// `past` and `x`, [batch, heads, length, size], one after the other along the lengths.
Tensor Appended(const Tensor& past, const Tensor& x);

// What happens between Q K^T and the product with V.
struct AttentionScores {
  float scale = 1;
  float softcap = 0;       // 0 = none; else softcap * tanh(score / softcap) after the bias,
  bool cap_first = false;  // or before it
  // Adds bias and masks (-inf) to the scores of one query; false when every key is masked: the query gives
  // zeros.
  std::function<bool(int64_t batch, int64_t head, int64_t query, float* scores)> add_bias;
  // Optional [batch, heads, queries, keys]: the scores 0 scaled, 1 with the bias, 2 capped, 3 after softmax.
  Tensor* kept = nullptr;
  int64_t kept_stage = 0;
};

// softmax(q k^T) v; q [batch, heads, queries, depth], k and v [batch, kv_heads, keys, depth or size] with
// heads a multiple of kv_heads (else Error). The result is [batch, queries, heads*size] when `merged`, else
// [batch, heads, queries, size].
Tensor Attend(const EvalContext& context, const Tensor& q, const Tensor& k, const Tensor& v, bool merged,
              const AttentionScores& scores);

// Pairs (x1, x2) of each head's first `rotated` elements become (cos*x1 - sin*x2, sin*x1 + cos*x2): elements
// 2i and 2i+1 when interleaved, else i and i + rotated/2. x [batch, length, heads*size] or [batch, heads,
// length, size]; caches [entries, rotated/2] (any leading axes), of which position b*length + t uses
// rows[b*length + t]. Throws Error when they do not fit.
struct Rotation {
  int64_t heads;
  int64_t rotated;  // 0 = all of a head
  bool interleaved;
};
Tensor Rotate(const EvalContext& context, const Tensor& x, const Tensor& cosines, const Tensor& sines,
              const std::vector<int64_t>& rows, Rotation rotation);

}  // namespace xslim

#endif  // XSLIM_OPS_ATTENTION_H_
