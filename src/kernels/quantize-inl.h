// Quantization: clamp(round_half_even(x / scale) + zero_point, lo, hi), in float: exact for every value that
// the clamp lets through (|lo|, |hi|, |zero_point| below 2^23).

// x / scale, of any scale. IsNone: where there is no code, as of NaN.
struct Quotient {
  XSLIM_INLINE V operator()(V x) const { return hn::Div(x, hn::Set(F32(), scale)); }
  XSLIM_INLINE static auto IsNone(V, V quotient) { return hn::IsNaN(quotient); }
  const float scale;
};

// The same quotients, as far as they lie within 2^25, of scales of medium size, in a fraction of a division's
// time: x times the rounded 1 / scale, corrected twice by what is left of x. The first correction leaves less
// than one unit in the last place, and from there the second one gives the quotient as a division rounds it
// (P. Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", IBM Journal of
// Research and Development 34, 1990). Nothing underflows that is not far from the first code.
struct QuickQuotient {
  static bool Takes(float scale) { return kQuickFma && scale >= 0x1p-60f && scale <= 0x1p60f; }
  XSLIM_INLINE V operator()(V x) const {
    const F32 d;
    const V s = hn::Set(d, scale), inverse = hn::Set(d, 1.0f / scale), limit = hn::Set(d, scale * 0x1p25f);
    const V near = hn::Min(hn::Max(x, hn::Neg(limit)), limit);  // any number for NaN
    const V first = hn::Mul(near, inverse);
    const V second = hn::MulAdd(hn::NegMulAdd(first, s, near), inverse, first);
    return hn::MulAdd(hn::NegMulAdd(second, s, near), inverse, second);
  }
  XSLIM_INLINE static auto IsNone(V x, V) { return hn::IsNaN(x); }
  const float scale;
};

template <typename Divide>
XSLIM_INLINE V QuantizeV(V x, const Divide& divide, V zero_point, V lo, V hi) {
  const V quotient = divide(x);
  const V code = hn::Min(hn::Max(hn::Add(hn::Round(quotient), zero_point), lo), hi);
  return hn::IfThenElse(divide.IsNone(x, quotient), zero_point, code);
}

template <typename Divide, typename T>
XSLIM_INLINE void QuantizeBy(const Divide& divide, const float* x, int32_t zero_point, int32_t lo, int32_t hi,
                             T* q, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V z = hn::Set(d, static_cast<float>(zero_point));
  const V low = hn::Set(d, static_cast<float>(lo)), high = hn::Set(d, static_cast<float>(hi));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreAs(QuantizeV(hn::LoadU(d, x + i), divide, z, low, high), q + i);
  if (i < n) {
    float from[16] = {};
    T to[16];
    memcpy(from, x + i, static_cast<size_t>(n - i) * sizeof(float));
    StoreAs(QuantizeV(hn::LoadU(d, from), divide, z, low, high), to);
    memcpy(q + i, to, static_cast<size_t>(n - i) * sizeof(T));
  }
}

template <typename T>
XSLIM_INLINE void Quantize(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, T* q,
                           int64_t n) {
  if (QuickQuotient::Takes(scale))
    QuantizeBy(QuickQuotient{scale}, x, zero_point, lo, hi, q, n);
  else
    QuantizeBy(Quotient{scale}, x, zero_point, lo, hi, q, n);
}

template <typename T>
XSLIM_INLINE void Dequantize(const T* q, float scale, int32_t zero_point, float* y, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V s = hn::Set(d, scale), z = hn::Set(d, static_cast<float>(zero_point));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Mul(hn::Sub(LoadAs(q + i), z), s), d, y + i);
  if (i < n) {
    T from[16] = {};
    float to[16];
    memcpy(from, q + i, static_cast<size_t>(n - i) * sizeof(T));
    hn::StoreU(hn::Mul(hn::Sub(LoadAs(from), z), s), d, to);
    memcpy(y + i, to, static_cast<size_t>(n - i) * sizeof(float));
  }
}

void QuantizeS8(const float* x, float scale, int32_t zero_point, int8_t* q, int64_t n) {
  Quantize(x, scale, zero_point, -128, 127, q, n);
}
void QuantizeU8(const float* x, float scale, int32_t zero_point, uint8_t* q, int64_t n) {
  Quantize(x, scale, zero_point, 0, 255, q, n);
}
void DequantizeS8(const int8_t* q, float scale, int32_t zero_point, float* y, int64_t n) {
  Dequantize(q, scale, zero_point, y, n);
}
void DequantizeU8(const uint8_t* q, float scale, int32_t zero_point, float* y, int64_t n) {
  Dequantize(q, scale, zero_point, y, n);
}

template <typename Divide>
XSLIM_INLINE void FakeQuantizeBy(const Divide& divide, const float* x, int32_t zero_point, int32_t lo,
                                 int32_t hi, float* y, int64_t n) {
  const F32 d;
  const V s = hn::Set(d, divide.scale), z = hn::Set(d, static_cast<float>(zero_point));
  const V low = hn::Set(d, static_cast<float>(lo)), high = hn::Set(d, static_cast<float>(hi));
  Map(x, y, n, [&](V v) { return hn::Mul(hn::Sub(QuantizeV(v, divide, z, low, high), z), s); });
}

void FakeQuantize(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, float* y,
                  int64_t n) {
  if (QuickQuotient::Takes(scale))
    FakeQuantizeBy(QuickQuotient{scale}, x, zero_point, lo, hi, y, n);
  else
    FakeQuantizeBy(Quotient{scale}, x, zero_point, lo, hi, y, n);
}
