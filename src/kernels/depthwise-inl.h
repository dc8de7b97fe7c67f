// Depthwise convolution plane by plane, on a copy of parts of the plane that stays in the first-level cache,
// or of several planes together (across-inl.h).

// A part of a plane with its padding as zeros, split by column modulo the stride: element (row y, column x)
// is at [y * row + x % stride * phase + x / stride], so that every tap of neighbouring outputs is one plain
// load.
struct Band {
  int64_t phase, row;
  const int64_t* taps;  // offset of each kernel column
};

constexpr int64_t kBandFloats = 6144;  // stays in L1
constexpr int64_t kBandTaps = 512;     // widest kernel
constexpr int64_t kBandColumns = 512;  // of outputs at once
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

// Rows [y, y + rows) and the output columns from `x0` of the plane, the padding included.
XSLIM_INLINE void FillBand(const float* in, const DepthwiseShape& s, const Band& band, int64_t y,
                           int64_t rows, int64_t x0, float* to) {
  const int64_t first = x0 * s.stride_w - s.pad_left;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = to + r * band.row;
    if (y + r < 0 || y + r >= s.height) {
      ZeroRow(row, band.row);
      continue;
    }
    const float* from = in + (y + r) * s.width;
    if (s.stride_w == 2) {
      FillPairs(from, s.width, first, band.phase, row);
      continue;
    }
    for (int64_t p = 0; p < s.stride_w; ++p, row += band.phase) {
      // Element i is column first + p + i*stride.
      const int64_t shift = first + p, stride = s.stride_w;
      int64_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
      int64_t end = s.width - shift <= 0 ? 0 : (s.width - shift - 1) / stride + 1;
      if (begin > band.phase) begin = band.phase;
      if (end > band.phase) end = band.phase;
      if (end < begin) end = begin;
      ZeroRow(row, band.phase);
      if (stride == 1) {
        CopyRow(from + shift + begin, row + begin, end - begin);
      } else {
        for (int64_t i = begin; i < end; ++i) row[i] = from[shift + i * stride];
      }
    }
  }
}

// Chains of kGroup vectors of outputs (4 or 8); in[i] is where vector i's first tap is. kWidth: the kernel's,
// 0: any.
template <int kGroup, int kWidth>
XSLIM_INLINE void BandGroup(const float* const* in, const DepthwiseShape& s, const Band& band,
                            const float* weight, float bias, const Epilogue& epilogue, float* const* out) {
  static_assert(kGroup == 4 || kGroup == 8);
  const F32 d;
  V a0 = hn::Set(d, bias), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
  const int64_t width = kWidth > 0 ? kWidth : s.kernel_w;
  const float *p0 = in[0], *p1 = in[1], *p2 = in[2], *p3 = in[3];
  const float *p4 = in[kGroup - 4], *p5 = in[kGroup - 3], *p6 = in[kGroup - 2], *p7 = in[kGroup - 1];
  int64_t offset = 0;
#define XSLIM_TAP_(column)                           \
  {                                                  \
    const V w = hn::Set(d, weight[column]);          \
    const int64_t at = offset + band.taps[column];   \
    a0 = hn::MulAdd(hn::LoadU(d, p0 + at), w, a0);   \
    a1 = hn::MulAdd(hn::LoadU(d, p1 + at), w, a1);   \
    a2 = hn::MulAdd(hn::LoadU(d, p2 + at), w, a2);   \
    a3 = hn::MulAdd(hn::LoadU(d, p3 + at), w, a3);   \
    if constexpr (kGroup == 8) {                     \
      a4 = hn::MulAdd(hn::LoadU(d, p4 + at), w, a4); \
      a5 = hn::MulAdd(hn::LoadU(d, p5 + at), w, a5); \
      a6 = hn::MulAdd(hn::LoadU(d, p6 + at), w, a6); \
      a7 = hn::MulAdd(hn::LoadU(d, p7 + at), w, a7); \
    }                                                \
  }
  for (int64_t ky = 0; ky < s.kernel_h; ++ky, offset += s.dilation_h * band.row, weight += width) {
    if constexpr (kWidth == 3 || kWidth == 5) {
      XSLIM_TAP_(0) XSLIM_TAP_(1) XSLIM_TAP_(2) if constexpr (kWidth == 5) { XSLIM_TAP_(3) XSLIM_TAP_(4) }
    } else {
      for (int64_t kx = 0; kx < width; ++kx) XSLIM_TAP_(kx)
    }
  }
#undef XSLIM_TAP_
  const V lo = hn::Set(d, epilogue.lo), hi = hn::Set(d, epilogue.hi);
  const bool clamp = epilogue.activation == kClamp;
#define XSLIM_PUT_(i) hn::StoreU(clamp ? ClampV(a##i, lo, hi) : a##i, d, out[i]);
  XSLIM_PUT_(0) XSLIM_PUT_(1) XSLIM_PUT_(2) XSLIM_PUT_(3) if constexpr (kGroup == 8) {
    XSLIM_PUT_(4) XSLIM_PUT_(5) XSLIM_PUT_(6) XSLIM_PUT_(7)
  }
#undef XSLIM_PUT_
}

