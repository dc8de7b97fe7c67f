// Elementwise kernels. A tail shorter than a vector goes through a buffer, so every element sees the vector
// code. A wrapper that shortens its own loads and stores defines XSLIM_OWN_MAP and the two loops.

#ifndef XSLIM_OWN_MAP
template <typename F>
XSLIM_INLINE void Map(const float* x, float* y, int64_t n, const F& f) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  if (i < n) {
    float buffer[16] = {};
    const size_t bytes = static_cast<size_t>(n - i) * sizeof(float);
    memcpy(buffer, x + i, bytes);
    hn::StoreU(f(hn::LoadU(d, buffer)), d, buffer);
    memcpy(y + i, buffer, bytes);
  }
}

template <typename F>
XSLIM_INLINE void Map2(const float* a, const float* b, float* y, int64_t n, const F& f) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  if (i < n) {
    float left[16] = {}, right[16] = {};
    const size_t bytes = static_cast<size_t>(n - i) * sizeof(float);
    memcpy(left, a + i, bytes);
    memcpy(right, b + i, bytes);
    hn::StoreU(f(hn::LoadU(d, left), hn::LoadU(d, right)), d, left);
    memcpy(y + i, left, bytes);
  }
}
#endif  // XSLIM_OWN_MAP

void Unary(UnaryOp op, const float* x, float* y, int64_t n) {
  const F32 d;
  switch (op) {
    case kExp:
      return Map(x, y, n, [](V v) { return ExpV(v); });
    case kLog:
      return Map(x, y, n, [](V v) { return LogV(v); });
    case kSigmoid:
      return Map(x, y, n, [](V v) { return SigmoidV(v); });
    case kTanh:
      return Map(x, y, n, [](V v) { return TanhV(v); });
    case kErf:
      return Map(x, y, n, [](V v) { return ErfV(v); });
    case kGelu:  // x/2 (1 + erf(x/sqrt(2)))
      return Map(x, y, n, [d](V v) {
        const V e = ErfV(hn::Mul(v, hn::Set(d, 0.707106781186547524f)));
        return hn::Mul(hn::Mul(v, hn::Set(d, 0.5f)), hn::Add(e, hn::Set(d, 1.0f)));
      });
    case kGeluTanh:  // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
      return Map(x, y, n, [d](V v) {
        const V cube = hn::Mul(hn::Mul(v, v), v);
        const V inner =
            hn::Mul(hn::MulAdd(cube, hn::Set(d, 0.044715f), v), hn::Set(d, 0.797884560802865356f));
        return hn::Mul(hn::Mul(v, hn::Set(d, 0.5f)), hn::Add(TanhV(inner), hn::Set(d, 1.0f)));
      });
    case kSilu:
      return Map(x, y, n, [](V v) { return hn::Mul(v, SigmoidV(v)); });
    case kHardSwish:  // x clamp(x/6 + 1/2, 0, 1)
      return Map(x, y, n, [d](V v) {
        const V gate = hn::MulAdd(v, hn::Set(d, 1.0f / 6.0f), hn::Set(d, 0.5f));
        return hn::Mul(v, ClampV(gate, hn::Zero(d), hn::Set(d, 1.0f)));
      });
    case kMish:
      return Map(x, y, n, [](V v) { return MishV(v); });
    case kSoftplus:
      return Map(x, y, n, [](V v) { return SoftplusV(v); });
    case kSqrt:
      return Map(x, y, n, [](V v) { return hn::Sqrt(v); });
    case kReciprocal:
      return Map(x, y, n, [d](V v) { return hn::Div(hn::Set(d, 1.0f), v); });
    case kAbs:
      return Map(x, y, n, [](V v) { return hn::Abs(v); });
    case kNeg:
      return Map(x, y, n, [](V v) { return hn::Neg(v); });
    case kFloor:
      return Map(x, y, n, [](V v) { return hn::Floor(v); });
    case kCeil:
      return Map(x, y, n, [](V v) { return hn::Ceil(v); });
    case kRound:
      return Map(x, y, n, [](V v) { return hn::Round(v); });
    case kSin:
      return Map(x, y, n, [](V v) { return SinCosV(v, 0.0f); });
    case kCos:
      return Map(x, y, n, [](V v) { return SinCosV(v, 1.0f); });
  }
}

XSLIM_INLINE V MinV(V a, V b) { return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b); }
XSLIM_INLINE V MaxV(V a, V b) { return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b); }

// Calls run(f) with the operator's function on two vectors.
template <typename Run>
XSLIM_INLINE void WithBinary(BinaryOp op, const Run& run) {
  switch (op) {
    case kAdd:
      return run([](V a, V b) { return hn::Add(a, b); });
    case kSub:
      return run([](V a, V b) { return hn::Sub(a, b); });
    case kMul:
      return run([](V a, V b) { return hn::Mul(a, b); });
    case kDiv:
      return run([](V a, V b) { return hn::Div(a, b); });
    case kMin:
      return run([](V a, V b) { return MinV(a, b); });
    case kMax:
      return run([](V a, V b) { return MaxV(a, b); });
  }
}

void Binary(BinaryOp op, const float* a, const float* b, float* y, int64_t n) {
  WithBinary(op, [&](const auto& f) { Map2(a, b, y, n, f); });
}

void BinaryScalar(BinaryOp op, const float* a, float b, float* y, int64_t n) {
  WithBinary(op, [&](const auto& f) { Map(a, y, n, [&](V v) { return f(v, hn::Set(F32(), b)); }); });
}

void ScalarBinary(BinaryOp op, float a, const float* b, float* y, int64_t n) {
  WithBinary(op, [&](const auto& f) { Map(b, y, n, [&](V v) { return f(hn::Set(F32(), a), v); }); });
}

void Clamp(const float* x, float lo, float hi, float* y, int64_t n) {
  Map(x, y, n, [lo, hi](V v) { return ClampV(v, hn::Set(F32(), lo), hn::Set(F32(), hi)); });
}

void HardSigmoid(const float* x, float alpha, float beta, float* y, int64_t n) {
  Map(x, y, n, [alpha, beta](V v) {
    const F32 d;
    return ClampV(hn::MulAdd(v, hn::Set(d, alpha), hn::Set(d, beta)), hn::Zero(d), hn::Set(d, 1.0f));
  });
}

void LeakyRelu(const float* x, float slope, float* y, int64_t n) {
  Map(x, y, n, [slope](V v) {
    const F32 d;
    return hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Mul(v, hn::Set(d, slope)), v);
  });
}

void ScaleShift(const float* x, float scale, float shift, float* y, int64_t n) {
  Map(x, y, n, [scale, shift](V v) { return hn::MulAdd(v, hn::Set(F32(), scale), hn::Set(F32(), shift)); });
}
