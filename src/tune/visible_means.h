// What the consumers of a tensor see of it on average.
#ifndef XSLIM_TUNE_VISIBLE_MEANS_H_
#define XSLIM_TUNE_VISIBLE_MEANS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/operator.h"
#include "tensor/tensor.h"

namespace xslim {

// By channel: the mean of what is seen, elements outside counting as the nearer end, and the share of
// elements inside, which is how much that mean rises with the tensor. Behind a curve: the mean of what the
// curve makes of the elements, and the mean of its slope at them. NaN counts as zero, and as not inside.
struct VisibleMeans {
  std::vector<double> mean, inside;

  // Adds those of y + shift, whose channels are that axis. shift: by channel; empty = 0.
  void Add(const Tensor& y, int64_t axis, InterestRange visible, const std::vector<double>& shift);
  void Add(const VisibleMeans& of_sample);
  void Divide(size_t samples);
};

}  // namespace xslim

#endif  // XSLIM_TUNE_VISIBLE_MEANS_H_
