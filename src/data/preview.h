// What a model is fed with, for people who check their preprocessing: figures, and pictures of what looks
// like pictures.
#ifndef XSLIM_DATA_PREVIEW_H_
#define XSLIM_DATA_PREVIEW_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "data/samples.h"

namespace xslim {

struct ChannelFigures {
  double min = NAN, mean = NAN, max = NAN;  // of its finite elements; NaN where there is none
};

struct FedInput {
  std::string name;
  DType dtype;
  Shape shape;
  // 1 (NCHW) or 3 (NHWC): that has 1 or 3 elements, as images are read; -1: no pictures.
  int channel_axis = -1;
  // A single one of the whole tensor where it holds no pictures; none of complex numbers.
  std::vector<ChannelFigures> channels;
  int64_t not_finite = 0;  // elements
};

FedInput FiguresOf(const std::string& name, const Tensor& tensor);

// All inputs that hold pictures as one PNG file, an input below the other, up to 8 pictures of a batch beside
// each other; "" when none does. Each input's smallest element is black, its largest white (a constant is
// grey, what is not finite magenta), and its first channel red; with sides over 4096 only every n-th row and
// column is shown.
std::string PreviewPng(const Sample& sample, const std::vector<FedInput>& inputs);

}  // namespace xslim

#endif  // XSLIM_DATA_PREVIEW_H_
