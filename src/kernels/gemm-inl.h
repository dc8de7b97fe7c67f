// Matrix product on packed panels and the depthwise convolution. A tile's accumulators are separate variables
// (not an array: vectors of unknown length cannot be in one); rows past R vanish at compile time.

constexpr int64_t kDepthBlock = 256;  // of k: a B panel's slice stays in L1
constexpr int64_t kRowBlock = 192;    // of m: an A block's slice stays in L2

enum class Start { kZero, kRowBias, kColumnBias, kAccumulate };

#define XSLIM_ROWS_(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

template <int R>
void Tile(int64_t k, const float* a, const float* b, float* c, int64_t ldc, Start start, const float* bias,
          const Epilogue* epilogue) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  static_assert(R <= 14);
#define XSLIM_DECLARE_(i) V p##i = hn::Zero(d), q##i = hn::Zero(d);
  XSLIM_ROWS_(XSLIM_DECLARE_)
#undef XSLIM_DECLARE_
#define XSLIM_START_(i)                         \
  if constexpr (R > i) {                        \
    if (start == Start::kAccumulate) {          \
      p##i = hn::LoadU(d, c + i * ldc);         \
      q##i = hn::LoadU(d, c + i * ldc + lanes); \
    } else if (start == Start::kRowBias) {      \
      p##i = q##i = hn::Set(d, bias[i]);        \
    } else if (start == Start::kColumnBias) {   \
      p##i = hn::LoadU(d, bias);                \
      q##i = hn::LoadU(d, bias + lanes);        \
    }                                           \
  }
  XSLIM_ROWS_(XSLIM_START_)
#undef XSLIM_START_
  for (int64_t depth = 0; depth < k; ++depth) {
    const V b0 = hn::LoadU(d, b);
    const V b1 = hn::LoadU(d, b + lanes);
#define XSLIM_STEP_(i)              \
  if constexpr (R > i) {            \
    const V s = hn::Set(d, a[i]);   \
    p##i = hn::MulAdd(s, b0, p##i); \
    q##i = hn::MulAdd(s, b1, q##i); \
  }
    XSLIM_ROWS_(XSLIM_STEP_)
#undef XSLIM_STEP_
    a += XSLIM_MR;
    b += 2 * lanes;
  }
  if (epilogue != nullptr && epilogue->activation == kClamp) {
    const V lo = hn::Set(d, epilogue->lo), hi = hn::Set(d, epilogue->hi);
#define XSLIM_CLAMP_(i)          \
  if constexpr (R > i) {         \
    p##i = ClampV(p##i, lo, hi); \
    q##i = ClampV(q##i, lo, hi); \
  }
    XSLIM_ROWS_(XSLIM_CLAMP_)
#undef XSLIM_CLAMP_
  }
#define XSLIM_STORE_(i)                       \
  if constexpr (R > i) {                      \
    hn::StoreU(p##i, d, c + i * ldc);         \
    hn::StoreU(q##i, d, c + i * ldc + lanes); \
  }
  XSLIM_ROWS_(XSLIM_STORE_)
#undef XSLIM_STORE_
}

using TileFunction = void (*)(int64_t, const float*, const float*, float*, int64_t, Start, const float*,
                              const Epilogue*);
#define XSLIM_ENTRY_(i) Tile<((i) < XSLIM_MR ? (i) + 1 : XSLIM_MR)>,
constexpr TileFunction kTiles[] = {XSLIM_ROWS_(XSLIM_ENTRY_)};
#undef XSLIM_ENTRY_
#undef XSLIM_ROWS_

void Gemm(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, int64_t ldc,
          const float* bias_m, const float* bias_n, bool accumulate, Epilogue epilogue) {
  const int64_t nr = 2 * static_cast<int64_t>(hn::Lanes(F32()));
  constexpr int64_t mr = XSLIM_MR;
  constexpr int64_t row_block = kRowBlock / mr * mr;
  float edge[mr * 32], edge_bias[32];
  for (int64_t k0 = 0; k0 == 0 || k0 < k; k0 += kDepthBlock) {
    const int64_t depth = k - k0 < kDepthBlock ? k - k0 : kDepthBlock;
    const bool first = k0 == 0, last = k0 + depth >= k;
    const Start start = !first              ? Start::kAccumulate
                        : bias_m != nullptr ? Start::kRowBias
                        : bias_n != nullptr ? Start::kColumnBias
                        : accumulate        ? Start::kAccumulate
                                            : Start::kZero;
    const Epilogue* end = last ? &epilogue : nullptr;
    for (int64_t m0 = 0; m0 < m; m0 += row_block) {
      const int64_t m1 = m0 + row_block < m ? m0 + row_block : m;
      for (int64_t j = 0; j < n; j += nr) {
        const float* panel_b = b + j * k + k0 * nr;
        const int64_t columns = n - j < nr ? n - j : nr;
        const float* column_bias = bias_n != nullptr ? bias_n + j : nullptr;
        if (start == Start::kColumnBias && columns < nr) {
          for (int64_t x = 0; x < nr; ++x) edge_bias[x] = x < columns ? column_bias[x] : 0.0f;
          column_bias = edge_bias;
        }
        for (int64_t i = m0; i < m1; i += mr) {
          const int64_t rows = m1 - i < mr ? m1 - i : mr;
          const float* panel_a = a + i * k + k0 * mr;
          const float* bias = start == Start::kRowBias ? bias_m + i : column_bias;
          float* out = c + i * ldc + j;
          if (columns == nr) {
            kTiles[rows - 1](depth, panel_a, panel_b, out, ldc, start, bias, end);
            continue;
          }
          if (start == Start::kAccumulate) {
            for (int64_t y = 0; y < rows; ++y) {
              for (int64_t x = 0; x < nr; ++x) edge[y * nr + x] = x < columns ? out[y * ldc + x] : 0.0f;
            }
          }
          kTiles[rows - 1](depth, panel_a, panel_b, edge, nr, start, bias, end);
          for (int64_t y = 0; y < rows; ++y) {
            memcpy(out + y * ldc, edge + y * nr, static_cast<size_t>(columns) * sizeof(float));
          }
        }
      }
    }
  }
}

void PackA(int64_t m, int64_t k, const float* a, int64_t stride_m, int64_t stride_k, float* packed) {
  constexpr int64_t mr = XSLIM_MR;
  for (int64_t i0 = 0; i0 < m; i0 += mr) {
    const int64_t rows = m - i0 < mr ? m - i0 : mr;
    for (int64_t depth = 0; depth < k; ++depth, packed += mr) {
      const float* from = a + i0 * stride_m + depth * stride_k;
      for (int64_t i = 0; i < mr; ++i) packed[i] = i < rows ? from[i * stride_m] : 0.0f;
    }
  }
}

void PackB(int64_t k, int64_t n, const float* b, int64_t stride_k, int64_t stride_n, float* packed) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), nr = 2 * lanes;
  for (int64_t j0 = 0; j0 < n; j0 += nr) {
    const int64_t columns = n - j0 < nr ? n - j0 : nr;
    for (int64_t depth = 0; depth < k; ++depth, packed += nr) {
      const float* from = b + depth * stride_k + j0 * stride_n;
      if (stride_n == 1 && columns == nr) {
        hn::StoreU(hn::LoadU(d, from), d, packed);
        hn::StoreU(hn::LoadU(d, from + lanes), d, packed + lanes);
      } else {
        for (int64_t j = 0; j < nr; ++j) packed[j] = j < columns ? from[j * stride_n] : 0.0f;
      }
    }
  }
}

