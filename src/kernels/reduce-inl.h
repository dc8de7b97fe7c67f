// Reductions with 16 virtual lanes, rows built on them, and statistics.

constexpr int64_t kVirtualLanes = 16;

// Folds the whole blocks of 16 into acc[16], then the tail one element at a time. `f` on vectors and `g` on
// floats are the same operation (accumulator, element).
template <typename F, typename G>
XSLIM_INLINE void FoldLanes(const float* x, int64_t n, float* acc, const F& f, const G& g) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = n / kVirtualLanes * kVirtualLanes;
  int64_t lane = 0;
  for (; lane + 2 * lanes <= kVirtualLanes; lane += 2 * lanes) {
    V a = hn::LoadU(d, acc + lane), b = hn::LoadU(d, acc + lane + lanes);
    for (int64_t i = lane; i < whole; i += kVirtualLanes) {
      a = f(a, hn::LoadU(d, x + i));
      b = f(b, hn::LoadU(d, x + i + lanes));
    }
    hn::StoreU(a, d, acc + lane);
    hn::StoreU(b, d, acc + lane + lanes);
  }
  if (lane < kVirtualLanes) {  // 16 real lanes
    V a = hn::LoadU(d, acc);
    for (int64_t i = 0; i < whole; i += kVirtualLanes) a = f(a, hn::LoadU(d, x + i));
    hn::StoreU(a, d, acc);
  }
  for (int64_t i = whole; i < n; ++i) acc[i - whole] = g(acc[i - whole], x[i]);
}

template <typename G>
XSLIM_INLINE float JoinLanes(float* acc, const G& g) {
  for (int64_t half = kVirtualLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) acc[i] = g(acc[i], acc[i + half]);
  }
  return acc[0];
}

// Adding 0 to an extreme turns -0 into +0: which zero comes first must not matter.
XSLIM_INLINE float AddS(float a, float b) { return a + b; }
XSLIM_INLINE float MaxS(float a, float b) { return a > b || a != a ? a : b; }
XSLIM_INLINE float MinS(float a, float b) { return a < b || a != a ? a : b; }

float Sum(const float* x, int64_t n) {
  float acc[kVirtualLanes] = {};
  FoldLanes(
      x, n, acc, [](V a, V v) { return hn::Add(a, v); }, AddS);
  return JoinLanes(acc, AddS);
}

float SumOfSquares(const float* x, float mean, int64_t n) {
  float acc[kVirtualLanes] = {};
  FoldLanes(
      x, n, acc,
      [mean](V a, V v) {
        const V difference = hn::Sub(v, hn::Set(F32(), mean));
        return hn::MulAdd(difference, difference, a);
      },
      [mean](float a, float v) {
        const float difference = v - mean;
        return __builtin_fmaf(difference, difference, a);
      });
  return JoinLanes(acc, AddS);
}

float Max(const float* x, int64_t n) {
  float acc[kVirtualLanes];
  for (float& a : acc) a = -__builtin_inff();
  FoldLanes(
      x, n, acc, [](V a, V v) { return MaxV(a, v); }, MaxS);
  return JoinLanes(acc, MaxS) + 0.0f;
}

float Min(const float* x, int64_t n) {
  float acc[kVirtualLanes];
  for (float& a : acc) a = __builtin_inff();
  FoldLanes(
      x, n, acc, [](V a, V v) { return MinV(a, v); }, MinS);
  return JoinLanes(acc, MinS) + 0.0f;
}

void Softmax(const float* x, float* y, int64_t n) {
  const float top = Max(x, n);
  Map(x, y, n, [top](V v) { return ExpV(hn::Sub(v, hn::Set(F32(), top))); });
  const float sum = Sum(y, n);
  Map(y, y, n, [sum](V v) { return hn::Div(v, hn::Set(F32(), sum)); });
}

void LayerNorm(const float* x, const float* gamma, const float* beta, float epsilon, float* y, int64_t n) {
  const float count = static_cast<float>(n);
  const float mean = Sum(x, n) / count;
  const float variance = SumOfSquares(x, mean, n) / count;
  const float deviation = __builtin_sqrtf(variance + epsilon);
  Map2(x, gamma, y, n, [mean, deviation](V v, V g) {
    const F32 d;
    return hn::Mul(hn::Div(hn::Sub(v, hn::Set(d, mean)), hn::Set(d, deviation)), g);
  });
  if (beta != nullptr) Map2(y, beta, y, n, [](V v, V b) { return hn::Add(v, b); });
}

void MinMaxOf(const float* x, int64_t n, MinMax* result) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inf = __builtin_inff();
  const V largest = hn::Set(d, 3.40282347e+38f);
  float low[kVirtualLanes], high[kVirtualLanes];
  for (int64_t i = 0; i < kVirtualLanes; ++i) low[i] = inf, high[i] = -inf;
  *result = MinMax{inf, -inf, 0, 0, 0, 0};
  const auto one = [&](float v, int64_t lane) {
    if (v != v) {
      ++result->nan;
    } else if (v == inf) {
      ++result->pos_inf;
    } else if (v == -inf) {
      ++result->neg_inf;
    } else {
      ++result->finite;
      if (v < low[lane]) low[lane] = v;
      if (v > high[lane]) high[lane] = v;
    }
  };
  const int64_t whole = n / kVirtualLanes * kVirtualLanes;
  for (int64_t lane = 0; lane < kVirtualLanes; lane += lanes) {
    V a = hn::LoadU(d, low + lane), b = hn::LoadU(d, high + lane);
    for (int64_t i = lane; i < whole; i += kVirtualLanes) {
      const V v = hn::LoadU(d, x + i);
      if (hn::AllTrue(d, hn::Le(hn::Abs(v), largest))) {
        a = hn::IfThenElse(hn::Lt(v, a), v, a);
        b = hn::IfThenElse(hn::Gt(v, b), v, b);
        result->finite += lanes;
      } else {
        hn::StoreU(a, d, low + lane);
        hn::StoreU(b, d, high + lane);
        for (int64_t j = 0; j < lanes; ++j) one(x[i + j], lane + j);
        a = hn::LoadU(d, low + lane);
        b = hn::LoadU(d, high + lane);
      }
    }
    hn::StoreU(a, d, low + lane);
    hn::StoreU(b, d, high + lane);
  }
  for (int64_t i = whole; i < n; ++i) one(x[i], i - whole);
  result->min = JoinLanes(low, MinS) + 0.0f;
  result->max = JoinLanes(high, MaxS) + 0.0f;
}
