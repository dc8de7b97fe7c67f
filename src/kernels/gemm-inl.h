// Matrix product on packed panels, and on a right operand that is read where it lies. A tile's accumulators
// are separate variables (not an array: vectors of unknown length cannot be in one); rows past R vanish at
// compile time.

constexpr int64_t kDepthBlock = 320;  // of k: a B panel's slice stays in L1
constexpr int64_t kRowBlock = 192;    // of m: an A block's slice stays in L2
constexpr int64_t kMostColumns = 32;  // of a panel

enum class Start { kZero, kRowBias, kColumnBias, kAccumulate };

// What a tile reads of B: a packed panel, the first half of its columns, or rows where they lie, which it
// packs for the tiles below.
enum class Right { kPanel, kHalfPanel, kRows };

struct TileArguments {
  int64_t depth;
  const float* a;
  const float* b;       // the panel's slice; kRows: what `rows` counts from
  const int64_t* rows;  // kRows only
  float* packed;        // kRows only
  float* c;
  int64_t ldc;
  Start start;
  const float* bias;
  const Epilogue* epilogue;  // null before the last slice
};

#define XSLIM_ROWS_(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

template <int R, Right kRight>
void Tile(const TileArguments& t) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), ldc = t.ldc;
  constexpr bool kWide = kRight != Right::kHalfPanel;
  static_assert(R <= 14);
  float* const c = t.c;
#define XSLIM_DECLARE_(i) V p##i = hn::Zero(d), q##i = hn::Zero(d);
  XSLIM_ROWS_(XSLIM_DECLARE_)
#undef XSLIM_DECLARE_
#define XSLIM_START_(i)                                              \
  if constexpr (R > i) {                                             \
    if (t.start == Start::kAccumulate) {                             \
      p##i = hn::LoadU(d, c + i * ldc);                              \
      if constexpr (kWide) q##i = hn::LoadU(d, c + i * ldc + lanes); \
    } else if (t.start == Start::kRowBias) {                         \
      p##i = q##i = hn::Set(d, t.bias[i]);                           \
    } else if (t.start == Start::kColumnBias) {                      \
      p##i = hn::LoadU(d, t.bias);                                   \
      if constexpr (kWide) q##i = hn::LoadU(d, t.bias + lanes);      \
    }                                                                \
  }
  XSLIM_ROWS_(XSLIM_START_)
#undef XSLIM_START_
  const float* a = t.a;
  const float* b = t.b;
  float* packed = t.packed;
  for (int64_t depth = 0; depth < t.depth; ++depth) {
    if constexpr (kRight == Right::kRows) b = t.b + t.rows[depth];
    const V b0 = hn::LoadU(d, b);
    V b1 = b0;
    if constexpr (kWide) b1 = hn::LoadU(d, b + lanes);
    if constexpr (kRight == Right::kRows) {
      __builtin_prefetch(b + 2 * lanes);  // for the next columns
      hn::StoreU(b0, d, packed);
      hn::StoreU(b1, d, packed + lanes);
      packed += 2 * lanes;
    }
#define XSLIM_STEP_(i)                                   \
  if constexpr (R > i) {                                 \
    const V s = hn::Set(d, a[i]);                        \
    p##i = hn::MulAdd(s, b0, p##i);                      \
    if constexpr (kWide) q##i = hn::MulAdd(s, b1, q##i); \
  }
    XSLIM_ROWS_(XSLIM_STEP_)
#undef XSLIM_STEP_
    a += XSLIM_MR;
    if constexpr (kRight != Right::kRows) b += 2 * lanes;
  }
  if (t.epilogue != nullptr && t.epilogue->activation == kClamp) {
    const V lo = hn::Set(d, t.epilogue->lo), hi = hn::Set(d, t.epilogue->hi);
#define XSLIM_CLAMP_(i)          \
  if constexpr (R > i) {         \
    p##i = ClampV(p##i, lo, hi); \
    q##i = ClampV(q##i, lo, hi); \
  }
    XSLIM_ROWS_(XSLIM_CLAMP_)
#undef XSLIM_CLAMP_
  }
