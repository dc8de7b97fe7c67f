// Rules of operators that compute over windows, rows or whole axes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "simplify/match.h"
#include "simplify/shape_rules.h"

namespace xslim {
namespace {

// Output size of a sliding window over one axis.
Size WindowSize(const RuleContext& c, const Size& in, size_t output_axis, int64_t kernel, int64_t stride,
                int64_t dilation, int64_t begin, int64_t end, bool ceil, const std::string& automatic) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();  // below which nothing overflows
  const auto within = [](int64_t number) { return number <= kMost && number >= -kMost; };
  const bool small = within(kernel) && within(stride) && within(dilation) && within(begin) && within(end) &&
                     (!in.is_number() || within(in.factor));
  if (stride <= 0 || kernel < 0 || dilation < 0 || !small) return c.FreshDim(0, output_axis);
  const int64_t extent = dilation * (kernel - 1) + 1;
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    if (in.is_number()) return Number((in.factor + stride - 1) / stride);
  } else if (in.is_number()) {
    const int64_t room = in.factor + begin + end - extent;
    if (room < 0) return c.FreshDim(0, output_axis);
    int64_t out = (ceil ? room + stride - 1 : room) / stride + 1;
    if (ceil && (out - 1) * stride >= in.factor + begin) --out;
    return Number(out);
  }
  if (stride == 1 && (automatic.starts_with("SAME") || begin + end == extent - 1)) return in;
  std::string text = "window(" + c.symbols.Text(in) + automatic;
  for (int64_t part : {extent, stride, begin, end, static_cast<int64_t>(ceil)})
    text += "," + std::to_string(part);
  return c.symbols.Expression(text, true);
}

// Batch, channels, then one window per spatial axis; false when the sizes do not fit.
bool WindowDims(RuleContext& c, const Size& channels, const std::vector<int64_t>& kernel, bool ceil) {
  const Sizes& in = *c.in(0).dims;
  if (in.size() < 3 || kernel.size() != in.size() - 2) return false;
  const size_t spatial = kernel.size();
  const auto strides = c.node.Ints("strides", std::vector<int64_t>(spatial, 1));
  const auto dilations = c.node.Ints("dilations", std::vector<int64_t>(spatial, 1));
  std::string automatic = c.node.String("auto_pad", "NOTSET");
  auto pads = c.node.Ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (automatic == "VALID") pads.assign(2 * spatial, 0);
  if (strides.size() != spatial || dilations.size() != spatial || pads.size() != 2 * spatial) return false;
  Sizes dims{in[0], channels};
  for (size_t i = 0; i < spatial; ++i) {
    dims.push_back(WindowSize(c, in[i + 2], i + 2, kernel[i], strides[i], dilations[i], pads[i],
                              pads[i + spatial], ceil, automatic));
  }
  c.outputs[0].dims = std::move(dims);
  return true;
}

void ConvRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).dims || c.in(1).dims->size() < 3) return;
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < c.in(1).dims->size(); ++i) {
    if (!(*c.in(1).dims)[i].is_number()) return;
    kernel.push_back((*c.in(1).dims)[i].factor);
  }
  WindowDims(c, (*c.in(1).dims)[0], kernel, false);
}

void ConvTransposeRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).dims || c.in(1).dims->size() != c.in(0).dims->size()) return;
  const Sizes &in = *c.in(0).dims, &weight = *c.in(1).dims;
  if (in.size() < 3) return;
  const size_t spatial = in.size() - 2;
  Sizes dims{in[0], c.symbols.Multiply(weight[1], Number(c.node.Int("group", 1)))};
  const auto strides = c.node.Ints("strides", std::vector<int64_t>(spatial, 1));
  const auto dilations = c.node.Ints("dilations", std::vector<int64_t>(spatial, 1));
  const auto extra = c.node.Ints("output_padding", std::vector<int64_t>(spatial, 0));
  const auto pads = c.node.Ints("pads", std::vector<int64_t>(2 * spatial, 0));
  const auto shape = c.node.Ints("output_shape");
  const bool plain = c.node.String("auto_pad", "NOTSET") == "NOTSET" && strides.size() == spatial &&
                     dilations.size() == spatial && extra.size() == spatial && pads.size() == 2 * spatial;
  for (size_t i = 0; i < spatial; ++i) {
    if (shape.size() == spatial) {
      dims.push_back(Number(shape[i]));
    } else if (plain && shape.empty() && in[i + 2].is_number() && weight[i + 2].is_number()) {
      dims.push_back(Number(strides[i] * (in[i + 2].factor - 1) + extra[i] +
                            dilations[i] * (weight[i + 2].factor - 1) + 1 - pads[i] - pads[i + spatial]));
    } else {
      dims.push_back(c.FreshDim(0, i + 2));
    }
  }
  c.outputs[0].dims = std::move(dims);
}

void PoolRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || c.in(0).dims->size() < 3) return;
  const bool fits =
      WindowDims(c, (*c.in(0).dims)[1], c.node.Ints("kernel_shape"), c.node.Int("ceil_mode", 0) != 0);
  if (fits && c.outputs.size() > 1) c.outputs[1] = {DType::kInt64, c.outputs[0].dims, std::nullopt};
}

void GlobalPoolRule(RuleContext& c) {
  SameAsFirst(c);
  if (!c.outputs[0].dims) return;
  for (size_t i = 2; i < c.outputs[0].dims->size(); ++i) (*c.outputs[0].dims)[i] = Number(1);
}

void GemmRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).dims || c.in(0).dims->size() != 2 || c.in(1).dims->size() != 2) return;
  c.outputs[0].dims = Sizes{(*c.in(0).dims)[c.node.Int("transA", 0) ? 1 : 0],
                            (*c.in(1).dims)[c.node.Int("transB", 0) ? 0 : 1]};
}

void MatMulRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (!c.in(0).dims || !c.in(1).dims) return;
  const Sizes &a = *c.in(0).dims, &b = *c.in(1).dims;
  if (a.size() < 2 || b.size() < 2) return;
  TensorFacts left, right;
  left.dims = Sizes(a.begin(), a.end() - 2);
  right.dims = Sizes(b.begin(), b.end() - 2);
  auto dims = Broadcast(c, {&left, &right});
  dims->push_back(a[a.size() - 2]);
  dims->push_back(b.back());
  c.outputs[0].dims = std::move(dims);
}

void ReduceRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  const bool arg = c.node.op_type.starts_with("Arg");
  out.dtype = arg ? DType::kInt64 : c.in(0).dtype;
  if (!c.in(0).dims) return;
  const Sizes& in = *c.in(0).dims;
  std::optional<std::vector<int64_t>> axes;
  if (arg) {
    axes = std::vector<int64_t>{c.node.Int("axis", 0)};
  } else {
    axes = c.Ints(1, "axes");
    if (c.has(1) && !axes) return;
  }
  if (!axes || axes->empty()) {
    if (c.node.Int("noop_with_empty_axes", 0) != 0) {
      out.dims = c.in(0).dims;
      return;
    }
    axes.emplace();
    for (size_t i = 0; i < in.size(); ++i) axes->push_back(static_cast<int64_t>(i));
  }
  std::vector<bool> reduced(in.size(), false);
  for (int64_t axis : *axes) {
    const auto at = AxisIn(axis, in.size());
    if (!at) return;
    reduced[*at] = true;
  }
  Sizes dims;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!reduced[i]) dims.push_back(in[i]);
    if (reduced[i] && c.node.Int("keepdims", 1) != 0) dims.push_back(Number(1));
  }
  out.dims = std::move(dims);
  if (c.node.Is("ReduceProd") && c.in(0).content && in.size() == 1)
    out.content = Sizes{Product(c, *c.in(0).content)};
}

// Y, Y_h and Y_c of LSTM, GRU and RNN.
void RecurrentRule(RuleContext& c) {
  for (TensorFacts& out : c.outputs) out.dtype = c.in(0).dtype;
  const auto &x = c.in(0).dims, &r = c.in(2).dims;
  if (!x || x->size() != 3 || !r || r->size() != 3) return;
  const Size &directions = (*r)[0], &hidden = (*r)[2];
  const bool batch_first = c.node.Int("layout", 0) != 0;
  const Size &steps = (*x)[batch_first ? 1 : 0], &batch = (*x)[batch_first ? 0 : 1];
  c.outputs[0].dims =
      batch_first ? Sizes{batch, steps, directions, hidden} : Sizes{steps, directions, batch, hidden};
  for (size_t i = 1; i < c.outputs.size(); ++i)
    c.outputs[i].dims = batch_first ? Sizes{batch, directions, hidden} : Sizes{directions, batch, hidden};
}

