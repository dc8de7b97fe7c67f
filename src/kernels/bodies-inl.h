// All kernel bodies; included once per instruction set, inside an anonymous namespace with F32, V and hn
// defined.
// Later ones use earlier ones.
// clang-format off
#include "kernels/math-inl.h"
#include "kernels/runs-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/depthwise-inl.h"
#include "kernels/elementwise-inl.h"
#include "kernels/reduce-inl.h"
#include "kernels/quantize-inl.h"
// clang-format on

Table MakeTable(const char* name) {
  Table t;
  t.name = name;
  t.mr = XSLIM_MR;
  t.nr = 2 * static_cast<int32_t>(hn::Lanes(F32()));
  t.gemm = Gemm;
  t.gemm_gather = GemmGather;
  t.pack_a = PackA;
  t.pack_b = PackB;
  t.depthwise_plane = DepthwisePlane;
  t.unary = Unary;
  t.binary = Binary;
  t.binary_scalar = BinaryScalar;
  t.scalar_binary = ScalarBinary;
  t.clamp = Clamp;
  t.hard_sigmoid = HardSigmoid;
  t.leaky_relu = LeakyRelu;
  t.scale_shift = ScaleShift;
  t.every_second = EverySecond;
  t.sum = Sum;
  t.sum_of_squares = SumOfSquares;
  t.max = Max;
  t.min = Min;
  t.softmax = Softmax;
  t.layer_norm = LayerNorm;
  t.quantize_s8 = QuantizeS8;
  t.quantize_u8 = QuantizeU8;
  t.dequantize_s8 = DequantizeS8;
  t.dequantize_u8 = DequantizeU8;
  t.fake_quantize = FakeQuantize;
  t.min_max = MinMaxOf;
  t.histogram_slots = HistogramSlots;
  return t;
}
