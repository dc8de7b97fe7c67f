// Matrix product on packed panels, and on a right operand that is read where it lies. A tile's accumulators
// are separate variables (not an array: vectors of unknown length cannot be in one); rows past R vanish at
// compile time.

constexpr int64_t kDepthBlock = 320;                               // of k: a B panel's slice stays in L1
constexpr int64_t kRowBlock = 192;                                 // of m: an A block's slice stays in L2
constexpr int64_t kMostLanes = 16, kMostColumns = 2 * kMostLanes;  // of a panel
constexpr int64_t kAhead = 512;      // floats that are fetched ahead: weights come from beyond L2
constexpr int64_t kShortDepth = 31;  // so few steps do not hide the wait for the result's memory

enum class Start { kZero, kRowBias, kColumnBias, kAccumulate };

// What a tile reads of B: a packed panel, the first half of its columns, or rows where they lie, which it
// packs for the tiles below; kTwoRuns: from column `split` on, `gap` elements further.
enum class Right { kPanel, kHalfPanel, kRows, kTwoRuns };

struct TileArguments {
  int64_t depth;
  const float* a;
  const float* b;       // the panel's slice; kRows, kTwoRuns: what `rows` counts from
  const int64_t* rows;  // kRows, kTwoRuns
  float* packed;        // kRows, kTwoRuns
  int64_t split, gap;   // kTwoRuns
  float* c;
  int64_t ldc;
  Start start;
  const float* bias;
  const Epilogue* epilogue;  // null before the last slice
};

// The first `count` lanes; none where it is negative.
XSLIM_INLINE auto FirstLanes(int64_t count) {
  return hn::FirstN(F32(), count > 0 ? static_cast<size_t>(count) : 0);
}

// Lanes of `first` from one place, the others from another; nothing else is read.
template <typename Mask>
XSLIM_INLINE V LoadParts(Mask first, const float* one, const float* other) {
  const F32 d;
  return hn::IfThenElse(first, hn::MaskedLoad(first, d, one), hn::MaskedLoad(hn::Not(first), d, other));
}

#define XSLIM_ROWS_(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

template <int R, Right kRight>
void Tile(const TileArguments& t) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), ldc = t.ldc;
  constexpr bool kWide = kRight != Right::kHalfPanel,
                 kInPlace = kRight == Right::kRows || kRight == Right::kTwoRuns;
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
  if (t.depth <= kShortDepth && lanes == kMostLanes) {  // a vector is a cache line
#define XSLIM_FETCH_(i)                                              \
  if constexpr (R > i) {                                             \
    __builtin_prefetch(c + i * ldc, 1);                              \
    if constexpr (kWide) __builtin_prefetch(c + i * ldc + lanes, 1); \
  }
    XSLIM_ROWS_(XSLIM_FETCH_)
#undef XSLIM_FETCH_
  }
  const float* a = t.a;
  const float* b = t.b;
  float* packed = t.packed;
  const auto first0 = FirstLanes(t.split), first1 = FirstLanes(t.split - lanes);
  for (int64_t depth = 0; depth < t.depth; ++depth) {
    if constexpr (kInPlace) b = t.b + t.rows[depth];
    V b0 = hn::Zero(d), b1 = b0;
    if constexpr (kRight == Right::kTwoRuns) {
      const float* const second = b + t.gap;
      b0 = LoadParts(first0, b, second);
      b1 = LoadParts(first1, b + lanes, second + lanes);
    } else {
      b0 = hn::LoadU(d, b);
      if constexpr (kWide) b1 = hn::LoadU(d, b + lanes);
    }
    if constexpr (kInPlace) {
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
    if (lanes == kMostLanes) __builtin_prefetch(a + kAhead);  // a step is about a cache line
    if constexpr (R <= 2 && kRight == Right::kPanel) {
      __builtin_prefetch(b + 8 * kAhead);
      __builtin_prefetch(b + 8 * kAhead + lanes);
    }
    a += XSLIM_MR;
    if constexpr (!kInPlace) b += 2 * lanes;
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
  const float* source;  // not null: a whole panel is at source + rows[d], and `panel` is yet to be packed
  const int64_t* rows;
  float* packed;       // where to
  int64_t split, gap;  // split > 0: columns from it on lie `gap` elements further
};

XSLIM_INLINE Start StartOf(const Slice& slice, const Result& result) {
  return slice.k0 != 0              ? Start::kAccumulate
         : result.bias_m != nullptr ? Start::kRowBias
         : result.bias_n != nullptr ? Start::kColumnBias
         : result.accumulate        ? Start::kAccumulate
                                    : Start::kZero;
}

constexpr int64_t kTurnedPanels = 4, kTurnedColumns = 2;

struct TurnedArguments {
  int64_t depth;
  const float* a[kTurnedPanels];
  const float* b;  // the first column of the panel's slice
  float* c;        // [column][panel][lane]: what chains start from, then results
  const Epilogue* epilogue;
};

// A few columns, of which most of a vector along the rows of B would be idle: vectors run down the panels of
// A instead, and B's elements are what is broadcast. The chains are the same.
template <int C>
void TurnedTile(const TurnedArguments& t) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), nr = 2 * lanes;
  static_assert(C <= kTurnedColumns);
  const auto rows = hn::FirstN(d, XSLIM_MR);  // what lies behind them may be behind A
