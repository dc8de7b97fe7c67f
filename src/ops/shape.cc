// Operators that make tensors or change element types: shapes, constants, ranges, casts.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "ops/copy.h"
#include "tensor/minifloat.h"
#include "xslim/error.h"

namespace xslim {
namespace {

size_t Z(int64_t value) { return static_cast<size_t>(value); }

void ShapeOf(EvalContext& c) {
  const Shape& shape = c.in(0).shape();
  const auto rank = static_cast<int64_t>(shape.size());
  const auto position = [&](const char* name, int64_t otherwise) {
    const int64_t value = c.node.Int(name, otherwise);
    return std::clamp<int64_t>(value < 0 ? value + rank : value, 0, rank);
  };
  const int64_t start = position("start", 0), end = std::max(position("end", rank), start);
  Tensor& y = c.out(0, DType::kInt64, {end - start});
  std::copy(shape.begin() + start, shape.begin() + end, y.data<int64_t>());
}

void Size(EvalContext& c) { c.set_out(0, Tensor::Scalar<int64_t>(c.in(0).size())); }

void Constant(EvalContext& c) {
  const auto has = [&](const char* name) { return c.node.Has(name); };
  const auto length = [](const auto& list) { return Shape{static_cast<int64_t>(list.size())}; };
  if (const Tensor* value = c.node.TensorOf("value")) return c.set_out(0, *value);
  if (has("value_float")) return c.set_out(0, Tensor::Scalar(c.node.Float("value_float", 0)));
  if (has("value_int")) return c.set_out(0, Tensor::Scalar(c.node.Int("value_int", 0)));
  if (has("value_string")) return c.set_out(0, Tensor::Strings({}, {c.node.String("value_string", "")}));
  if (has("value_floats")) {
    const std::vector<float> values = c.node.Floats("value_floats");
    return c.set_out(0, Tensor::Of(length(values), values));
  }
  if (has("value_ints")) {
    const std::vector<int64_t> values = c.node.Ints("value_ints");
    return c.set_out(0, Tensor::Of(length(values), values));
  }
  if (has("value_strings")) {
    const std::vector<std::string>& values = c.node.attributes.at("value_strings").strings;
    return c.set_out(0, Tensor::Strings(length(values), values));
  }
  throw Error("the constant has no value that we read", "",
              "expected value, value_float(s), value_int(s) or value_string(s)");
}

void ConstantOfShape(EvalContext& c) {
  const Shape shape = c.in(0).ToInts();
  const Tensor* value = c.node.TensorOf("value");
  if (value != nullptr && value->size() != 1) {
    throw Error("value has shape " + ToString(value->shape()), "", "expected one element");
  }
  Tensor& y = c.out(0, value ? value->dtype() : DType::kFloat, shape);
  if (value == nullptr) return FillZero(y);
  ByElementSize(y.dtype(), [&](auto type) {
    using T = decltype(type);
    std::fill_n(Elements<T>(y), y.size(), *Elements<T>(*value));
  });
}

template <typename T>
void RangeOf(EvalContext& c) {
  for (size_t slot = 0; slot < 3; ++slot) {
    if (c.in(slot).size() != 1) throw Error("start, limit and delta must have one element each");
  }
  const T start = *c.in(0).data<T>(), limit = *c.in(1).data<T>(), delta = *c.in(2).data<T>();
  if (delta == 0) throw Error("delta is 0");
  const double steps =
      std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
  if (!(steps < 0x1p46)) throw Error("the range is too long");
  Tensor& y = c.out(0, DTypeOf<T>::value, {static_cast<int64_t>(std::max(steps, 0.0))});
  T* out = y.template data<T>();
  // Modulo 2^64, where overflow is defined: i * delta may be beyond T, though the sum is not.
  using Ring = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
  for (int64_t i = 0; i < y.size(); ++i) {
    out[i] = static_cast<T>(static_cast<Ring>(start) + static_cast<Ring>(i) * static_cast<Ring>(delta));
  }
}

void Range(EvalContext& c) {
  switch (c.in(0).dtype()) {
    case DType::kFloat:
      return RangeOf<float>(c);
    case DType::kDouble:
      return RangeOf<double>(c);
    case DType::kInt16:
      return RangeOf<int16_t>(c);
    case DType::kInt32:
      return RangeOf<int32_t>(c);
    case DType::kInt64:
      return RangeOf<int64_t>(c);
    default:
      throw Error(std::string("no range of ") + NameOf(c.in(0).dtype()), "",
                  "expected float, double or int16..int64");
  }
}

// ---- casts

// Truncates; what does not fit becomes what x86 gives: the smallest int64, the smallest int32 (for 32 bits
// and less, of which narrower types keep the low bits). C++ leaves these cases open, so they are spelled out.
template <typename To>
To Truncate(double value) {
  constexpr double kEnd64 = 0x1p63, kEnd32 = 0x1p31;
  if constexpr (std::is_same_v<To, uint64_t>) {
    if (value >= kEnd64 && value < 2 * kEnd64)
      return static_cast<uint64_t>(value - kEnd64) + (uint64_t{1} << 63);
  }
  const bool in64 = value >= -kEnd64 && value < kEnd64;
  const int64_t whole = in64 ? static_cast<int64_t>(value) : INT64_MIN;
  if constexpr (sizeof(To) == 8 || std::is_same_v<To, uint32_t>) {
    return static_cast<To>(whole);
  } else {
    const bool in32 = value > -kEnd32 - 1 && value < kEnd32;
    return static_cast<To>(in32 ? static_cast<int32_t>(whole) : INT32_MIN);
  }
}

template <typename T>
auto Number(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return ToFloat(value);
  } else {
    return value;
  }
}

template <typename To, typename From>
To Convert(From from) {
  const auto value = Number(from);
  if constexpr (std::is_same_v<To, bool>) {
    return value != 0;
  } else if constexpr (std::is_same_v<To, Half>) {
    return ToHalf(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return ToBFloat16(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<decltype(value)>) {
    return Truncate<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// Calls body(T{}) with the C++ type of the numbers; integers of 4 and 2 bits are read as bytes.
template <typename Body>
void ByNumber(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kFloat:
      return body(float{});
    case DType::kDouble:
      return body(double{});
    case DType::kFloat16:
      return body(Half{});
    case DType::kBFloat16:
      return body(BFloat16{});
    case DType::kBool:
      return body(bool{});
    case DType::kInt8:
    case DType::kInt4:
    case DType::kInt2:
      return body(int8_t{});
    case DType::kUint8:
    case DType::kUint4:
    case DType::kUint2:
      return body(uint8_t{});
    case DType::kInt16:
      return body(int16_t{});
    case DType::kUint16:
      return body(uint16_t{});
    case DType::kInt32:
      return body(int32_t{});
    case DType::kUint32:
      return body(uint32_t{});
    case DType::kInt64:
      return body(int64_t{});
    case DType::kUint64:
      return body(uint64_t{});
    default:
      throw Error(std::string("no cast from or to ") + NameOf(dtype));
  }
}

template <typename T>
std::string Text(T from) {
  const auto value = Number(from);
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "1" : "0";
  } else {
    char buffer[64];
    std::to_chars_result result;
    if constexpr (std::is_floating_point_v<decltype(value)>) {
      if (std::isnan(value)) return "NaN";
      if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
      result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general,
                             sizeof(value) == 8 ? 17 : 8);
    } else {
      result = std::to_chars(buffer, buffer + sizeof buffer, value);
    }
    return std::string(buffer, result.ptr);
  }
}

template <typename T>
T Parse(const std::string& text) {
  using Value = decltype(Number(T{}));
  using Read = std::conditional_t<std::is_floating_point_v<Value>, Value, int64_t>;
  Read value{};
  const char* begin = text.data() + (!text.empty() && text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || stop != end) throw Error("cannot read the string \"" + text + "\" as a number");
  return Convert<T>(value);
}

Tensor ParsedFloats(const Tensor& texts) {
  Tensor floats(DType::kFloat, texts.shape());
  for (int64_t i = 0; i < texts.size(); ++i) floats.data<float>()[i] = Parse<float>(texts.strings()[Z(i)]);
  return floats;
}

// To 4 or 2 bits: the low ones, sign-extended for int4 and int2.
void Narrow(Tensor& y) {
  const int mask = (1 << (8 / PerByte(y.dtype()))) - 1;
  const bool is_signed = y.dtype() == DType::kInt4 || y.dtype() == DType::kInt2;
  auto* bytes = reinterpret_cast<uint8_t*>(y.raw());
  for (int64_t i = 0; i < y.size(); ++i) {
    const int low = bytes[i] & mask;
    bytes[i] = static_cast<uint8_t>(is_signed && low > mask / 2 ? low - mask - 1 : low);
  }
}

PowerRounding RoundingOf(const Node& node) {
  const std::string mode = node.String("round_mode", "up");
  if (mode != "up" && mode != "down" && mode != "nearest")
    throw Error("unknown round_mode " + mode, "", "expected up, down or nearest");
  return mode == "up" ? PowerRounding::kUp : mode == "down" ? PowerRounding::kDown : PowerRounding::kNearest;
}

void CastToMini(EvalContext& c, const Tensor& x, DType to) {
  const bool saturate = c.node.Int("saturate", 1) != 0;
  const PowerRounding rounding = RoundingOf(c.node);
  const Tensor floats = x.dtype() == DType::kString ? ParsedFloats(x) : x.ToFloat32();
  const float* in = floats.data<float>();
  auto* out = reinterpret_cast<uint8_t*>(c.out(0, to, x.shape()).raw());
  c.pool.ParallelFor(x.size(), 1 << 15, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) out[i] = FloatToMini(to, in[i], saturate, rounding);
  });
}

