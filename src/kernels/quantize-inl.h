// Quantization: clamp(round_half_even(x / scale) + zero_point, lo, hi), in float: exact for every value that
// the clamp lets through (|lo|, |hi|, |zero_point| below 2^23).

XSLIM_INLINE V QuantizeV(V x, V scale, V zero_point, V lo, V hi) {
  const V code = ClampV(hn::Add(hn::Round(hn::Div(x, scale)), zero_point), lo, hi);
  return hn::IfThenElse(hn::IsNaN(code), zero_point, code);
}

template <typename T>
XSLIM_INLINE void Quantize(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, T* q,
                           int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V s = hn::Set(d, scale), z = hn::Set(d, static_cast<float>(zero_point));
  const V low = hn::Set(d, static_cast<float>(lo)), high = hn::Set(d, static_cast<float>(hi));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreAs(QuantizeV(hn::LoadU(d, x + i), s, z, low, high), q + i);
  if (i < n) {
    float from[16] = {};
    T to[16];
    memcpy(from, x + i, static_cast<size_t>(n - i) * sizeof(float));
    StoreAs(QuantizeV(hn::LoadU(d, from), s, z, low, high), to);
    memcpy(q + i, to, static_cast<size_t>(n - i) * sizeof(T));
  }
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

void FakeQuantize(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, float* y,
                  int64_t n) {
  Map(x, y, n, [=](V v) {
    const F32 d;
    const V s = hn::Set(d, scale), z = hn::Set(d, static_cast<float>(zero_point));
    const V code = QuantizeV(v, s, z, hn::Set(d, static_cast<float>(lo)), hn::Set(d, static_cast<float>(hi)));
    return hn::Mul(hn::Sub(code, z), s);
  });
}
