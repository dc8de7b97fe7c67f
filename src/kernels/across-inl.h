// Depthwise convolution of small planes: vectors run across as many channels as they have lanes, as rows of
// seven or fourteen columns would leave most of a vector idle. Blocks of 4 columns by the channels are
// transposed on the way in and on the way out.

#ifdef XSLIM_QUADS  // 128-bit blocks of a vector, whose length is known

constexpr int64_t kAcrossFloats = 8192;  // of inputs with their padding
constexpr int64_t kAcrossFewest = 8;     // lanes, of all instruction sets that have this
constexpr int64_t kAcrossTaps = 49;
constexpr int64_t kAcrossColumns = 28;  // of outputs: of wider planes, vectors along the rows are quicker
constexpr int64_t kQuad = 4;            // columns of a block that is transposed
constexpr int64_t kMostAtOnce = 14;     // outputs of a row

// Four columns of a quarter of the vector's channels each: 128-bit block i is of channel first + 4 * i.
XSLIM_INLINE V LoadQuads(const float* first, int64_t plane) {
  const hn::Full128<float> quad;
  const hn::Full256<float> pair;
  const int64_t next = kQuad * plane;
  const auto low = hn::Combine(pair, hn::LoadU(quad, first + next), hn::LoadU(quad, first));
#if XSLIM_QUADS == 2
  return low;
#else
  first += 2 * next;
  return hn::Combine(F32(), hn::Combine(pair, hn::LoadU(quad, first + next), hn::LoadU(quad, first)), low);
#endif
}

template <typename Pair>
XSLIM_INLINE void StorePair(Pair v, float* first, int64_t next) {
  const hn::Full128<float> quad;
  hn::StoreU(hn::LowerHalf(quad, v), quad, first);
  hn::StoreU(hn::UpperHalf(quad, v), quad, first + next);
}

XSLIM_INLINE void StoreQuads(V v, float* first, int64_t plane) {
  const int64_t next = kQuad * plane;
#if XSLIM_QUADS == 2
  StorePair(v, first, next);
#else
  const hn::Full256<float> pair;
  StorePair(hn::LowerHalf(pair, v), first, next);
  StorePair(hn::UpperHalf(pair, v), first + 2 * next, next);
#endif
}

// Transposes the 4 by 4 numbers in each 128-bit block of four vectors.
XSLIM_INLINE void TransposeQuads(V& a, V& b, V& c, V& d) {
  const F32 f;
  const hn::RepartitionToWide<F32> w;
  const auto ab_low = hn::BitCast(w, hn::InterleaveLower(f, a, b)),
             ab_high = hn::BitCast(w, hn::InterleaveUpper(f, a, b)),
             cd_low = hn::BitCast(w, hn::InterleaveLower(f, c, d)),
             cd_high = hn::BitCast(w, hn::InterleaveUpper(f, c, d));
  a = hn::BitCast(f, hn::InterleaveLower(w, ab_low, cd_low));
  b = hn::BitCast(f, hn::InterleaveUpper(w, ab_low, cd_low));
  c = hn::BitCast(f, hn::InterleaveLower(w, ab_high, cd_high));
  d = hn::BitCast(f, hn::InterleaveUpper(w, ab_high, cd_high));
}

// `n` columns, at least 4, of a row of every channel's plane, as n vectors, and the way back. The last block
// starts where the row ends with it.
XSLIM_INLINE void RowIn(const float* from, int64_t plane, int64_t n, float* to) {
  const F32 f;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(f));
  for (int64_t x = 0; x < n; x += kQuad) {
    const int64_t at = x + kQuad <= n ? x : n - kQuad;
    V a = LoadQuads(from + at, plane), b = LoadQuads(from + plane + at, plane),
      c = LoadQuads(from + 2 * plane + at, plane), d = LoadQuads(from + 3 * plane + at, plane);
    TransposeQuads(a, b, c, d);
    hn::StoreU(a, f, to + at * lanes);
    hn::StoreU(b, f, to + (at + 1) * lanes);
    hn::StoreU(c, f, to + (at + 2) * lanes);
    hn::StoreU(d, f, to + (at + 3) * lanes);
  }
}
XSLIM_INLINE void RowOut(const float* from, int64_t plane, int64_t n, float* to) {
  const F32 f;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(f));
  for (int64_t x = 0; x < n; x += kQuad) {
    const int64_t at = x + kQuad <= n ? x : n - kQuad;
    V a = hn::LoadU(f, from + at * lanes), b = hn::LoadU(f, from + (at + 1) * lanes),
      c = hn::LoadU(f, from + (at + 2) * lanes), d = hn::LoadU(f, from + (at + 3) * lanes);
    TransposeQuads(a, b, c, d);
    StoreQuads(a, to + at, plane);
    StoreQuads(b, to + plane + at, plane);
    StoreQuads(c, to + 2 * plane + at, plane);
    StoreQuads(d, to + 3 * plane + at, plane);
  }
}

struct AcrossTaps {
  const float* weight;  // a vector each
  int64_t count;
  const int64_t* offsets;  // from an output's first tap
};

// kCount neighbouring outputs of a row; their first taps are `step` floats apart.
template <int kCount>
void AcrossGroup(const float* in, int64_t step, const AcrossTaps& taps, V bias, const Epilogue& epilogue,
                 float* out) {
  static_assert(kCount <= kMostAtOnce);
  const F32 f;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(f));
  const float* weight = taps.weight;
