#include "ops/conv_geometry.h"

#include <algorithm>

#include "base/log.h"
#include "ops/copy.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Fills what Conv and ConvTranspose share; returns the offset of the first spatial dimension in the arrays.
size_t ReadCommon(const Node& node, const Shape& x, const Shape& w, ConvGeometry& g,
                  WindowAttributes& window) {
  const int64_t spatial = static_cast<int64_t>(x.size()) - 2;
  if (spatial < 1 || spatial > 3 || w.size() != x.size()) {
    throw Error(
        StrCat("input of shape ", ToString(x), " and weights of shape ", ToString(w), " cannot be convolved"),
        "", "expected equal ranks of 3 to 5");
  }
  const size_t rank = static_cast<size_t>(spatial), first = 3 - rank;
  window = ReadWindow(node, rank, Shape(w.begin() + 2, w.end()));
  CheckWindowValues("kernel_shape", window.kernel, rank, 1);
  g.batch = x[0];
  g.channels_in = x[1];
  g.group = node.Int("group", 1);
  if (!AreGroups(g.group, g.channels_in)) {
    throw Error(StrCat("group ", g.group, " does not divide the ", g.channels_in, " input channels"));
  }
  for (size_t i = 0; i < rank; ++i) {
    g.in[first + i] = x[i + 2];
    g.kernel[first + i] = w[i + 2];
    g.stride[first + i] = window.strides[i];
    g.dilation[first + i] = window.dilations[i];
  }
  return first;
}

}  // namespace

ConvGeometry GeometryOfConv(const Node& node, const Shape& x, const Shape& w) {
  ConvGeometry g;
  WindowAttributes window;
  const size_t first = ReadCommon(node, x, w, g, window), rank = 3 - first;
  g.channels_out = w[0];
  if (w[1] != g.channels_in / g.group || g.channels_out % g.group != 0) {
    throw Error(StrCat("weights of shape ", ToString(w), " do not fit ", g.channels_in, " input channels in ",
                       g.group, " groups"));
  }
  const std::string& auto_pad = window.auto_pad;
  const std::vector<int64_t>& pads = window.pads;
  g.out_shape = {g.batch, g.channels_out};
  for (size_t i = 0; i < rank; ++i) {
    const size_t s = first + i;
    const int64_t extent = (g.kernel[s] - 1) * g.dilation[s] + 1;
    int64_t begin = 0, total = 0;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      const int64_t wanted = (g.in[s] + g.stride[s] - 1) / g.stride[s];
      total = std::max<int64_t>((wanted - 1) * g.stride[s] + extent - g.in[s], 0);
      begin = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else if (auto_pad == "NOTSET") {
      begin = pads[i];
      total = pads[i] + pads[i + rank];
    }
    g.pad[s] = begin;
    const int64_t room = g.in[s] + total - extent;
    g.out[s] = room < 0 ? 0 : room / g.stride[s] + 1;
    g.out_shape.push_back(g.out[s]);
  }
  return g;
}

ConvGeometry GeometryOfConvTranspose(const Node& node, const Shape& x, const Shape& w) {
  ConvGeometry g;
  WindowAttributes window;
  const size_t first = ReadCommon(node, x, w, g, window), rank = 3 - first;
  if (w[0] != g.channels_in) {
    throw Error(StrCat("weights of shape ", ToString(w), " do not fit ", g.channels_in, " input channels"));
  }
  g.channels_out = w[1] * g.group;
  const std::string& auto_pad = window.auto_pad;
  const std::vector<int64_t>& pads = window.pads;
  auto extra = node.Ints("output_padding");
  if (extra.empty()) extra.assign(rank, 0);
  auto wanted = node.Ints("output_shape");
  if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  CheckWindowValues("output_padding", extra, rank, 0);
  if (!wanted.empty()) CheckWindowValues("output_shape", wanted, rank, 0);
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  g.out_shape = {g.batch, g.channels_out};
  for (size_t i = 0; i < rank; ++i) {
    const size_t s = first + i;
    const int64_t full = g.stride[s] * (g.in[s] - 1) + extra[i] + (g.kernel[s] - 1) * g.dilation[s] + 1;
    if (!wanted.empty() || same) {
      // SAME pads and never adds: where the stride is larger than the window, the result stays smaller than
      // input times stride, as ONNX's shape inference and ONNX Runtime have it.
      g.out[s] = wanted.empty() ? std::min(g.in[s] * g.stride[s], full) : wanted[i];
      const int64_t total = std::max<int64_t>(full - g.out[s], 0);
      g.pad[s] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else if (auto_pad == "VALID") {
      g.out[s] = full;
    } else {
      g.pad[s] = pads[i];
      g.out[s] = full - pads[i] - pads[i + rank];
    }
    g.out[s] = std::max<int64_t>(g.out[s], 0);
    g.out_shape.push_back(g.out[s]);
  }
  return g;
}

ConvGeometry WithRows(ConvGeometry g) {
  StillAxesFirst([&](size_t i) { return g.in[i] == 1 && g.kernel[i] == 1 && g.out[i] == 1 && g.pad[i] == 0; },
                 [&](size_t i, size_t j) {
                   for (auto* values : {&g.in, &g.out, &g.kernel, &g.stride, &g.dilation, &g.pad})
                     std::swap((*values)[i], (*values)[j]);
                 });
  return g;
}

ConvOperands::ConvOperands(EvalContext& ctx,
                           ConvGeometry (*geometry)(const Node&, const Shape&, const Shape&))
    : x(ctx.in(0).ToFloat32()), w(ctx.in(1).ToFloat32()), g(geometry(ctx.node, x.shape(), w.shape())) {
  if (!ctx.has(2)) return;
  bias = ctx.in(2).ToFloat32();
  if (bias.size() != g.channels_out) {
    throw Error(
        StrCat("the bias has ", bias.size(), " elements, expected one per output channel: ", g.channels_out));
  }
}

}  // namespace xslim
