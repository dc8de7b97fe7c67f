// Shrinking by area: each new pixel is the mean of the part of the image that it covers.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "data/readers.h"

namespace xslim {
namespace {

// A pixel's share in a new one, along one axis.
struct Share {
  int from, to;
  float weight;
};

// The old pixels under each new one: whole ones, and at both ends those covered by more than a thousandth.
std::vector<Share> Shares(int size, int new_size, double scale) {
  std::vector<Share> shares;
  for (int i = 0; i < new_size; ++i) {
    const double begin = i * scale, end = begin + scale, cell = std::min(scale, size - begin);
    const int last = std::min(static_cast<int>(std::floor(end)), size - 1);
    const int first = std::min(static_cast<int>(std::ceil(begin)), last);
    if (first - begin > 1e-3) shares.push_back({first - 1, i, static_cast<float>((first - begin) / cell)});
    for (int k = first; k < last; ++k) shares.push_back({k, i, static_cast<float>(1.0 / cell)});
    if (end - last > 1e-3) {
      shares.push_back({last, i, static_cast<float>(std::min(std::min(end - last, 1.0), cell) / cell)});
    }
  }
  return shares;
}

bool IsWhole(double scale) {
  return std::fabs(scale - std::nearbyint(scale)) < std::numeric_limits<double>::epsilon();
}

}  // namespace

bool NeedsAreaShrink(int height, int width, int new_height, int new_width) {
  const double y = 1.0 / (static_cast<double>(new_height) / height),
               x = 1.0 / (static_cast<double>(new_width) / width);
  return y >= 1 && x >= 1 && !(IsWhole(y) && IsWhole(x));
}

std::vector<uint8_t> AreaShrink(const uint8_t* pixels, int height, int width, int channels, int new_height,
                                int new_width) {
  const double scale_y = 1.0 / (static_cast<double>(new_height) / height);
  const double scale_x = 1.0 / (static_cast<double>(new_width) / width);
  const std::vector<Share> columns = Shares(width, new_width, scale_x);
  const size_t step = static_cast<size_t>(channels), row = static_cast<size_t>(new_width) * step;
  std::vector<uint8_t> out(static_cast<size_t>(new_height) * row);
  std::vector<float> line(row), sum(row);
  const auto store = [&](int y) {
    uint8_t* to = out.data() + static_cast<size_t>(y) * row;
    for (size_t i = 0; i < row; ++i) {
      to[i] = static_cast<uint8_t>(std::clamp(static_cast<int>(std::nearbyint(sum[i])), 0, 255));
    }
  };
  int current = 0;
  for (const Share& share : Shares(height, new_height, scale_y)) {
    if (share.to != current) {
      store(current);
      std::fill(sum.begin(), sum.end(), 0.0f);
      current = share.to;
    }
    const uint8_t* from = pixels + static_cast<size_t>(share.from) * static_cast<size_t>(width) * step;
    std::fill(line.begin(), line.end(), 0.0f);
    for (const Share& column : columns) {
      const uint8_t* in = from + static_cast<size_t>(column.from) * step;
      float* to = line.data() + static_cast<size_t>(column.to) * step;
      for (size_t c = 0; c < step; ++c) to[c] += static_cast<float>(in[c]) * column.weight;
    }
    for (size_t i = 0; i < row; ++i) sum[i] += line[i] * share.weight;
  }
  store(current);
  return out;
}

}  // namespace xslim