// `rows` by `columns` outputs from a filled band; out has out_w columns and ends at `end`.
template <int kWidth>
void RunBand(const float* filled, const DepthwiseShape& s, const Band& band, const float* weight, float bias,
             const Epilogue& epilogue, float* out, int64_t rows, int64_t columns, int64_t out_w,
             const float* end) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const float* in[8];
  float* to[8];
  float* final_place[8];
  int64_t length[8];
  float spill[8 * kBandVector];
  int64_t count = 0;
  const auto flush = [&] {
    const int64_t group = count > 4 ? 8 : 4;
    for (int64_t i = count; i < group; ++i) {  // computed in vain
      in[i] = in[0];
      to[i] = spill + i * kBandVector;
      length[i] = 0;
    }
    if (group == 8) {
      BandGroup<8, kWidth>(in, s, band, weight, bias, epilogue, to);
    } else {
      BandGroup<4, kWidth>(in, s, band, weight, bias, epilogue, to);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (length[i] > 0) memcpy(final_place[i], to[i], static_cast<size_t>(length[i]) * sizeof(float));
    }
    count = 0;
  };
  for (int64_t y = 0; y < rows; ++y) {
    const float* row = filled + y * s.stride_h * band.row;
    for (int64_t x = 0; x < columns; x += lanes) {
      in[count] = row + x;
      final_place[count] = to[count] = out + y * out_w + x;
      length[count] = 0;
      // A vector may run over into outputs that are still to come, but not over the plane's end.
      const bool whole = x + lanes <= columns || (columns == out_w && to[count] + lanes <= end);
      if (!whole) {
        length[count] = columns - x;
        to[count] = spill + count * kBandVector;
      }
      if (++count == 8) flush();
    }
  }
  if (count > 0) flush();
}

// One output by itself: kernels too wide for a band.
XSLIM_INLINE float SingleOutput(const float* in, const DepthwiseShape& s, const float* weight, int64_t top,
                                int64_t left, float value) {
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t y = top + ky * s.dilation_h;
    if (y < 0 || y >= s.height) continue;
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t x = left + kx * s.dilation_w;
      if (x < 0 || x >= s.width) continue;
      value = __builtin_fmaf(in[y * s.width + x], weight[ky * s.kernel_w + kx], value);
    }
  }
  return value;
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

void Clamp(const float* x, float lo, float hi, float* y, int64_t n);

