// The vector types of the kernel bodies on Google Highway, for the one target that this file's flags name.
// Included inside an anonymous namespace, after hwy/highway.h. At most 16 lanes, the number of virtual lanes
// of reductions.
#ifndef XSLIM_KERNELS_SIMD_HIGHWAY_H_
#define XSLIM_KERNELS_SIMD_HIGHWAY_H_

namespace hn = hwy::HWY_NAMESPACE;
using F32 = hn::CappedTag<float, 16>;
using I32 = hn::RebindToSigned<F32>;
constexpr bool kQuickFma = true;  // MulAdd takes one instruction
using V = hn::Vec<F32>;
using VI = hn::Vec<I32>;

// Integral values in the range of T.
template <typename T>
HWY_INLINE void StoreAs(V v, T* p) {
  const hn::Rebind<T, F32> narrow;
  hn::StoreU(hn::DemoteTo(narrow, hn::ConvertTo(I32(), v)), narrow, p);
}
template <typename T>
HWY_INLINE V LoadAs(const T* p) {
  const hn::Rebind<T, F32> narrow;
  return hn::ConvertTo(F32(), hn::PromoteTo(I32(), hn::LoadU(narrow, p)));
}

#endif  // XSLIM_KERNELS_SIMD_HIGHWAY_H_