struct PlaneShape {
  int64_t height, width, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

// A part of a plane with its padding as zeros, split by column modulo the stride: element (row y, column x)
// is at [y * row + x % stride * phase + x / stride], so that every tap of neighbouring outputs is one plain
// load.
struct Band {
  int64_t phase, row;
  const int64_t* taps;  // offset of each kernel column
};

constexpr int64_t kBandFloats = 6144;  // stays in L1
constexpr int64_t kBandTaps = 64;      // widest kernel
constexpr int64_t kBandColumns = 512;  // of outputs at once
constexpr int64_t kBandVector = 16;    // columns are whole numbers of the widest vector

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

// A row's columns first, first + 2, ... (`phase` of them) and behind them first + 1, first + 3, ...; 0
// outside.
XSLIM_INLINE void FillPairs(const float* from, int64_t width, int64_t first, int64_t phase, float* row) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  ZeroRow(row, 2 * phase);
  int64_t i = 0;
  const auto one = [&] {
    const int64_t x = first + 2 * i;
    row[i] = x >= 0 && x < width ? from[x] : 0.0f;
    row[phase + i] = x + 1 >= 0 && x + 1 < width ? from[x + 1] : 0.0f;
    ++i;
  };
  while (i < phase && first + 2 * i < 0) one();
  for (; i + lanes <= phase && first + 2 * (i + lanes) <= width; i += lanes) {
    V even, odd;
    hn::LoadInterleaved2(d, from + first + 2 * i, even, odd);
    hn::StoreU(even, d, row + i);
    hn::StoreU(odd, d, row + phase + i);
  }
  while (i < phase && first + 2 * i < width) one();
}

// Rows [y, y + rows) and the output columns from `x0` of the plane, the padding included.
XSLIM_INLINE void FillBand(const float* in, const PlaneShape& s, const Band& band, int64_t y, int64_t rows,
                           int64_t x0, float* to) {
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
XSLIM_INLINE void BandGroup(const float* const* in, const PlaneShape& s, const Band& band,
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
void RunBand(const float* filled, const PlaneShape& s, const Band& band, const float* weight, float bias,
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
XSLIM_INLINE float SingleOutput(const float* in, const PlaneShape& s, const float* weight, int64_t top,
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

void Clamp(const float* x, float lo, float hi, float* y, int64_t n);

void DepthwisePlane(const float* in, int64_t height, int64_t width, const float* weight, int64_t kernel_h,
                    int64_t kernel_w, int64_t stride_h, int64_t stride_w, int64_t dilation_h,
                    int64_t dilation_w, int64_t pad_top, int64_t pad_left, float bias, float* out,
                    int64_t out_h, int64_t out_w, Epilogue epilogue) {
  const PlaneShape s{height,   width,      kernel_h,   kernel_w, stride_h,
                     stride_w, dilation_h, dilation_w, pad_top,  pad_left};
  // The largest band that fits; the choice is the same for every width of vectors.
  const int64_t reach_h = (kernel_h - 1) * dilation_h + 1, reach_w = (kernel_w - 1) * dilation_w;
  int64_t columns = out_w < kBandColumns ? out_w : kBandColumns;
  Band band{};
  const auto measure = [&] {
    band.phase = (columns + kBandVector - 1) / kBandVector * kBandVector + reach_w / stride_w;
    band.row = band.phase * stride_w;
  };
  measure();
  while (band.row * reach_h > kBandFloats && columns > kBandVector) {
    columns = (columns / 2 + kBandVector - 1) / kBandVector * kBandVector;
    measure();
  }
  if (kernel_w > kBandTaps || band.row * reach_h > kBandFloats) {
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
