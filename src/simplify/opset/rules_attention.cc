// Attention 23 without its cache and softcap as MatMul, Add, Softmax, MatMul.
#include <cmath>
#include <limits>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

struct Heads {
  int64_t query = 0, key = 0;
};

// How many heads there are; nothing when that is not known.
std::optional<Heads> HeadsOf(Site& site) {
  Heads heads{site.node().Int("q_num_heads", 0), site.node().Int("kv_num_heads", 0)};
  const auto q = site.shape(0), k = site.shape(1);
  if (!q || !k) return std::nullopt;
  if (q->size() == 4 && k->size() == 4) heads = {(*q)[1], (*k)[1]};
  if (heads.query <= 0 || heads.key <= 0 || heads.query % heads.key != 0) return std::nullopt;
  return heads;
}

// Elements of a head's vector; 0 when not known.
int64_t DepthOf(Site& site, const Heads& heads) {
  const int64_t last = site.shape(0)->back();
  if (last <= 0) return 0;
  return site.rank(0) == 4 ? last : last / heads.query;
}

// [batch, length, heads * depth] as [batch, heads, length, depth], with every head repeated for its group.
ValueId ByHeads(Site& site, ValueId x, bool split, int64_t heads, int64_t repeats) {
  if (split) {
    const ValueId cut = site.Add("Reshape", {x, site.List("heads", {0, 0, heads, -1})});
    x = site.Add("Transpose", {cut}, {{"perm", Attribute::Ints({0, 2, 1, 3})}});
  }
  if (repeats == 1) return x;
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < heads * repeats; ++i) indices.push_back(i / repeats);
  return site.Add("Gather", {x, site.List("groups", indices)}, {{"axis", Attribute::Int(1)}});
}

// The scores plus the mask and the causal one; nullopt with `why` set when that cannot be.
std::optional<ValueId> Masked(Site& site, ValueId scores, const Shape& q, const Shape& k, Obstacle* why) {
  const DType type = site.type(0);
  const auto zero = site.Scalar(type, 0);
  const auto never = site.Scalar(type, -std::numeric_limits<double>::infinity());
  if (!zero || !never || type == DType::kUndefined) {
    *why = "its element type is not known";
    return std::nullopt;
  }
  if (site.has(3)) {
    if (site.type(3) == DType::kUndefined) {
      *why = "the element type of its mask is not known";
      return std::nullopt;
    }
    ValueId mask = site.input(3);
    if (site.type(3) == DType::kBool) mask = site.Add("Where", {mask, *zero, *never});
    scores = site.Add("Add", {scores, mask});
  }
  if (site.node().Int("is_causal", 0) != 0) {
    const int64_t rows = q[q.size() - 2], columns = k[k.size() - 2];
    if (rows <= 0 || columns <= 0 || rows > (int64_t{1} << 26) / columns) {
      *why = "it is causal and its lengths are not known or too large";
      return std::nullopt;
    }
    Tensor open(DType::kBool, {rows, columns});
    for (int64_t i = 0; i < rows * columns; ++i) open.data<bool>()[i] = i % columns <= i / columns;
    scores = site.Add("Where", {site.Constant("causal", open), scores, *never});
  }
  return scores;
}

Obstacle AttentionTo22(Site& site) {
  const Node& node = site.node();
  if (site.has(4) || site.has(5) || site.has(6)) return Refuse("it has a cache");
  if (site.used(1) || site.used(2) || site.used(3)) return Refuse("its further outputs are used");
  if (node.Float("softcap", 0) != 0) return Refuse("softcap");
  const auto heads = HeadsOf(site);
  if (!heads) return Refuse("its shapes are not known");
  const Shape q_shape = *site.shape(0), k_shape = *site.shape(1);
  const bool split = q_shape.size() == 3;
  if (q_shape.size() != k_shape.size() || (!split && q_shape.size() != 4))
    return Refuse("its shapes differ in rank");
  const int64_t depth = DepthOf(site, *heads);
  if (!node.Has("scale") && depth == 0) return Refuse("the size of its heads is not known");
  const double scale = node.Has("scale") ? node.Float("scale", 1) : 1 / std::sqrt(static_cast<double>(depth));
  const DType type = site.type(0);
  const auto precision = static_cast<DType>(node.Int("softmax_precision", static_cast<int64_t>(type)));
  const auto factor = site.Scalar(type, scale);
  if (!factor) return Refuse("its element type is not known");

  const int64_t repeats = heads->query / heads->key;
  const ValueId q = ByHeads(site, site.input(0), split, heads->query, 1);
  const ValueId k = ByHeads(site, site.input(1), split, heads->key, repeats);
  const ValueId v = ByHeads(site, site.input(2), split, heads->key, repeats);
  const ValueId turned = site.Add("Transpose", {k}, {{"perm", Attribute::Ints({0, 1, 3, 2})}});
  const ValueId raw = site.Add("Mul", {site.Add("MatMul", {q, turned}), *factor});
  Obstacle why;
  const auto scores = Masked(site, raw, q_shape, k_shape, &why);
  if (!scores) return why;
  const auto cast = [&](ValueId x, DType to) {
    return precision == type ? x : site.Add("Cast", {x}, {{"to", Attribute::Int(static_cast<int64_t>(to))}});
  };
  const ValueId weights =
      cast(site.Add("Softmax", {cast(*scores, precision)}, {{"axis", Attribute::Int(-1)}}), type);
  if (!split) {
    site.Become("MatMul", {weights, v});
    return std::nullopt;
  }
  const ValueId mixed = site.Add("MatMul", {weights, v});
  const ValueId back = site.Add("Transpose", {mixed}, {{"perm", Attribute::Ints({0, 2, 1, 3})}});
  site.Become("Reshape", {back, site.List("joined", {0, 0, -1})});
  return std::nullopt;
}

}  // namespace

std::vector<Rule> AttentionRules() { return {{23, "Attention", nullptr, AttentionTo22}}; }

}  // namespace xslim::opset
