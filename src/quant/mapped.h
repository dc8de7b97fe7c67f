// Weights that are pages of the model's file need not stay in memory once they have been read.
#ifndef XSLIM_QUANT_MAPPED_H_
#define XSLIM_QUANT_MAPPED_H_

#include "base/file.h"
#include "tensor/tensor.h"

namespace xslim {

// Gives the pages of a mapped tensor back; they are read again when asked for. Does nothing to other tensors.
inline void ForgetPages(const Tensor& x) {
  if (x.mapped()) ForgetMapped(x.raw(), x.bytes());
}

}  // namespace xslim

#endif  // XSLIM_QUANT_MAPPED_H_
