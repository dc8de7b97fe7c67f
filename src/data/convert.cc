#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

enum class Kind { kBool, kInteger, kFloat, kOther };

Kind KindOf(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return Kind::kBool;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64:
    case DType::kUint8:
    case DType::kUint16:
    case DType::kUint32:
    case DType::kUint64:
      return Kind::kInteger;
    case DType::kFloat:
    case DType::kDouble:
    case DType::kFloat16:
    case DType::kBFloat16:
      return Kind::kFloat;
    default:
      return Kind::kOther;
  }
}

// Calls visit with a value of the C++ type behind `dtype`.
template <typename Visit>
void WithIntegerType(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kInt8:
      visit(int8_t{});
      break;
    case DType::kInt16:
      visit(int16_t{});
      break;
    case DType::kInt32:
      visit(int32_t{});
      break;
    case DType::kInt64:
      visit(int64_t{});
      break;
    case DType::kUint8:
      visit(uint8_t{});
      break;
    case DType::kUint16:
      visit(uint16_t{});
      break;
    case DType::kUint32:
      visit(uint32_t{});
      break;
    case DType::kUint64:
      visit(uint64_t{});
      break;
    default:
      throw Error(StrCat("element type ", NameOf(dtype), " is not supported for a model input"));
  }
}

// All digits of the value: 16777217 as 1.67772e+07 would tell little.
template <typename From>
[[noreturn]] void FailRange(From value, DType dtype, const std::string& path) {
  char text[64];
  *std::to_chars(text, text + sizeof text - 1, value).ptr = '\0';
  throw Error(StrCat("the value ", text, " does not fit the model's ", NameOf(dtype)), path,
              StrCat("save the array as ", NameOf(dtype), ", or correct the config's dtype of the input"));
}

// to[i] = from[i] for types that C++ converts; `lossy` when a value changes. Values that an integer type does
// not have are an error.
template <typename From, typename To>
void Cast(const From* in, To* out, int64_t count, DType dtype, const std::string& path, bool* lossy) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
      if (!std::in_range<To>(in[i])) FailRange(in[i], dtype, path);
    } else if constexpr (std::is_integral_v<To>) {
      // The ends as doubles: the upper one is one past the largest number.
      const double low = static_cast<double>(std::numeric_limits<To>::min());
      const double end = std::ldexp(1.0, std::numeric_limits<To>::digits);
      const double whole = std::trunc(static_cast<double>(in[i]));
      if (!(whole >= low && whole < end)) FailRange(in[i], dtype, path);
    }
    out[i] = static_cast<To>(in[i]);
    // Not in From: the largest integers round to one past its end.
    *lossy |= static_cast<long double>(out[i]) != static_cast<long double>(in[i]);
  }
}

// Numbers of any C++ type: calls visit with a pointer to them. Of booleans they are 0 and 1.
template <typename Visit>
void WithNumbers(const Tensor& tensor, const Visit& visit) {
  if (tensor.dtype() == DType::kDouble) {
    visit(reinterpret_cast<const double*>(tensor.raw()));
  } else if (KindOf(tensor.dtype()) == Kind::kFloat) {
    const Tensor floats = tensor.ToFloat32();
    visit(floats.data<float>());
  } else if (tensor.dtype() == DType::kBool) {
    visit(reinterpret_cast<const uint8_t*>(tensor.raw()));
  } else {
    WithIntegerType(tensor.dtype(), [&](auto type) { visit(tensor.data<decltype(type)>()); });
  }
}

}  // namespace