void ResizeRule(RuleContext& c) {
  SameAsFirst(c);
  TensorFacts& out = c.outputs[0];
  if (!out.dims) return;
  const Sizes in = *out.dims;
  for (size_t i = 0; i < in.size(); ++i) (*out.dims)[i] = c.FreshDim(0, i);
  if (c.node.Has("axes") || c.node.String("keep_aspect_ratio_policy", "stretch") != "stretch") return;
  const bool upsample = c.node.Is("Upsample");
  if (!upsample && c.opset >= 11 && c.has(3)) {
    if (c.in(3).content && c.in(3).content->size() == in.size()) out.dims = c.in(3).content;
    return;
  }
  std::vector<float> scales;
  const size_t slot = upsample || c.opset < 11 ? 1 : 2;
  if (c.has(slot)) {
    const Tensor* constant = c.graph.Constant(c.node.input(slot));
    const Node* held = ProducerOfType(c.graph, c.node.input(slot), "Constant");
    const Tensor tensor = constant ? *constant : held ? HeldBy(*held) : Tensor();
    if (!tensor.defined() || tensor.dtype() != DType::kFloat) return;
    scales.assign(tensor.data<float>(), tensor.data<float>() + tensor.size());
  } else if (upsample) {
    scales = c.node.Floats("scales");
  }
  if (scales.size() != in.size() ||
      c.node.String("coordinate_transformation_mode", "") == "tf_crop_and_resize")
    return;
  for (size_t i = 0; i < in.size(); ++i) {
    if (scales[i] == 1.0f) {
      (*out.dims)[i] = in[i];
    } else if (in[i].is_number()) {
      (*out.dims)[i] = Number(static_cast<int64_t>(std::floor(static_cast<float>(in[i].factor) * scales[i])));
    }
  }
}

void NormRule(RuleContext& c) { SameAsFirst(c); }  // statistics outputs stay unknown

void DropoutRule(RuleContext& c) {
  SameAsFirst(c);
  if (c.outputs.size() > 1) c.outputs[1] = {DType::kBool, c.in(0).dims, std::nullopt};
}

void GatherElementsRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  c.outputs[0].dims = c.in(1).dims;
}

void TopKRule(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  if (c.outputs.size() > 1) c.outputs[1].dtype = DType::kInt64;
  if (!c.in(0).dims) return;
  const auto axis = AxisIn(c.node.Int("axis", -1), c.in(0).dims->size());
  if (!axis) return;
  const auto k = c.has(1) ? c.Ints(1, "") : std::optional<std::vector<int64_t>>{{c.node.Int("k", 1)}};
  Sizes dims = *c.in(0).dims;
  dims[*axis] = k && k->size() == 1 ? Number((*k)[0]) : c.FreshDim(0, *axis);
  for (TensorFacts& out : c.outputs) out.dims = dims;
}

void BlockRule(RuleContext& c) {
  SameAsFirst(c);
  TensorFacts& out = c.outputs[0];
  const int64_t block = c.node.Int("blocksize", 0);
  if (!out.dims || out.dims->size() != 4 || block <= 0) return out.dims.reset();
  const Sizes in = *out.dims;
  const bool to_space = c.node.Is("DepthToSpace");
  for (size_t i = 1; i < 4; ++i) {
    const Size by = Number(i == 1 ? block * block : block);
    const bool grows = to_space == (i != 1);
    const auto divided =
        grows ? std::optional<Size>(c.symbols.Multiply(in[i], by)) : c.symbols.Divide(in[i], by);
    (*out.dims)[i] = divided ? *divided : c.FreshDim(0, i);
  }
}

}  // namespace

void AddComputeRules(ShapeRules* rules) {
  const auto add = [rules](RuleFunction rule, std::initializer_list<const char*> types) {
    for (const char* type : types) rules->emplace(type, rule);
  };
  add(ConvRule, {"Conv"});
  add(ConvTransposeRule, {"ConvTranspose"});
  add(GemmRule, {"Gemm"});
  add(MatMulRule, {"MatMul"});
  add(RecurrentRule, {"LSTM", "GRU", "RNN"});
  add(ResizeRule, {"Resize"});
  add(ResizeRule, {"Upsample"});
  add(DropoutRule, {"Dropout"});
  add(GatherElementsRule, {"GatherElements"});
  add(TopKRule, {"TopK"});
  add(BlockRule, {"DepthToSpace"});
  add(BlockRule, {"SpaceToDepth"});
  add(PoolRule, {"MaxPool", "AveragePool", "LpPool"});
  add(GlobalPoolRule, {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"});
  add(NormRule, {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization",
                 "RMSNormalization", "MeanVarianceNormalization"});
  add(ReduceRule, {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                   "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ArgMax", "ArgMin"});
}

}  // namespace xslim