#define XSLIM_STORE_(i)                                            \
  if constexpr (R > i) {                                           \
    hn::StoreU(p##i, d, c + i * ldc);                              \
    if constexpr (kWide) hn::StoreU(q##i, d, c + i * ldc + lanes); \
  }
  XSLIM_ROWS_(XSLIM_STORE_)
#undef XSLIM_STORE_
}

using TileFunction = void (*)(const TileArguments&);
#define XSLIM_ENTRY_(i) Tile<((i) < XSLIM_MR ? (i) + 1 : XSLIM_MR), kRight>,
template <Right kRight>
constexpr TileFunction kTiles[] = {XSLIM_ROWS_(XSLIM_ENTRY_)};
#undef XSLIM_ENTRY_
#undef XSLIM_ROWS_

// The result's rows and what they start from and end with.
struct Result {
  float* c;
  int64_t ldc;
  const float *bias_m, *bias_n;
  bool accumulate;
  Epilogue epilogue;
};

// A slice of k for some rows of A.
struct Slice {
  int64_t k, k0, depth;  // of all, the first one, how many
  int64_t m0, m1;
  const float* a;  // packed, of all rows and k
};

// A slice of a panel of columns of B.
struct Columns {
  const float* panel;   // packed
  const float* source;  // not null: whole panels are at source + rows[d], and `panel` is yet to be packed
  const int64_t* rows;
  float* packed;  // where to
};

// Rows [m0, m1) of the columns [j, j + columns) of the result, at most a panel's.
XSLIM_INLINE void MultiplyPanel(const Slice& slice, const Columns& right, const Result& result, int64_t j,
                                int64_t columns) {
  constexpr int64_t mr = XSLIM_MR;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32())), nr = 2 * lanes;
  const bool first = slice.k0 == 0;
  TileArguments t{};
  t.depth = slice.depth;
  t.b = right.panel;
  t.start = !first                     ? Start::kAccumulate
            : result.bias_m != nullptr ? Start::kRowBias
            : result.bias_n != nullptr ? Start::kColumnBias
            : result.accumulate        ? Start::kAccumulate
                                       : Start::kZero;
  t.epilogue = slice.k0 + slice.depth >= slice.k ? &result.epilogue : nullptr;
  const bool half = columns <= lanes;
  const int64_t width = half ? lanes : nr;
  const TileFunction* tiles = half ? kTiles<Right::kHalfPanel> : kTiles<Right::kPanel>;
  float edge[mr * kMostColumns], edge_bias[kMostColumns];
  if (t.start == Start::kColumnBias) {
    t.bias = result.bias_n + j;
    if (columns < width) {
      for (int64_t x = 0; x < width; ++x) edge_bias[x] = x < columns ? t.bias[x] : 0.0f;
      t.bias = edge_bias;
    }
  }
  for (int64_t i = slice.m0; i < slice.m1; i += mr) {
    const int64_t count = slice.m1 - i < mr ? slice.m1 - i : mr;
    t.a = slice.a + i * slice.k + slice.k0 * mr;
    if (t.start == Start::kRowBias) t.bias = result.bias_m + i;
    float* out = result.c + i * result.ldc + j;
    if (columns == width) {
      t.c = out;
      t.ldc = result.ldc;
      if (right.source != nullptr && i == slice.m0) {
        t.b = right.source;
        t.rows = right.rows;
        t.packed = right.packed;
        kTiles<Right::kRows>[count - 1](t);
        t.b = right.panel;
      } else {
        tiles[count - 1](t);
      }
      continue;
    }
    if (t.start == Start::kAccumulate) {
      for (int64_t y = 0; y < count; ++y) {
        for (int64_t x = 0; x < width; ++x)
          edge[y * width + x] = x < columns ? out[y * result.ldc + x] : 0.0f;
      }
    }
    t.c = edge;
    t.ldc = width;
    tiles[count - 1](t);
    for (int64_t y = 0; y < count; ++y) {
      memcpy(out + y * result.ldc, edge + y * width, static_cast<size_t>(columns) * sizeof(float));
    }
  }
}

// Calls body(slice) for slices of k of about equal depth, and in each for blocks of rows.
template <typename Body>
XSLIM_INLINE void ForSlices(int64_t m, int64_t k, const float* a, const Body& body) {
  constexpr int64_t row_block = kRowBlock / XSLIM_MR * XSLIM_MR;
  const int64_t slices = k > kDepthBlock ? (k + kDepthBlock - 1) / kDepthBlock : 1;
  const int64_t depth = (k + slices - 1) / slices;
  for (int64_t k0 = 0; k0 == 0 || k0 < k; k0 += depth) {
    for (int64_t m0 = 0; m0 < m; m0 += row_block) {
      body(Slice{k, k0, k - k0 < depth ? k - k0 : depth, m0, m0 + row_block < m ? m0 + row_block : m, a});
    }
    if (k == 0) break;
  }
}

void Gemm(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, int64_t ldc,
          const float* bias_m, const float* bias_n, bool accumulate, Epilogue epilogue) {
  const int64_t nr = 2 * static_cast<int64_t>(hn::Lanes(F32()));
  const Result result{c, ldc, bias_m, bias_n, accumulate, epilogue};
  ForSlices(m, k, a, [&](const Slice& slice) {
    for (int64_t j = 0; j < n; j += nr) {
      MultiplyPanel(slice, {b + j * k + slice.k0 * nr, nullptr, nullptr, nullptr}, result, j,
                    n - j < nr ? n - j : nr);
    }
  });
}

// n floats; n is below 32.
XSLIM_INLINE void CopyFew(const float* from, float* to, int64_t n) {
  for (; n >= 8; n -= 8, from += 8, to += 8) __builtin_memcpy(to, from, 32);
  if (n & 4) {
    __builtin_memcpy(to, from, 16);
    from += 4;
    to += 4;
  }
  if (n & 2) {
    __builtin_memcpy(to, from, 8);
    from += 2;
    to += 2;
  }
  if (n & 1) *to = *from;
}

void GemmGather(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const int64_t* rows,
                const int64_t* columns, float* c, int64_t ldc, const float* bias_m, Epilogue epilogue) {
  const int64_t nr = 2 * static_cast<int64_t>(hn::Lanes(F32()));
  const Result result{c, ldc, bias_m, nullptr, false, epilogue};
  float panel[kDepthBlock * kMostColumns];
  Run runs[kMostColumns];
  ForSlices(m, k, a, [&](const Slice& slice) {
    const int64_t* const slice_rows = rows + slice.k0;
    for (int64_t j = 0; j < n; j += nr) {
      const int64_t count = n - j < nr ? n - j : nr, found = FindRuns(columns + j, count, runs);
      if (found == 1 && count == nr) {
        MultiplyPanel(slice, {panel, b + columns[j], slice_rows, panel}, result, j, count);
        continue;
      }
      float* to = panel;
      for (int64_t depth = 0; depth < slice.depth; ++depth, to += nr) {
        const float* from = b + slice_rows[depth];
        for (int64_t r = 0; r < found; ++r)
          CopyFew(from + runs[r].offset, to + runs[r].column, runs[r].length);
        for (int64_t x = count; x < nr; ++x) to[x] = 0.0f;
      }
      MultiplyPanel(slice, {panel, nullptr, nullptr, nullptr}, result, j, count);
    }
  });
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