#define XSLIM_PANELS_(F) F(0) F(1) F(2) F(3)
#define XSLIM_LOAD_(i)                                 \
  const float* a##i = t.a[i];                          \
  V p##i = hn::LoadU(d, t.c + i * lanes), q##i = p##i; \
  if constexpr (C > 1) q##i = hn::LoadU(d, t.c + (kTurnedPanels + i) * lanes);
  XSLIM_PANELS_(XSLIM_LOAD_)
#undef XSLIM_LOAD_
  const float* b = t.b;
  for (int64_t depth = 0; depth < t.depth; ++depth, b += nr) {
    const V b0 = hn::Set(d, b[0]), b1 = hn::Set(d, b[C - 1]);
#define XSLIM_STEP_(i)                                   \
  {                                                      \
    const V s = hn::MaskedLoad(rows, d, a##i);           \
    a##i += XSLIM_MR;                                    \
    p##i = hn::MulAdd(s, b0, p##i);                      \
    if constexpr (C > 1) q##i = hn::MulAdd(s, b1, q##i); \
  }
    XSLIM_PANELS_(XSLIM_STEP_)
#undef XSLIM_STEP_
  }
  if (t.epilogue != nullptr && t.epilogue->activation == kClamp) {
    const V lo = hn::Set(d, t.epilogue->lo), hi = hn::Set(d, t.epilogue->hi);
#define XSLIM_CLAMP_(i)        \
  p##i = ClampV(p##i, lo, hi); \
  q##i = ClampV(q##i, lo, hi);
    XSLIM_PANELS_(XSLIM_CLAMP_)
#undef XSLIM_CLAMP_
  }
#define XSLIM_STORE_(i)                 \
  hn::StoreU(p##i, d, t.c + i * lanes); \
  if constexpr (C > 1) hn::StoreU(q##i, d, t.c + (kTurnedPanels + i) * lanes);
  XSLIM_PANELS_(XSLIM_STORE_)
#undef XSLIM_STORE_
#undef XSLIM_PANELS_
}

// Whether these columns, less than a vector of them, take fewer steps when turned.
XSLIM_INLINE bool TurningPays(int64_t panels, int64_t columns) {
  if (columns == 0 || static_cast<int64_t>(hn::Lanes(F32())) < XSLIM_MR) return false;
  const int64_t groups = (panels + kTurnedPanels - 1) / kTurnedPanels;
  return columns * groups * kTurnedPanels < panels * XSLIM_MR;
}

// Rows [m0, m1) of the columns [j, j + columns) of the result; `b`: the first of them in the packed panel.
void MultiplyTurned(const Slice& slice, const float* b, const Result& result, int64_t j, int64_t columns) {
  constexpr int64_t mr = XSLIM_MR;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const Start start = StartOf(slice, result);
  float c[kTurnedColumns * kTurnedPanels * kMostLanes] = {};
  TurnedArguments t{};
  t.depth = slice.depth;
  t.c = c;
  t.epilogue = slice.k0 + slice.depth >= slice.k ? &result.epilogue : nullptr;
  for (int64_t m = slice.m0; m < slice.m1; m += kTurnedPanels * mr) {
    for (int64_t p = 0; p < kTurnedPanels; ++p) {  // those that are too many repeat the first one
      t.a[p] = slice.a + (m + p * mr < slice.m1 ? m + p * mr : m) * slice.k + slice.k0 * mr;
    }
    for (int64_t x = 0; x < columns; x += kTurnedColumns) {
      const int64_t width = columns - x < kTurnedColumns ? columns - x : kTurnedColumns;
      // Calls body(element of the result, its row and column, its place in the tile).
      const auto for_elements = [&](const auto& body) {
        for (int64_t q = 0; q < width; ++q) {
          for (int64_t p = 0; p < kTurnedPanels; ++p) {
            for (int64_t i = m + p * mr, y = 0; y < mr && i < slice.m1; ++i, ++y)
              body(result.c[i * result.ldc + j + x + q], i, j + x + q,
                   c[(q * kTurnedPanels + p) * lanes + y]);
          }
        }
      };
      for_elements([&](float element, int64_t i, int64_t column, float& in_tile) {
        in_tile = start == Start::kAccumulate   ? element
                  : start == Start::kRowBias    ? result.bias_m[i]
                  : start == Start::kColumnBias ? result.bias_n[column]
                                                : 0.0f;
      });
      t.b = b + x;
      (width == 1 ? TurnedTile<1> : TurnedTile<kTurnedColumns>)(t);
      for_elements([&](float& element, int64_t, int64_t, float in_tile) { element = in_tile; });
    }
  }
}

// Rows [m0, m1) of the columns [j, j + columns) of the result, at most a panel's.
XSLIM_INLINE void MultiplyPanel(const Slice& slice, const Columns& right, const Result& result, int64_t j,
                                int64_t columns) {
  constexpr int64_t mr = XSLIM_MR;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32())), nr = 2 * lanes;
  const int64_t rest = columns % lanes;
  if (TurningPays((slice.m1 - slice.m0 + mr - 1) / mr, rest)) {
    columns -= rest;
    MultiplyTurned(slice, right.panel + columns, result, j + columns, rest);
    if (columns == 0) return;
  }
  TileArguments t{};
  t.depth = slice.depth;
  t.b = right.panel;
  t.start = StartOf(slice, result);
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
        t.split = right.split;
        t.gap = right.gap;
        (right.split > 0 ? kTiles<Right::kTwoRuns> : kTiles<Right::kRows>)[count - 1](t);
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
      MultiplyPanel(slice, {b + j * k + slice.k0 * nr, nullptr, nullptr, nullptr, 0, 0}, result, j,
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
      if (found <= 2 && count == nr) {
        const int64_t split = found == 1 ? 0 : runs[1].column;
        const int64_t gap = found == 1 ? 0 : runs[1].offset - split - columns[j];
        MultiplyPanel(slice, {panel, b + columns[j], slice_rows, panel, split, gap}, result, j, count);
        continue;
      }
      float* to = panel;
      for (int64_t depth = 0; depth < slice.depth; ++depth, to += nr) {
        const float* from = b + slice_rows[depth];
        for (int64_t r = 0; r < found; ++r)
          CopyFew(from + runs[r].offset, to + runs[r].column, runs[r].length);
        for (int64_t x = count; x < nr; ++x) to[x] = 0.0f;
      }
      MultiplyPanel(slice, {panel, nullptr, nullptr, nullptr, 0, 0}, result, j, count);
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

void EverySecond(const float* x, float* y, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes < n; i += lanes) {  // not the last one: a vector of odd elements is read, too
    V even, odd;
    hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    hn::StoreU(even, d, y + i);
  }
  for (; i < n; ++i) y[i] = x[2 * i];
}
