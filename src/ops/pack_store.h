// Packed weights that several operators can use: nodes and executors that pack the same constant in the same
// way share one pack.
#ifndef XSLIM_OPS_PACK_STORE_H_
#define XSLIM_OPS_PACK_STORE_H_

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace xslim {

// How the elements of a constant lie in its pack: packs of one constant with equal layouts are equal. The
// numbers tell the geometry: each kind has its own.
struct PackLayout {
  enum Kind { kRightOperand, kConv, kConvTranspose, kDeformConv, kRecurrent };
  Kind kind;
  std::vector<int64_t> numbers;
};

// The pack that somebody has made of the constant and still uses; undefined where there is none. The store
// holds neither constants nor packs: what nobody uses any more is gone.
Tensor FindPack(const Tensor& constant, const PackLayout& layout);
// Shows `pack` to whoever comes later. Returns the one to use: of several made at the same time the first.
Tensor SharePack(const Tensor& constant, const PackLayout& layout, Tensor pack);

}  // namespace xslim

#endif  // XSLIM_OPS_PACK_STORE_H_
