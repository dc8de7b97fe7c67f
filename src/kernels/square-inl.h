// Depthwise convolution of one channel plane by square kernels, on a copy of parts of it that stays in the
// first-level cache; and rows of such copies.

constexpr int64_t kBandFloats = 6144;  // stays in L1
constexpr int64_t kBandVector = 16;    // the widest vector, of which columns are whole numbers

// memset and memcpy for rows too short for a call; zeros: n is at least a vector.
XSLIM_INLINE void ZeroRow(float* to, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i + lanes <= n; i += lanes) hn::StoreU(hn::Zero(d), d, to + i);
  hn::StoreU(hn::Zero(d), d, to + n - lanes);
}
XSLIM_INLINE void CopyRow(const float* from, float* to, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (n < lanes) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i + lanes <= n; i += lanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  hn::StoreU(hn::LoadU(d, from + n - lanes), d, to + n - lanes);
}

// A row's columns first, first + 2, ... (`phase` of them, at least a vector) and behind them first + 1,
// first + 3, ...; 0 outside.
XSLIM_INLINE void FillPairs(const float* from, int64_t width, int64_t first, int64_t phase, float* row) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float* const odd = row + phase;
  // Pairs [begin, end) lie inside.
  int64_t begin = first < 0 ? (1 - first) / 2 : 0, end = width - first < 0 ? 0 : (width - first) / 2;
  if (begin > phase) begin = phase;
  if (end > phase) end = phase;
  if (end < begin) end = begin;
  for (int64_t i = 0; i < begin; i += lanes) {  // runs over into what follows
    const int64_t at = i + lanes <= phase ? i : phase - lanes;
    hn::StoreU(hn::Zero(d), d, row + at);
    hn::StoreU(hn::Zero(d), d, odd + at);
  }
  for (int64_t i = phase; i > end; i -= lanes) {
    const int64_t at = i >= lanes ? i - lanes : 0;
    hn::StoreU(hn::Zero(d), d, row + at);
    hn::StoreU(hn::Zero(d), d, odd + at);
  }
  from += first;
  if (end - begin < lanes) {
    for (int64_t i = begin; i < end; ++i) {
      row[i] = from[2 * i];
      odd[i] = from[2 * i + 1];
    }
  } else {
    for (int64_t i = begin; i < end; i += lanes) {
      const int64_t at = i + lanes <= end ? i : end - lanes;
      V even_columns, odd_columns;
      hn::LoadInterleaved2(d, from + 2 * at, even_columns, odd_columns);
      hn::StoreU(even_columns, d, row + at);
      hn::StoreU(odd_columns, d, odd + at);
    }
  }
  // One half of a pair at either end.
  const int64_t left = -1 - first, right = width - 1 - first;
  if (left >= 0 && left % 2 == 0 && left / 2 < phase && width > 0) odd[left / 2] = from[left + 1];
  if (right >= 0 && right % 2 == 0 && right / 2 < phase) row[right / 2] = from[right];
}

// Square kernels of 3 or 5, stride 1 or 2, without dilation: kGroupRows by kVectors vectors of outputs at
// once. A row of inputs that is loaded once feeds every output row that it touches.
constexpr int64_t kSquareColumns = 256;  // of inputs in a band, about
constexpr int64_t kSpillRow = 2 * kBandVector;