Tensor FromFloat32(const Tensor& tensor, DType dtype) {
  if (dtype == DType::kFloat) return tensor;
  Tensor result(dtype, tensor.shape());
  const float* in = tensor.data<float>();
  const int64_t count = tensor.size();
  switch (dtype) {
    case DType::kDouble: {
      double* out = reinterpret_cast<double*>(result.raw());
      for (int64_t i = 0; i < count; ++i) out[i] = in[i];
      break;
    }
    case DType::kFloat16:
      for (int64_t i = 0; i < count; ++i) result.data<Half>()[i] = ToHalf(in[i]);
      break;
    case DType::kBFloat16:
      for (int64_t i = 0; i < count; ++i) result.data<BFloat16>()[i] = ToBFloat16(in[i]);
      break;
    default:
      WithIntegerType(dtype, [&](auto zero) {
        using To = decltype(zero);
        // The largest float that still fits: 2^63 as a float is one past int64's maximum.
        const double low = static_cast<double>(std::numeric_limits<To>::min());
        const double high = static_cast<double>(std::numeric_limits<To>::max());
        To* out = result.data<To>();
        for (int64_t i = 0; i < count; ++i) {
          const double value = std::nearbyint(static_cast<double>(in[i]));
          if (std::isnan(value))
            out[i] = 0;
          else if (value <= low)
            out[i] = std::numeric_limits<To>::min();
          else if (value >= high)
            out[i] = std::numeric_limits<To>::max();
          else
            out[i] = static_cast<To>(value);
        }
      });
  }
  return result;
}

Tensor ConvertElements(const Tensor& tensor, DType dtype, const std::string& path, bool* lossy) {
  if (tensor.dtype() == dtype) return tensor;
  const Kind from = KindOf(tensor.dtype()), to = KindOf(dtype);
  if (from == Kind::kOther || to == Kind::kOther) {
    throw Error(StrCat("the file holds ", NameOf(tensor.dtype()), ", the model input takes ", NameOf(dtype)),
                path, StrCat("save the array as ", NameOf(dtype)));
  }
  if (from == Kind::kFloat && to == Kind::kFloat) return FromFloat32(tensor.ToFloat32(), dtype);
  const bool narrow = dtype == DType::kFloat16 || dtype == DType::kBFloat16;
  Tensor result(narrow ? DType::kFloat : dtype, tensor.shape());
  const int64_t count = tensor.size();
  WithNumbers(tensor, [&](const auto* in) {
    if (to == Kind::kBool) {
      for (int64_t i = 0; i < count; ++i) {
        result.data<bool>()[i] = in[i] != 0;
        *lossy |= in[i] != 0 && in[i] != 1;
      }
    } else if (dtype == DType::kDouble) {
      Cast(in, reinterpret_cast<double*>(result.raw()), count, dtype, path, lossy);
    } else if (to == Kind::kFloat) {
      Cast(in, result.data<float>(), count, dtype, path, lossy);
    } else {
      WithIntegerType(dtype,
                      [&](auto type) { Cast(in, result.data<decltype(type)>(), count, dtype, path, lossy); });
    }
  });
  if (!narrow) return result;
  const Tensor rounded = FromFloat32(result, dtype);
  *lossy |= !rounded.ToFloat32().SameBytes(result);
  return rounded;
}

bool HasNonFinite(const Tensor& tensor) {
  if (KindOf(tensor.dtype()) != Kind::kFloat) return false;
  const Tensor floats = tensor.ToFloat32();
  const float* values = floats.data<float>();
  for (int64_t i = 0; i < floats.size(); ++i) {
    if (!std::isfinite(values[i])) return true;
  }
  return false;
}

std::string DimsText(const Shape& shape) {
  const auto text = [](int64_t size) { return size < 0 ? "?" : std::to_string(size); };
  return "[" + StrJoin(shape, ",", text) + "]";
}

Tensor FitShape(const Tensor& tensor, const Shape& shape, const std::string& path, const std::string& input) {
  const auto fits = [](const Shape& actual, const Shape& wanted) {
    if (actual.size() != wanted.size()) return false;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] >= 0 && wanted[i] != actual[i]) return false;
    }
    return true;
  };
  if (fits(tensor.shape(), shape)) return tensor;
  Shape batched = tensor.shape();
  batched.insert(batched.begin(), 1);
  if (fits(batched, shape)) return tensor.Reshaped(batched);
  std::string hint = "make the array of that shape, or correct input_shape where the model leaves it open";
  if (const int64_t size = shape.empty() ? 0 : shape[0]; size > 1) {
    Shape one = shape;
    one[0] = 1;
    if (fits(tensor.shape(), one) || fits(batched, one))
      hint = StrCat("calibration_batch_size ", size, " puts ", size, " such arrays together");
  }
  throw Error(StrCat("the array's shape is ", ToString(tensor.shape()), ", the model input ", input,
                     " takes ", DimsText(shape)),
              path, hint);
}

}  // namespace xslim