#define XSLIM_OUTPUTS_(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)
#define XSLIM_START_(i) V a##i = bias;
  XSLIM_OUTPUTS_(XSLIM_START_)
#undef XSLIM_START_
  for (int64_t tap = 0; tap < taps.count; ++tap, weight += lanes) {
    const V w = hn::LoadU(f, weight);
    const float* from = in + taps.offsets[tap];
#define XSLIM_STEP_(i) \
  if constexpr (kCount > i) a##i = hn::MulAdd(hn::LoadU(f, from + i * step), w, a##i);
    XSLIM_OUTPUTS_(XSLIM_STEP_)
#undef XSLIM_STEP_
  }
  const V lo = hn::Set(f, epilogue.lo), hi = hn::Set(f, epilogue.hi);
  const bool clamp = epilogue.activation == kClamp;
#define XSLIM_PUT_(i) \
  if constexpr (kCount > i) hn::StoreU(clamp ? ClampV(a##i, lo, hi) : a##i, f, out + i * lanes);
  XSLIM_OUTPUTS_(XSLIM_PUT_)
#undef XSLIM_PUT_
}

using AcrossFunction = void (*)(const float*, int64_t, const AcrossTaps&, V, const Epilogue&, float*);
#define XSLIM_ENTRY_(i) AcrossGroup<(i) + 1>,
constexpr AcrossFunction kAcrossGroups[] = {XSLIM_OUTPUTS_(XSLIM_ENTRY_)};
#undef XSLIM_ENTRY_
#undef XSLIM_OUTPUTS_

// Whether AcrossPlanes can, and whether it is quicker than plane by plane.
XSLIM_INLINE bool AcrossPays(int64_t planes, const DepthwiseShape& s) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const int64_t reach_w = (s.kernel_w - 1) * s.dilation_w, reach_h = (s.kernel_h - 1) * s.dilation_h;
  const int64_t wide = (s.out_w - 1) * s.stride_w + reach_w + 1;
  return planes >= lanes && s.width >= kQuad && wide - s.pad_left >= kQuad && s.out_w >= kQuad &&
         s.out_w <= kAcrossColumns && s.kernel_h * s.kernel_w <= kAcrossTaps &&
         wide <= kAcrossFloats / lanes / (reach_h + 1);  // their product may overflow
}

// As many channels as a vector has lanes.
void AcrossPlanes(const float* in, const DepthwiseShape& s, const float* weight, const float* bias,
                  float* out, const Epilogue& epilogue) {
  const F32 f;
  constexpr int64_t most = kMostLanes;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(f)), taps = s.kernel_h * s.kernel_w;
  const int64_t wide = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1, row = wide * lanes;
  const int64_t reach = (s.kernel_h - 1) * s.dilation_h + 1;
  float filled[kAcrossFloats], turned_weight[kAcrossTaps * most], turned_bias[most] = {};
  float results[kAcrossColumns * most];
  int64_t offsets[kAcrossTaps];
  for (int64_t tap = 0; tap < taps; ++tap) {
    offsets[tap] = tap / s.kernel_w * s.dilation_h * row + tap % s.kernel_w * s.dilation_w * lanes;
    for (int64_t c = 0; c < lanes; ++c) turned_weight[tap * lanes + c] = weight[c * taps + tap];
  }
  if (bias != nullptr) memcpy(turned_bias, bias, static_cast<size_t>(lanes) * sizeof(float));
  const V start = hn::LoadU(f, turned_bias);
  const AcrossTaps all{turned_weight, taps, offsets};
  // A row of outputs in groups of about the same size.
  const int64_t groups = (s.out_w + kMostAtOnce - 1) / kMostAtOnce, size = (s.out_w + groups - 1) / groups;
  const AcrossFunction run = kAcrossGroups[size - 1];
  // Columns [left, right) of the padded row are the plane's.
  const int64_t left = s.pad_left, right = left + s.width < wide ? left + s.width : wide;
  const int64_t rows = (kAcrossFloats / row - reach) / s.stride_h + 1;
  for (int64_t y0 = 0; y0 < s.out_h; y0 += rows) {
    const int64_t count = s.out_h - y0 < rows ? s.out_h - y0 : rows;
    for (int64_t t = 0; t < (count - 1) * s.stride_h + reach; ++t) {
      const int64_t y = y0 * s.stride_h - s.pad_top + t;
      float* const to = filled + t * row;
      const bool inside = y >= 0 && y < s.height;
      for (int64_t x = 0; x < (inside ? left : wide); ++x) hn::StoreU(hn::Zero(f), f, to + x * lanes);
      if (!inside) continue;
      RowIn(in + y * s.width, s.height * s.width, right - left, to + left * lanes);
      for (int64_t x = right; x < wide; ++x) hn::StoreU(hn::Zero(f), f, to + x * lanes);
    }
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t x = 0; x < s.out_w; x += size) {
        const int64_t at = x + size <= s.out_w ? x : s.out_w - size;
        run(filled + r * s.stride_h * row + at * s.stride_w * lanes, s.stride_w * lanes, all, start, epilogue,
            results + at * lanes);
      }
      RowOut(results, s.out_h * s.out_w, s.out_w, out + (y0 + r) * s.out_w);
    }
  }
}

#endif  // XSLIM_QUADS