void DepthwisePlane(const float* in, const DepthwiseShape& s, const float* weight, float bias, float* out,
                    const Epilogue& epilogue) {
  const auto [height, width, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top,
              pad_left, out_h, out_w] = s;
  if (kernel_h == kernel_w && stride_h == stride_w && dilation_h == 1 && dilation_w == 1) {
    const auto run = kernel_w == 3 && stride_w == 1   ? SquarePlane<3, 1>
                     : kernel_w == 3 && stride_w == 2 ? SquarePlane<3, 2>
                     : kernel_w == 5 && stride_w == 1 ? SquarePlane<5, 1>
                     : kernel_w == 5 && stride_w == 2 ? SquarePlane<5, 2>
                                                      : nullptr;
    if (run != nullptr) return run(in, s, weight, bias, out, epilogue);
  }
  // The largest band that fits; the choice is the same for every width of vectors.
  const int64_t reach_h = (kernel_h - 1) * dilation_h + 1, reach_w = (kernel_w - 1) * dilation_w;
  int64_t columns = out_w < kBandColumns ? out_w : kBandColumns;
  Band band{};
  const auto measure = [&] {
    band.phase = (columns + kBandVector - 1) / kBandVector * kBandVector + reach_w / stride_w;
    band.row = band.phase * stride_w;
  };
  const auto fits = [&] { return band.row <= kBandFloats / reach_h; };  // their product may overflow
  measure();
  while (!fits() && columns > kBandVector) {
    columns = (columns / 2 + kBandVector - 1) / kBandVector * kBandVector;
    measure();
  }
  if (kernel_w > kBandTaps || !fits()) {
    for (int64_t oy = 0; oy < out_h; ++oy, out += out_w) {
      for (int64_t x = 0; x < out_w; ++x) {
        out[x] = SingleOutput(in, s, weight, oy * stride_h - pad_top, x * stride_w - pad_left, bias);
      }
      if (epilogue.activation == kClamp) Clamp(out, epilogue.lo, epilogue.hi, out, out_w);
    }
    return;
  }
  int64_t taps[kBandTaps];
  for (int64_t kx = 0; kx < kernel_w; ++kx) {
    taps[kx] = kx * dilation_w % stride_w * band.phase + kx * dilation_w / stride_w;
  }
  band.taps = taps;
  int64_t rows = (kBandFloats / band.row - reach_h) / stride_h + 1;
  if (rows > out_h) rows = out_h;
  float filled[kBandFloats];
  const float* end = out + out_h * out_w;
  for (int64_t y = 0; y < out_h; y += rows) {
    const int64_t count = out_h - y < rows ? out_h - y : rows;
    for (int64_t x = 0; x < out_w; x += columns) {
      const int64_t wide = out_w - x < columns ? out_w - x : columns;
      FillBand(in, s, band, y * stride_h - pad_top, (count - 1) * stride_h + reach_h, x, filled);
      const auto run = kernel_w == 3 ? RunBand<3> : kernel_w == 5 ? RunBand<5> : RunBand<0>;
      run(filled, s, band, weight, bias, epilogue, out + y * out_w + x, count, wide, out_w, end);
    }
  }
}

void Depthwise(int64_t planes, const float* in, const DepthwiseShape& s, const float* weight,
               const float* bias, float* out, Epilogue epilogue) {
  const int64_t pixels_in = s.height * s.width, pixels_out = s.out_h * s.out_w,
                taps = s.kernel_h * s.kernel_w;
#ifdef XSLIM_QUADS
  // What can go across never goes output by output, which leaves out taps in the padding instead of
  // multiplying zeros: where rows have 4 outputs, 16 columns take less than 16/3 times as many floats.
  static_assert(kAcrossFloats / kAcrossFewest * 16 / 3 <= kBandFloats);
  if (AcrossPays(planes, s)) {
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
    for (int64_t c = 0; c < planes; c += lanes) {  // the last vector's channels may be computed twice
      const int64_t at = c + lanes <= planes ? c : planes - lanes;
      AcrossPlanes(in + at * pixels_in, s, weight + at * taps, bias != nullptr ? bias + at : nullptr,
                   out + at * pixels_out, epilogue);
    }
    return;
  }
#endif
  for (int64_t c = 0; c < planes; ++c) {
    DepthwisePlane(in + c * pixels_in, s, weight + c * taps, bias != nullptr ? bias[c] : 0.0f,
                   out + c * pixels_out, epilogue);
  }
}