// The first `direct` rows of outputs go to `out`, the others to `spill`. Input row t of the band is at in + t
// * row; with stride 2, column x of it is at [x % 2 * phase + x / 2].
template <int kKernel, int kStride, int kGroupRows, int kVectors>
void SquareGroup(const float* in, int64_t row, int64_t phase, const float* weight, float bias,
                 const Epilogue& epilogue, float* out, int64_t out_row, int64_t direct, float* spill) {
  static_assert(kGroupRows * kVectors == 8 && (kVectors == 1 || kVectors == 2));
  constexpr int kLast = (kGroupRows - 1) * kStride + kKernel - 1;  // input row
  static_assert(kLast <= 18);
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V a0 = hn::Set(d, bias), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
// Outputs of row r: a##p and, where rows have two vectors, a##q. Kernel rows and columns ascend as t and x
// do.
#define XSLIM_FEED_(t, x, r, p, q)                                                 \
  if constexpr (r < kGroupRows && t >= r * kStride && t - r * kStride < kKernel) { \
    const V w = hn::Set(d, weight[(t - r * kStride) * kKernel + x]);               \
    a##p = hn::MulAdd(v0, w, a##p);                                                \
    if constexpr (kVectors == 2) a##q = hn::MulAdd(v1, w, a##q);                   \
  }
#define XSLIM_COLUMN_(t, x)                                       \
  if constexpr (x < kKernel) {                                    \
    const float* from = line + x % kStride * phase + x / kStride; \
    const V v0 = hn::LoadU(d, from);                              \
    V v1 = v0;                                                    \
    if constexpr (kVectors == 2) {                                \
      v1 = hn::LoadU(d, from + lanes);                            \
      XSLIM_FEED_(t, x, 0, 0, 1)                                  \
      XSLIM_FEED_(t, x, 1, 2, 3)                                  \
      XSLIM_FEED_(t, x, 2, 4, 5)                                  \
      XSLIM_FEED_(t, x, 3, 6, 7)                                  \
    } else {                                                      \
      XSLIM_FEED_(t, x, 0, 0, 0)                                  \
      XSLIM_FEED_(t, x, 1, 1, 1)                                  \
      XSLIM_FEED_(t, x, 2, 2, 2)                                  \
      XSLIM_FEED_(t, x, 3, 3, 3)                                  \
      XSLIM_FEED_(t, x, 4, 4, 4)                                  \
      XSLIM_FEED_(t, x, 5, 5, 5)                                  \
      XSLIM_FEED_(t, x, 6, 6, 6)                                  \
      XSLIM_FEED_(t, x, 7, 7, 7)                                  \
    }                                                             \
  }
#define XSLIM_LINE_(t)                                                                                  \
  if constexpr (t <= kLast) {                                                                           \
    const float* line = in + t * row;                                                                   \
    XSLIM_COLUMN_(t, 0) XSLIM_COLUMN_(t, 1) XSLIM_COLUMN_(t, 2) XSLIM_COLUMN_(t, 3) XSLIM_COLUMN_(t, 4) \
  }
  // clang-format moves these lines each time that it runs.
  // clang-format off
  XSLIM_LINE_(0) XSLIM_LINE_(1) XSLIM_LINE_(2) XSLIM_LINE_(3) XSLIM_LINE_(4) XSLIM_LINE_(5) XSLIM_LINE_(6)
  XSLIM_LINE_(7) XSLIM_LINE_(8) XSLIM_LINE_(9) XSLIM_LINE_(10) XSLIM_LINE_(11) XSLIM_LINE_(12)
  XSLIM_LINE_(13) XSLIM_LINE_(14) XSLIM_LINE_(15) XSLIM_LINE_(16) XSLIM_LINE_(17) XSLIM_LINE_(18);
  // clang-format on
#undef XSLIM_LINE_
#undef XSLIM_COLUMN_
#undef XSLIM_FEED_
  if (epilogue.activation == kClamp) {
    const V lo = hn::Set(d, epilogue.lo), hi = hn::Set(d, epilogue.hi);
#define XSLIM_CLAMP_(i) a##i = ClampV(a##i, lo, hi);
    XSLIM_CLAMP_(0)
    XSLIM_CLAMP_(1)
    XSLIM_CLAMP_(2) XSLIM_CLAMP_(3) XSLIM_CLAMP_(4) XSLIM_CLAMP_(5) XSLIM_CLAMP_(6) XSLIM_CLAMP_(7)
#undef XSLIM_CLAMP_
  }
#define XSLIM_PUT_(i)                                                                                    \
  hn::StoreU(a##i, d,                                                                                    \
             (i / kVectors < direct ? out + i / kVectors * out_row : spill + i / kVectors * kSpillRow) + \
                 i % kVectors * lanes);
  XSLIM_PUT_(0)
  XSLIM_PUT_(1)
  XSLIM_PUT_(2)
  XSLIM_PUT_(3)
  XSLIM_PUT_(4)
  XSLIM_PUT_(5)
  XSLIM_PUT_(6)
  XSLIM_PUT_(7)
#undef XSLIM_PUT_
}

