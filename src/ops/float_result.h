// For operators that compute in float32 whatever float type they are given.
#ifndef XSLIM_OPS_FLOAT_RESULT_H_
#define XSLIM_OPS_FLOAT_RESULT_H_

#include <string>
#include <utility>

#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {

// Output `slot` becomes the float32 tensor `y`, converted to `dtype` (float32, float16, bfloat16 or float64;
// else Error).
inline void SetFloatResult(EvalContext& context, size_t slot, Tensor y, DType dtype) {
  if (dtype == DType::kFloat) return context.set_out(slot, std::move(y));
  const float* in = y.data<float>();
  Tensor& out = context.out(slot, dtype, y.shape());
  switch (dtype) {
    case DType::kFloat16:
      for (int64_t i = 0; i < y.size(); ++i) out.data<Half>()[i] = ToHalf(in[i]);
      return;
    case DType::kBFloat16:
      for (int64_t i = 0; i < y.size(); ++i) out.data<BFloat16>()[i] = ToBFloat16(in[i]);
      return;
    case DType::kDouble:
      for (int64_t i = 0; i < y.size(); ++i) out.data<double>()[i] = static_cast<double>(in[i]);
      return;
    default:
      throw Unsupported(std::string("element type ") + NameOf(dtype) + " is not supported");
  }
}

}  // namespace xslim

#endif  // XSLIM_OPS_FLOAT_RESULT_H_
