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
  int64_t height, width, kernel_h, kernel_w, stride_w, dilation_h, dilation_w, pad_left;
};

// One output whose window may leave the plane.
XSLIM_INLINE float EdgeTap(const float* in, const PlaneShape& s, const float* weight, int64_t top,
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

template <int kStride>
XSLIM_INLINE V LoadStrided(const float* p) {
  const F32 d;
  if constexpr (kStride == 1) {
    return hn::LoadU(d, p);
  } else {
    V even, odd;
    hn::LoadInterleaved2(d, p, even, odd);
    return even;
  }
}

// Outputs [x0, x1) of one row whose windows are inside the plane's columns; kVectors vectors at a time.
// Returns where it stopped. `ky0..ky1` are the kernel rows inside the plane; `end` is the end of the plane's
// memory.
template <int kStride, int kVectors>
XSLIM_INLINE int64_t InteriorRow(const float* in, const float* end, const PlaneShape& s, const float* weight,
                                 int64_t top, int64_t ky0, int64_t ky1, float bias, float* out, int64_t x0,
                                 int64_t x1) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t last_row = top + (ky1 - 1) * s.dilation_h;
  int64_t x = x0;
  for (; x + kVectors * lanes <= x1; x += kVectors * lanes) {
    const float* base = in + x * kStride - s.pad_left;
    // A strided load reads up to the next wanted element.
    if (kStride > 1 &&
        base + last_row * s.width + (s.kernel_w - 1) * s.dilation_w + kVectors * lanes * kStride > end) {
      break;
    }
    V a0 = hn::Set(d, bias), a1 = a0, a2 = a0, a3 = a0;
    for (int64_t ky = ky0; ky < ky1; ++ky) {
      const float* row = base + (top + ky * s.dilation_h) * s.width;
      const float* taps = weight + ky * s.kernel_w;
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const V w = hn::Set(d, taps[kx]);
        const float* p = row + kx * s.dilation_w;
        a0 = hn::MulAdd(LoadStrided<kStride>(p), w, a0);
        if constexpr (kVectors > 1) {
          a1 = hn::MulAdd(LoadStrided<kStride>(p + lanes * kStride), w, a1);
          a2 = hn::MulAdd(LoadStrided<kStride>(p + 2 * lanes * kStride), w, a2);
          a3 = hn::MulAdd(LoadStrided<kStride>(p + 3 * lanes * kStride), w, a3);
        }
      }
    }
    hn::StoreU(a0, d, out + x);
    if constexpr (kVectors > 1) {
      hn::StoreU(a1, d, out + x + lanes);
      hn::StoreU(a2, d, out + x + 2 * lanes);
      hn::StoreU(a3, d, out + x + 3 * lanes);
    }
  }
  return x;
}

void Clamp(const float* x, float lo, float hi, float* y, int64_t n);

void DepthwisePlane(const float* in, int64_t height, int64_t width, const float* weight, int64_t kernel_h,
                    int64_t kernel_w, int64_t stride_h, int64_t stride_w, int64_t dilation_h,
                    int64_t dilation_w, int64_t pad_top, int64_t pad_left, float bias, float* out,
                    int64_t out_h, int64_t out_w, Epilogue epilogue) {
  const PlaneShape s{height, width, kernel_h, kernel_w, stride_w, dilation_h, dilation_w, pad_left};
  // Columns [x0, x1): every tap inside.
  const int64_t room = width - 1 - (kernel_w - 1) * dilation_w + pad_left;
  int64_t x0 = pad_left > 0 ? (pad_left + stride_w - 1) / stride_w : 0;
  int64_t x1 = room < 0 ? 0 : room / stride_w + 1;
  if (x1 > out_w) x1 = out_w;
  if (x0 > out_w) x0 = out_w;
  for (int64_t oy = 0; oy < out_h; ++oy, out += out_w) {
    const int64_t top = oy * stride_h - pad_top;
    int64_t ky0 = 0, ky1 = kernel_h;
    while (ky0 < ky1 && top + ky0 * dilation_h < 0) ++ky0;
    while (ky1 > ky0 && top + (ky1 - 1) * dilation_h >= height) --ky1;
    int64_t x = 0;
    for (; x < x0; ++x) out[x] = EdgeTap(in, s, weight, top, x * stride_w - pad_left, bias);
    const float* end = in + height * width;
    if (ky0 < ky1 && stride_w == 1) {
      x = InteriorRow<1, 4>(in, end, s, weight, top, ky0, ky1, bias, out, x, x1);
      x = InteriorRow<1, 1>(in, end, s, weight, top, ky0, ky1, bias, out, x, x1);
    } else if (ky0 < ky1 && stride_w == 2) {
      x = InteriorRow<2, 4>(in, end, s, weight, top, ky0, ky1, bias, out, x, x1);
      x = InteriorRow<2, 1>(in, end, s, weight, top, ky0, ky1, bias, out, x, x1);
    }
    for (; x < out_w; ++x) out[x] = EdgeTap(in, s, weight, top, x * stride_w - pad_left, bias);
    if (epilogue.activation == kClamp) Clamp(out, epilogue.lo, epilogue.hi, out, out_w);
  }
}