// `rows` by `columns` outputs: a strip of at most kVectors vectors. A row of outputs may run over into the
// next one, which is stored later, only where the strip is as wide as the plane: behind a narrower one lie
// columns of other strips. Nothing is stored from `end` on.
template <int kKernel, int kStride, int kVectors>
void SquareStrip(const float* in, int64_t row, int64_t phase, const float* weight, float bias,
                 const Epilogue& epilogue, float* out, int64_t rows, int64_t columns, int64_t out_w,
                 const float* end) {
  constexpr int kGroupRows = 8 / kVectors;
  const int64_t width = kVectors * static_cast<int64_t>(hn::Lanes(F32()));
  for (int64_t y = 0; y < rows;
       y += kGroupRows, in += kGroupRows * kStride * row, out += kGroupRows * out_w) {
    const int64_t count = rows - y < kGroupRows ? rows - y : kGroupRows;
    float spill[kGroupRows * kSpillRow];
    int64_t direct = columns < width && columns != out_w ? 0 : count;
    while (direct > 0 && out + (direct - 1) * out_w + width > end) --direct;
    SquareGroup<kKernel, kStride, kGroupRows, kVectors>(in, row, phase, weight, bias, epilogue, out, out_w,
                                                        direct, spill);
    for (int64_t r = direct; r < count; ++r) CopyFew(spill + r * kSpillRow, out + r * out_w, columns);
  }
}

// An input row's columns from `first` on, `n` of them, at least a vector; 0 outside.
XSLIM_INLINE void FillLine(const float* from, int64_t width, int64_t first, int64_t n, float* to) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t begin = first < 0 ? -first : 0, end = width - first < n ? width - first : n;
  if (begin > n) begin = n;
  if (end < begin) end = begin;
  for (int64_t i = 0; i < begin; i += lanes) {  // runs over into what follows
    hn::StoreU(hn::Zero(d), d, to + (i + lanes <= n ? i : n - lanes));
  }
  for (int64_t i = n; i > end; i -= lanes) hn::StoreU(hn::Zero(d), d, to + (i >= lanes ? i - lanes : 0));
  if (end - begin < lanes) {
    CopyFew(from + first + begin, to + begin, end - begin);
  } else {
    CopyRow(from + first + begin, to + begin, end - begin);
  }
}

template <int kKernel, int kStride>
void SquarePlane(const float* in, const DepthwiseShape& s, const float* weight, float bias, float* out,
                 const Epilogue& epilogue) {
  const int64_t out_h = s.out_h, out_w = s.out_w;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const int64_t blocks = (out_w * kStride + kSquareColumns - 1) / kSquareColumns;
  const int64_t columns = (out_w + blocks - 1) / blocks;
  // A strip reads whole vectors.
  const int64_t least = columns <= lanes ? lanes : 2 * lanes;
  const int64_t phase = (columns > least ? columns : least) + (kKernel - 1) / kStride, row = phase * kStride;
  constexpr int64_t kGroup = 8;  // rows of outputs: of one group, or two
  int64_t rows = ((kBandFloats / row - kKernel) / kStride + 1) / kGroup * kGroup;
  const int64_t all = (out_h + kGroup - 1) / kGroup * kGroup;
  if (rows > all) rows = all;
  float filled[kBandFloats];
  const float* end = out + out_h * out_w;
  for (int64_t y0 = 0; y0 < out_h; y0 += rows) {
    const int64_t count = out_h - y0 < rows ? out_h - y0 : rows;
    const int64_t lines = ((count + kGroup - 1) / kGroup * kGroup - 1) * kStride + kKernel;
    for (int64_t x0 = 0; x0 < out_w; x0 += columns) {
      const int64_t wide = out_w - x0 < columns ? out_w - x0 : columns;
      for (int64_t t = 0; t < lines; ++t) {
        const int64_t y = y0 * kStride - s.pad_top + t;
        float* to = filled + t * row;
        if (y < 0 || y >= s.height) {
          ZeroRow(to, row);
        } else if (kStride == 1) {
          FillLine(in + y * s.width, s.width, x0 - s.pad_left, row, to);
        } else {
          FillPairs(in + y * s.width, s.width, x0 * kStride - s.pad_left, phase, to);
        }
      }
      for (int64_t x = 0; x < wide;) {
        // The last strip ends where the plane does, even if columns are computed twice.
        const int64_t rest = wide - x;
        float* const to = out + y0 * out_w + x0;
        if (rest <= lanes) {
          const int64_t at = wide < lanes ? 0 : wide - lanes;
          SquareStrip<kKernel, kStride, 1>(filled + at, row, phase, weight, bias, epilogue, to + at, count,
                                           wide < lanes ? wide : lanes, out_w, end);
          break;
        }
        const int64_t at = rest >= 2 * lanes ? x : wide < 2 * lanes ? 0 : wide - 2 * lanes;
        SquareStrip<kKernel, kStride, 2>(filled + at, row, phase, weight, bias, epilogue, to + at, count,
                                         wide < 2 * lanes ? wide : 2 * lanes, out_w, end);
        x = at + 2 * lanes;
      }
    }
  }
}
