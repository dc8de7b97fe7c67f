// Rules for products and for what works on windows.
#include <algorithm>
#include <numeric>

#include "ops/conv.h"
#include "tune/gradient_builder.h"

namespace xslim {
namespace {

std::vector<int64_t> Spatial(const std::array<int64_t, 3>& values, size_t rank) {
  return {values.end() - static_cast<std::ptrdiff_t>(rank), values.end()};
}

// From the derivative by a convolution's output to that by its input.
ValueId ConvBack(GradientBuilder& b, const ConvGeometry& geometry, size_t rank, ValueId g, ValueId weight) {
  const std::vector<int64_t> in = Spatial(geometry.in, rank), out = Spatial(geometry.out, rank),
                             kernel = Spatial(geometry.kernel, rank), stride = Spatial(geometry.stride, rank),
                             dilation = Spatial(geometry.dilation, rank), pad = Spatial(geometry.pad, rank);
  std::vector<int64_t> begin, end, more;
  bool plain = true;
  int64_t places = 1, places_back = 1;
  for (size_t i = 0; i < rank; ++i) {
    places *= out[i];
    places_back *= in[i];
    const int64_t extent = (kernel[i] - 1) * dilation[i];
    begin.push_back(extent - pad[i]);
    end.push_back(in[i] - (out[i] + extent - pad[i]) + extent);
    plain &= stride[i] == 1 && begin[i] >= 0 && end[i] >= 0;
  }
  std::map<std::string, Attribute> attributes = {{"group", Attribute::Int(geometry.group)},
                                                 {"kernel_shape", Attribute::Ints(kernel)},
                                                 {"dilations", Attribute::Ints(dilation)}};
  // Where the kernel is almost as large as the input, a Conv would mostly multiply the zeros around g.
  if (plain && places_back <= 2 * places) {
    begin.insert(begin.end(), end.begin(), end.end());
    attributes["pads"] = Attribute::Ints(begin);
    const ValueId turned = b.Constant(TurnedWeight(*b.graph().Constant(weight), geometry.group));
    b.NoteTurned(weight, {turned, geometry.group});
    return b.Emit("Conv", {g, turned}, attributes);
  }
  // Input positions that no window reaches get a derivative of 0: a ConvTranspose without padding at the end,
  // cut or filled up to size.
  std::vector<int64_t> pads(2 * rank, 0);
  for (size_t i = 0; i < rank; ++i) {
    pads[i] = pad[i];
    const int64_t made = (out[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - pad[i];
    more.push_back(std::max<int64_t>(in[i] - made, 0));
    pads[rank + i] = std::max<int64_t>(made - in[i], 0);
  }
  attributes["pads"] = Attribute::Ints(pads);
  attributes["strides"] = Attribute::Ints(stride);
  const ValueId back = b.Emit("ConvTranspose", {g, weight}, attributes);
  if (std::all_of(more.begin(), more.end(), [](int64_t n) { return n == 0; })) return back;
  std::vector<int64_t> fill(rank + 2 + 2, 0);
  fill.insert(fill.end(), more.begin(), more.end());
  return b.Emit("Pad", {back, b.Ints(fill)});
}

bool Conv(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const ValueId weight = site.x(1);
  if (b.Needs(weight) || b.Needs(site.x(2)) || b.graph().Constant(weight) == nullptr) return false;
  if (site.shape(0).size() < 3) return false;
  const Tensor& w = *b.graph().Constant(weight);
  b.Give(site.x(0), ConvBack(b, GeometryOfConv(site.node, site.shape(0), w.shape()), site.shape(0).size() - 2,
                             site.g[0], weight));
  return true;
}

bool ConvTranspose(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Node& node = site.node;
  const ValueId weight = site.x(1);
  if (b.Needs(weight) || b.Needs(site.x(2)) || b.graph().Constant(weight) == nullptr) return false;
  const std::string auto_pad = node.String("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" || node.Has("output_shape") || site.shape(0).size() < 3) return false;
  const size_t rank = site.shape(0).size() - 2;
  const std::vector<int64_t> ones(rank, 1), stride = node.Ints("strides", ones),
                                            dilation = node.Ints("dilations", ones);
  std::vector<int64_t> pads = node.Ints("pads", std::vector<int64_t>(2 * rank, 0));
  const std::vector<int64_t> kernel(b.graph().Constant(weight)->shape().begin() + 2,
                                    b.graph().Constant(weight)->shape().end());
  for (size_t i = 0; i < rank; ++i) {  // so much padding that there are as many windows as inputs
    const int64_t in = site.shape(0)[i + 2], out = site.out_shape()[i + 2];
    pads[rank + i] = (in - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - out - pads[i];
  }
  if (std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad < 0; })) return false;
  b.Give(site.x(0), b.Emit("Conv", {site.g[0], weight},
                           {{"group", Attribute::Int(node.Int("group", 1))},
                            {"kernel_shape", Attribute::Ints(kernel)},
                            {"strides", Attribute::Ints(stride)},
                            {"dilations", Attribute::Ints(dilation)},
                            {"pads", Attribute::Ints(pads)}}));
  return true;
}

// The last two axes exchanged.
ValueId Turned(GradientBuilder& b, ValueId x, const Shape& shape) {
  std::vector<int64_t> perm(shape.size());
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return b.Emit("Transpose", {x}, {{"perm", Attribute::Ints(perm)}});
}

bool MatMul(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Shape &p = site.shape(0), &q = site.shape(1);
  if (p.size() < 2 || q.size() < 2) return false;
  const auto give = [&](size_t slot, ValueId left, ValueId right, int64_t rows, int64_t columns) {
    Shape made = site.out_shape();
    made[made.size() - 2] = rows;
    made[made.size() - 1] = columns;
    b.Give(site.x(slot), b.SumTo(b.Emit("MatMul", {left, right}), made, site.shape(slot)));
  };
  if (b.Needs(site.x(0))) give(0, site.g[0], Turned(b, site.x(1), q), p[p.size() - 2], p.back());
  if (b.Needs(site.x(1))) give(1, Turned(b, site.x(0), p), site.g[0], q[q.size() - 2], q.back());
  return true;
}

bool Gemm(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Node& node = site.node;
  if (b.Needs(site.x(2)) || node.Int("transA", 0) != 0) return false;
  const bool turned = node.Int("transB", 0) != 0;
  ValueId g = site.g[0];
  if (const float alpha = node.Float("alpha", 1); alpha != 1.0f) g = b.Scaled(g, alpha);
  if (b.Needs(site.x(0)))
    b.Give(site.x(0), b.Emit("MatMul", {g, turned ? site.x(1) : Turned(b, site.x(1), site.shape(1))}));
  if (b.Needs(site.x(1))) {
    const ValueId left = turned ? g : site.x(0), right = turned ? site.x(0) : g;
    b.Give(site.x(1), b.Emit("MatMul", {Turned(b, left, turned ? site.out_shape() : site.shape(0)), right}));
  }
  return true;
}

// Averages are convolutions of each channel with equal weights (at the border, with count_include_pad).
bool AveragePool(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  Node node = site.node;
  const std::vector<int64_t> kernel = node.Ints("kernel_shape");
  const int64_t channels = site.shape(0).size() > 2 ? site.shape(0)[1] : 0;
  if (node.Int("ceil_mode", 0) != 0 || channels == 0 || kernel.empty()) return false;
  Shape shape = {channels, 1};
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  Tensor weight(DType::kFloat, shape);
  std::fill_n(weight.data<float>(), weight.size(), 1.0f / static_cast<float>(InnerCount(shape, 1)));
  node.attributes["group"] = Attribute::Int(channels);
  b.Give(site.x(0), ConvBack(b, GeometryOfConv(node, site.shape(0), shape), kernel.size(), site.g[0],
                             b.Constant(std::move(weight))));
  return true;
}

// By whole factors: the sum over the block that an element was copied to. That is what nearest does; linear
// and cubic also read an element in the blocks beside its own, by weights whose sum is the same: for them
// the derivative is spread over neighbours a little differently, but of the right size.
bool Resize(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Shape &in = site.shape(0), &out = site.out_shape();
  if (in.size() != out.size() || in.size() < 3 || in[0] != out[0] || in[1] != out[1]) return false;
  if (b.Needs(site.x(1)) || b.Needs(site.x(2)) || site.node.Has("axes")) return false;
  std::vector<int64_t> factors;
  double count = 1;
  for (size_t i = 2; i < in.size(); ++i) {
    if (in[i] == 0 || out[i] % in[i] != 0) return false;
    factors.push_back(out[i] / in[i]);
    count *= static_cast<double>(factors.back());
  }
  b.Give(site.x(0),
         b.Scaled(b.Emit("AveragePool", {site.g[0]},
                         {{"kernel_shape", Attribute::Ints(factors)}, {"strides", Attribute::Ints(factors)}}),
                  count));
  return true;
}

// To where each maximum came from, which the operator's second output says.
bool MaxPool(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  if (site.node.Int("storage_order", 0) != 0) return false;
  ValueId places = site.node.outputs.size() > 1 ? site.node.outputs[1] : kNone;
  if (places == kNone) {
    places = b.graph().AddValue("xslim_gradient_places", DType::kInt64);
    b.graph().SetOutput(site.node.id, 1, places);
  }
  const ValueId flat = b.graph().AddValue("xslim_gradient_flat", DType::kInt64);
  b.graph().AddNode("Reshape", "xslim_gradient_Reshape", {places, b.Ints({-1})}, {flat});
  const int64_t size = ElementCount(site.shape(0));
  const ValueId sum = b.Emit("ScatterElements", {b.Zeros({size}), flat, b.Reshaped(site.g[0], {-1})},
                             {{"reduction", Attribute::String("add")}});
  b.Give(site.x(0), b.Reshaped(sum, site.shape(0)));
  return true;
}

}  // namespace

Tensor TurnedWeight(const Tensor& weight, int64_t groups) {
  const int64_t out = weight.dim(0) / groups, in = weight.dim(1), taps = InnerCount(weight.shape(), 1);
  Shape shape = weight.shape();
  shape[0] = in * groups;
  shape[1] = out;
  Tensor turned(DType::kFloat, shape);
  const float* from = weight.data<float>();
  float* to = turned.data<float>();
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        for (int64_t t = 0; t < taps; ++t)
          to[((g * in + i) * out + o) * taps + taps - 1 - t] = from[((g * out + o) * in + i) * taps + t];
      }
    }
  }
  return turned;
}

bool HandOnProduct(const GradientSite& site) {
  if (site.g[0] == kNone) return false;
  const Node& node = site.node;
  if (node.Is("Conv")) return Conv(site);
  if (node.Is("ConvTranspose")) return ConvTranspose(site);
  if (node.Is("MatMul")) return MatMul(site);
  if (node.Is("Gemm")) return Gemm(site);
  if (node.Is("AveragePool")) return AveragePool(site);
  if (node.Is("MaxPool")) return MaxPool(site);
  if (node.Is("Resize")) return Resize(site);
  return false;
}

}  // namespace xslim
