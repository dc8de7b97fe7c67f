// ConvTranspose: one, two and three spatial dimensions, groups, dilations, auto_pad. A matrix product gives
// what each input pixel adds to its window of the output, and these windows are added up.
#include <algorithm>

#include "ops/conv_geometry.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "ops/operator.h"

namespace xslim {
namespace {

// Adds one output channel's products (tap-major, then input pixels) to its plane, taps and pixels ascending.
void ScatterPlane(const ConvGeometry& g, const float* products, float* plane) {
  for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
    for (int64_t ky = 0; ky < g.kernel[1]; ++ky) {
      for (int64_t kx = 0; kx < g.kernel[2]; ++kx) {
        const int64_t stride = g.stride[2], shift = kx * g.dilation[2] - g.pad[2];
        const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;  // inputs that reach the plane
        const int64_t end = shift >= g.out[2] ? 0 : std::min(g.in[2], (g.out[2] - 1 - shift) / stride + 1);
        for (int64_t z = 0; z < g.in[0]; ++z) {
          for (int64_t y = 0; y < g.in[1]; ++y, products += g.in[2]) {
            const int64_t oz = z * g.stride[0] + kz * g.dilation[0] - g.pad[0];
            const int64_t oy = y * g.stride[1] + ky * g.dilation[1] - g.pad[1];
            if (oz < 0 || oz >= g.out[0] || oy < 0 || oy >= g.out[1]) continue;
            float* row = plane + (oz * g.out[1] + oy) * g.out[2];
            if (stride == 1) {
              if (first >= end) continue;
              kernels::Active().binary(kernels::kAdd, row + first + shift, products + first,
                                       row + first + shift, end - first);
            } else {
              for (int64_t x = first; x < end; ++x) row[x * stride + shift] += products[x];
            }
          }
        }
      }
    }
  }
}

void EvaluateConvTranspose(EvalContext& ctx) {
  const ConvOperands in(ctx, GeometryOfConvTranspose);
  const ConvGeometry g = WithRows(in.g);
  const float* bias = in.bias_data();
  Tensor result = ctx.scratch(DType::kFloat, g.out_shape);
  const int64_t per_group = g.channels_out / g.group, k = g.channels_in / g.group, m = per_group * g.taps();
  const int64_t n = g.pixels_in(), size_a = PackedSizeA(m, k);
  const PackLayout layout{PackLayout::kConvTranspose, {g.group, m, k}};
  const float* w = in.w.data<float>();
  const Tensor packed = PackOnce(ctx, ctx.is_constant(1), w, layout, g.group * size_a, [&](float* to) {
    for (int64_t group = 0; group < g.group; ++group)
      kernels::Active().pack_a(m, k, w + group * k * m, 1, m, to + group * size_a);
  });
  ctx.StateReplacesWeights();
  Tensor panels = ctx.scratch(DType::kFloat, {PackedSizeB(k, n)}),
         products = ctx.scratch(DType::kFloat, {m, n});
  for (int64_t item = 0; item < g.batch * g.group && result.size() > 0; ++item) {
    const int64_t group = item % g.group;
    PackBParallel(ctx.pool, k, n, in.x.data<float>() + item * k * n, n, 1, panels.data<float>());
    PackedProduct product{
        m, n, k, packed.data<float>() + group * size_a, panels.data<float>(), products.data<float>(), n};
    RunProduct(ctx.pool, product);
    ctx.pool.ParallelFor(per_group, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        float* plane = result.data<float>() + (item * per_group + c) * g.pixels_out();
        std::fill_n(plane, g.pixels_out(), bias != nullptr ? bias[group * per_group + c] : 0.0f);
        ScatterPlane(g, products.data<float>() + c * g.taps() * n, plane);
      }
    });
  }
  SetFloatResult(ctx, 0, std::move(result), ctx.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> ConvTransposeOperators() {
  return {{"", "ConvTranspose", 1, kAnyLater, EvaluateConvTranspose, QuantRole::kCompute}};
}

}  // namespace xslim
