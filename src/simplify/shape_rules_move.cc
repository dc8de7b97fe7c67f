// Rules of operators that move, pick, join and reshape elements; the contents of small tensors of sizes go
// along.
#include <algorithm>

#include "simplify/shape_rules.h"

namespace xslim {
namespace {

constexpr size_t kMostAxes = 64;                   // of a shape whose length alone is known
constexpr int64_t kBeyondAnyAxis = 1'000'000'000;  // what exporters write for the end of a Slice

void GatherRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).dims) return;
  const auto axis = AxisIn(c.node.Int("axis", 0), c.in(0).dims->size());
  if (!axis) return;
  Sizes dims(c.in(0).dims->begin(), c.in(0).dims->begin() + static_cast<int64_t>(*axis));
  dims.insert(dims.end(), c.in(1).dims->begin(), c.in(1).dims->end());
  dims.insert(dims.end(), c.in(0).dims->begin() + static_cast<int64_t>(*axis) + 1, c.in(0).dims->end());
  out.dims = std::move(dims);
  if (!c.in(0).content || !c.in(1).content || c.in(0).dims->size() != 1) return;
  const auto indices = AsNumbers(*c.in(1).content);
  if (!indices) return;
  Sizes result;
  for (int64_t index : *indices) {
    const auto at = AxisIn(index, c.in(0).content->size());
    if (!at) return;
    result.push_back((*c.in(0).content)[*at]);
  }
  out.content = std::move(result);
}

void ConcatRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const auto axis = AxisIn(c.node.Int("axis", 0), c.in(0).dims->size());
  if (!axis) return;
  Sizes dims = *c.in(0).dims;
  bool all_numbers = true, content = true;
  int64_t sum = 0;
  std::string text = "sum(";
  Sizes joined;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) {
    const TensorFacts& input = c.in(i);
    if (!input.dims || input.dims->size() != dims.size()) return;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (d != *axis && !dims[d].is_number() && (*input.dims)[d].is_number()) dims[d] = (*input.dims)[d];
    }
    const Size& size = (*input.dims)[*axis];
    all_numbers = all_numbers && size.is_number();
    sum += size.factor;
    text += c.symbols.Text(size) + ",";
    content = content && input.content && input.dims->size() == 1;
    if (content) joined.insert(joined.end(), input.content->begin(), input.content->end());
  }
  dims[*axis] = all_numbers ? Number(sum) : c.symbols.Expression(text, true);
  out.dims = std::move(dims);
  if (content) out.content = std::move(joined);
}

// Content of a tensor that only changes between rank 0 and 1.
void KeepContent(RuleContext& c) {
  if (c.outputs[0].dims && c.outputs[0].dims->size() <= 1) c.outputs[0].content = c.in(0).content;
}

void UnsqueezeRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  const auto axes = c.Ints(1, "axes");
  if (!axes || !c.in(0).dims) return;
  const size_t rank = c.in(0).dims->size() + axes->size();
  std::vector<bool> added(rank, false);
  for (int64_t axis : *axes) {
    const auto at = AxisIn(axis, rank);
    if (!at || added[*at]) return;
    added[*at] = true;
  }
  Sizes dims;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) dims.push_back(added[i] ? Number(1) : (*c.in(0).dims)[next++]);
  out.dims = std::move(dims);
  KeepContent(c);
}

void SqueezeRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const Sizes& in = *c.in(0).dims;
  std::vector<bool> gone(in.size(), false);
  if (c.has(1) || c.node.Has("axes")) {
    const auto axes = c.Ints(1, "axes");
    if (!axes) return;
    for (int64_t axis : *axes) {
      const auto at = AxisIn(axis, in.size());
      if (!at) return;
      gone[*at] = true;
    }
  } else {
    for (size_t i = 0; i < in.size(); ++i) {
      if (!in[i].is_number()) return;  // it may be 1
      gone[i] = in[i].Is(1);
    }
  }
  Sizes dims;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!gone[i]) dims.push_back(in[i]);
  }
  out.dims = std::move(dims);
  KeepContent(c);
}

void ReshapeRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  if (!c.in(1).content) {
    if (c.in(1).dims && c.in(1).dims->size() == 1 && (*c.in(1).dims)[0].is_number()) {
      const auto listed = static_cast<size_t>((*c.in(1).dims)[0].factor);
      if (listed > kMostAxes) return;
      Sizes dims;
      for (size_t i = 0; i < listed; ++i) dims.push_back(c.FreshDim(0, i));
      out.dims = std::move(dims);
    }
    return;
  }
  Sizes dims = *c.in(1).content;
  const bool copy_zero = c.node.Int("allowzero", 0) == 0;
  std::optional<size_t> open;
  Size rest = Number(1);
  bool all_known = true;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i].Is(0) && copy_zero) {
      if (c.in(0).dims && i < c.in(0).dims->size()) {
        dims[i] = (*c.in(0).dims)[i];
      } else {
        dims[i] = c.FreshDim(0, i);
        all_known = false;
      }
    }
    if (dims[i].Is(-1)) {
      if (open) return;
      open = i;
      continue;
    }
    // An expression might be -1 or 0 when the model runs.
    if (!c.symbols.NeverNegative(dims[i])) {
      dims[i] = c.FreshDim(0, i);
      all_known = false;
    }
    rest = c.symbols.Multiply(rest, dims[i]);
  }
  if (open) {
    std::optional<Size> size;
    if (all_known && c.in(0).dims) size = c.symbols.Divide(Product(c, *c.in(0).dims), rest);
    dims[*open] = size ? *size : c.FreshDim(0, *open);
  } else if (c.in(0).dims) {
    // All but one size known: the last one follows from the number of elements.
    std::optional<size_t> unknown;
    Size known = Number(1);
    bool single = true;
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i].is_number()) {
        known = c.symbols.Multiply(known, dims[i]);
      } else {
        single = single && !unknown;
        unknown = i;
      }
    }
    if (single && unknown) {
      const auto size = c.symbols.Divide(Product(c, *c.in(0).dims), known);
      if (size && size->is_number()) dims[*unknown] = *size;
    }
  }
  out.dims = std::move(dims);
  KeepContent(c);
}

void FlattenRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const Sizes& in = *c.in(0).dims;
  int64_t axis = c.node.Int("axis", 1);
  if (axis < 0) axis += static_cast<int64_t>(in.size());
  if (axis < 0 || axis > static_cast<int64_t>(in.size())) return;
  c.outputs[0].dims =
      Sizes{Product(c, Sizes(in.begin(), in.begin() + axis)), Product(c, Sizes(in.begin() + axis, in.end()))};
}

void TransposeRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const Sizes& in = *c.in(0).dims;
  std::vector<int64_t> perm = c.node.Ints("perm");
  if (!c.node.Has("perm")) {
    for (size_t i = in.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  }
  if (perm.size() != in.size()) return;
  Sizes dims;
  for (int64_t from : perm) {
    const auto at = AxisIn(from, in.size());
    if (!at) return;
    dims.push_back(in[*at]);
  }
  c.outputs[0].dims = std::move(dims);
}

void ExpandRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  const bool sizes_known =
      c.in(1).content && std::all_of(c.in(1).content->begin(), c.in(1).content->end(),
                                     [&](const Size& size) { return c.symbols.NeverNegative(size); });
  if (!sizes_known) {  // the rank may be known all the same
    if (!c.in(0).dims || !c.in(1).dims || c.in(1).dims->size() != 1 || !(*c.in(1).dims)[0].is_number())
      return;
    const auto listed = static_cast<size_t>((*c.in(1).dims)[0].factor);
    if (listed > kMostAxes) return;
    Sizes dims;
    for (size_t i = 0; i < std::max(listed, c.in(0).dims->size()); ++i) dims.push_back(c.FreshDim(0, i));
    out.dims = std::move(dims);
    return;
  }
  TensorFacts target;
  target.dims = c.in(1).content;
  out.dims = Broadcast(c, {&c.in(0), &target});
  if (c.in(0).content && c.in(0).content->size() == 1 && out.dims && out.dims->size() <= 1) {
    const auto count = AsNumbers(*out.dims);
    if (count && (count->empty() || (*count)[0] <= 64))
      out.content = Sizes(count->empty() ? 1 : static_cast<size_t>((*count)[0]), (*c.in(0).content)[0]);
  }
}

void TileRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).content || c.in(1).content->size() != c.in(0).dims->size()) return;
  Sizes dims;
  for (size_t i = 0; i < c.in(0).dims->size(); ++i)
    dims.push_back(c.symbols.Multiply((*c.in(0).dims)[i], (*c.in(1).content)[i]));
  c.outputs[0].dims = std::move(dims);
}

void SliceRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const size_t rank = c.in(0).dims->size();
  const auto starts = c.Ints(1, "starts"), ends = c.Ints(2, "ends");
  std::optional<std::vector<int64_t>> axes = c.Ints(3, "axes"), steps = c.Ints(4, "steps");
  Sizes dims = *c.in(0).dims;
  const auto fresh = [&](size_t axis) { dims[axis] = c.FreshDim(0, axis); };
  if ((c.has(3) && !axes) || (c.has(4) && !steps) || !starts || !ends) {
    for (size_t axis = 0; axis < rank; ++axis) {
      const bool listed = !axes || std::any_of(axes->begin(), axes->end(), [&](int64_t a) {
        return AxisIn(a, rank) == std::optional<size_t>(axis);
      });
      if (listed) fresh(axis);
    }
    out.dims = std::move(dims);
    return;
  }
  if (!axes) {
    axes.emplace();
    for (size_t i = 0; i < starts->size(); ++i) axes->push_back(static_cast<int64_t>(i));
  }
  if (!steps) steps = std::vector<int64_t>(starts->size(), 1);
  if (axes->size() != starts->size() || ends->size() != starts->size() || steps->size() != starts->size())
    return;
  for (size_t i = 0; i < axes->size(); ++i) {
    const auto axis = AxisIn((*axes)[i], rank);
    const int64_t step = (*steps)[i];
    if (!axis || step == 0) return;
    if (!dims[*axis].is_number()) {
      if ((*starts)[i] == 0 && (*ends)[i] >= kBeyondAnyAxis && step == 1) continue;
      fresh(*axis);
      continue;
    }
    const int64_t size = dims[*axis].factor;
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const auto place = [&](int64_t at, int64_t least) {
      if (at < 0) at = at < -size ? least : at + size;
      return std::clamp(at, least, high);
    };
    const int64_t start = place((*starts)[i], step > 0 ? 0 : -1), end = place((*ends)[i], low);
    const int64_t span = end - start;
    const int64_t count = step > 0 ? (span + step - 1) / step : (span + step + 1) / step;
    dims[*axis] = Number(std::max<int64_t>(count, 0));
    if (rank == 1 && c.in(0).content && axes->size() == 1) {
      Sizes content;
      for (int64_t k = 0; k < count; ++k)
        content.push_back((*c.in(0).content)[static_cast<size_t>(start + k * step)]);
      out.content = std::move(content);
    }
  }
  out.dims = std::move(dims);
}

void SplitRule(RuleContext& c) {
  for (TensorFacts& out : c.outputs) out.dtype = c.in(0).dtype;
  if (!c.in(0).dims) return;
  const auto axis = AxisIn(c.node.Int("axis", 0), c.in(0).dims->size());
  if (!axis) return;
  const Size& whole = (*c.in(0).dims)[*axis];
  std::optional<std::vector<int64_t>> parts = c.Ints(1, "split");
  const size_t count = c.outputs.size();
  const bool even = !c.has(1) && !c.node.Has("split");
  if (even && whole.is_number()) {
    const int64_t n = static_cast<int64_t>(count), size = (whole.factor + n - 1) / n;
    parts.emplace(count, size);
    parts->back() = whole.factor - size * (n - 1);
  }
  int64_t start = 0;
  for (size_t i = 0; i < count; ++i) {
    Sizes dims = *c.in(0).dims;
    if (parts && i < parts->size()) {
      dims[*axis] = Number((*parts)[i]);
    } else if (c.node.outputs[i] != kNone) {
      dims[*axis] = c.FreshDim(i, *axis);
    }
    if (parts && parts->size() == count && c.in(0).content && dims.size() == 1 && (*parts)[i] >= 0 &&
        start + (*parts)[i] <= static_cast<int64_t>(c.in(0).content->size())) {
      c.outputs[i].content =
          Sizes(c.in(0).content->begin() + start, c.in(0).content->begin() + start + (*parts)[i]);
      start += (*parts)[i];
    }
    c.outputs[i].dims = std::move(dims);
  }
}

void PadRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  const auto pads = c.Ints(1, "pads");
  if (!c.in(0).dims) return;
  const size_t rank = c.in(0).dims->size();
  Sizes dims = *c.in(0).dims;
  for (size_t axis = 0; axis < rank; ++axis) {
    int64_t sum = 0, padded = 0;
    const bool known = pads && !c.has(3) && pads->size() == 2 * rank &&
                       !__builtin_add_overflow((*pads)[axis], (*pads)[axis + rank], &sum);
    if (known && sum == 0) continue;
    const bool number =
        known && dims[axis].is_number() && !__builtin_add_overflow(dims[axis].factor, sum, &padded);
    dims[axis] = number ? Number(padded) : c.FreshDim(0, axis);
  }
  c.outputs[0].dims = std::move(dims);
}

}  // namespace

void AddMoveRules(ShapeRules* rules) {
  const auto add = [rules](RuleFunction rule, const char* type) { rules->emplace(type, rule); };
  add(GatherRule, "Gather");
  add(ConcatRule, "Concat");
  add(UnsqueezeRule, "Unsqueeze");
  add(SqueezeRule, "Squeeze");
  add(ReshapeRule, "Reshape");
  add(FlattenRule, "Flatten");
  add(TransposeRule, "Transpose");
  add(ExpandRule, "Expand");
  add(TileRule, "Tile");
  add(SliceRule, "Slice");
  add(SplitRule, "Split");
  add(PadRule, "Pad");
}

}  // namespace xslim
