// All kernel bodies; included once per instruction set, inside an anonymous namespace with F32, V and hn
// defined.
// Later ones use earlier ones.
// clang-format off
#include "kernels/math-inl.h"
#include "kernels/runs-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/across-inl.h"
#include "kernels/square-inl.h"
#include "kernels/depthwise-inl.h"
#include "kernels/elementwise-inl.h"
#include "kernels/reduce-inl.h"
#include "kernels/quantize-inl.h"
// clang-format on

// Every field by its name, so that the compiler misses one that is left out.
Table MakeTable(const char* name) {
  return {
      .name = name,
      .mr = XSLIM_MR,
      .nr = 2 * static_cast<int32_t>(hn::Lanes(F32())),
      .gemm = Gemm,
      .gemm_gather = GemmGather,
      .pack_a = PackA,
      .pack_b = PackB,
      .depthwise = Depthwise,
      .unary = Unary,
      .binary = Binary,
      .binary_scalar = BinaryScalar,
      .scalar_binary = ScalarBinary,
      .clamp = Clamp,
      .hard_sigmoid = HardSigmoid,
      .leaky_relu = LeakyRelu,
      .scale_shift = ScaleShift,
      .every_second = EverySecond,
      .sum = Sum,
      .sum_of_squares = SumOfSquares,
      .max = Max,
      .min = Min,
      .softmax = Softmax,
      .layer_norm = LayerNorm,
      .quantize_s8 = QuantizeS8,
      .quantize_u8 = QuantizeU8,
      .dequantize_s8 = DequantizeS8,
      .dequantize_u8 = DequantizeU8,
      .fake_quantize = FakeQuantize,
      .min_max = MinMaxOf,
      .histogram_slots = HistogramSlots,
  };
}
