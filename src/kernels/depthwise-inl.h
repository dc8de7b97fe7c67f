// Depthwise convolution plane by plane, on a copy of parts of the plane that stays in the first-level cache,
// or of several planes together (across-inl.h).

// A part of a plane with its padding as zeros, split by column modulo the stride: element (row y, column x)
// is at [y * row + x % stride * phase + x / stride], so that every tap of neighbouring outputs is one plain
// load.
struct Band {
  int64_t phase, row;
  const int64_t* taps;  // offset of each kernel column
};

constexpr int64_t kBandTaps = 512;     // widest kernel
constexpr int64_t kBandColumns = 512;  // of outputs at once

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