void CastTo(EvalContext& c, DType to) {
  if (c.in(0).dtype() == to) return c.set_out(0, c.in(0));
  if (IsMiniFloat(to)) return CastToMini(c, c.in(0), to);
  const Tensor x = IsMiniFloat(c.in(0).dtype()) ? c.in(0).ToFloat32() : c.in(0);
  if (x.dtype() == to) return c.set_out(0, x);
  Tensor& y = c.out(0, to, x.shape());
  if (to == DType::kString) {
    return ByNumber(x.dtype(), [&](auto type) {
      using From = decltype(type);
      for (int64_t i = 0; i < x.size(); ++i) y.strings()[Z(i)] = Text(Elements<From>(x)[i]);
    });
  }
  ByNumber(to, [&](auto to_type) {
    using To = decltype(to_type);
    To* out = Elements<To>(y);
    if (x.dtype() == DType::kString) {
      for (int64_t i = 0; i < x.size(); ++i) out[i] = Parse<To>(x.strings()[Z(i)]);
      return;
    }
    ByNumber(x.dtype(), [&](auto from_type) {
      using From = decltype(from_type);
      const From* in = Elements<From>(x);
      c.pool.ParallelFor(x.size(), 1 << 15, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) out[i] = Convert<To>(in[i]);
      });
    });
  });
  if (PerByte(to) > 1) Narrow(y);
}

