// Loops over two or more broadcast operands, shared by the families of arithmetic, powers and comparison.
#ifndef XSLIM_OPS_COMBINE_H_
#define XSLIM_OPS_COMBINE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "ops/elementwise.h"

namespace xslim {

// Throws Error unless both operands have one element type.
void RequireSameType(const Tensor& a, const Tensor& b);

// Calls run(out_index, n, offsets) for the runs of `walk` (Broadcast::Runs), pieces of them in parallel.
// Not a template: the loops of each type and operator are many, and none needs its own walk around them.
using RunFn = std::function<void(int64_t at, int64_t n, const int64_t* offsets)>;
void ForRuns(ThreadPool& pool, const Broadcast& walk, const RunFn& run);

// Calls body with steps that the compiler knows where all are 1, or all but the last, which is 0: such loops
// become vectors. Else with the numbers.
template <size_t kCount, typename Body>
void WithSteps(const std::array<int64_t, kCount>& steps, Body&& body) {
  constexpr std::integral_constant<int64_t, 0> zero;
  constexpr std::integral_constant<int64_t, 1> one;
  const bool ones = std::all_of(steps.begin(), steps.end() - 1, [](int64_t step) { return step == 1; });
  if constexpr (kCount == 2) {
    if (ones && steps[1] == 1) return body(one, one);
    if (ones && steps[1] == 0) return body(one, zero);
    body(steps[0], steps[1]);
  } else {
    if (ones && steps[2] == 1) return body(one, one, one);
    if (ones && steps[2] == 0) return body(one, one, zero);
    body(steps[0], steps[1], steps[2]);
  }
}

// y[i] = fn(a[i], b[i]) over the broadcast of both; A, B, R are the element types, fn takes the computing
// types.
template <typename A, typename B, typename R, typename Fn>
void Combine(ThreadPool& pool, const Broadcast& walk, const A* a, const B* b, R* y, Fn&& fn) {
  WithSteps<2>({walk.step(0), walk.step(1)}, [&](auto step_a, auto step_b) {
    ForRuns(pool, walk, [=](int64_t at, int64_t n, const int64_t* offsets) {
      const A* pa = a + offsets[0];
      const B* pb = b + offsets[1];
      R* to = y + at;
      for (int64_t i = 0; i < n; ++i) to[i] = Store<R>(fn(Load(pa[i * step_a]), Load(pb[i * step_b])));
    });
  });
}

}  // namespace xslim

#endif  // XSLIM_OPS_COMBINE_H_