void Cast(EvalContext& c) { CastTo(c, static_cast<DType>(c.node.Int("to", 0))); }

void CastLike(EvalContext& c) { CastTo(c, c.in(1).dtype()); }

void EyeLike(EvalContext& c) {
  const Tensor& x = c.in(0);
  if (x.rank() != 2) throw Error("input shape is " + ToString(x.shape()), "", "expected two dimensions");
  const auto dtype = static_cast<DType>(c.node.Int("dtype", static_cast<int64_t>(x.dtype())));
  const int64_t height = x.dim(0), width = x.dim(1);
  const int64_t k =
      std::clamp<int64_t>(c.node.Int("k", 0), -height, width);  // further out is empty all the same
  Tensor& y = c.out(0, dtype, x.shape());
  FillZero(y);
  ByNumber(dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t row = std::max<int64_t>(0, -k); row < height && row + k < width; ++row) {
      Elements<T>(y)[row * width + row + k] = Convert<T>(1.0f);
    }
  });
}

}  // namespace

std::vector<OperatorRow> ShapeOperators() {
  return {
      {"", "Shape", 1, kAnyLater, ShapeOf},      {"", "Size", 1, kAnyLater, Size},
      {"", "Constant", 1, kAnyLater, Constant},  {"", "ConstantOfShape", 9, kAnyLater, ConstantOfShape},
      {"", "Range", 11, kAnyLater, Range},       {"", "Cast", 6, kAnyLater, Cast},
      {"", "CastLike", 15, kAnyLater, CastLike}, {"", "EyeLike", 9, kAnyLater, EyeLike},
  };
}

}  // namespace xslim
