// Operators of detection heads: NonMaxSuppression, GridSample, RoiAlign, MaxRoiPool, AffineGrid.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/copy.h"
#include "ops/float_result.h"

namespace xslim {
namespace {

struct Box {
  float y0, x0, y1, x1;
  float area() const { return (y1 - y0) * (x1 - x0); }
};

// Four floats as a box: two opposite corners (y, x), or centre x, centre y, width, height.
Box BoxAt(const float* p, bool center) {
  if (center) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

// Whether intersection over union is more than the threshold; boxes without area overlap nothing.
bool Overlap(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0),
              width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0) return false;
  const float shared = height * width;
  return shared / (a.area() + b.area() - shared) > threshold;
}

void EvaluateNonMaxSuppression(EvalContext& c) {
  const Tensor boxes = c.in(0).ToFloat32(), scores = c.in(1).ToFloat32();
  if (boxes.rank() != 3 || boxes.dim(2) != 4 || scores.rank() != 3 || scores.dim(0) != boxes.dim(0) ||
      scores.dim(2) != boxes.dim(1)) {
    throw Error(
        "boxes " + ToString(boxes.shape()) + " and scores " + ToString(scores.shape()) + " do not fit", "",
        "expected [batch, boxes, 4] and [batch, classes, boxes]");
  }
  auto scalar = [&](size_t slot) {
    if (c.in(slot).size() != 1) throw Error("input " + std::to_string(slot) + " must have one element");
    return c.in(slot).ToFloat32().data<float>()[0];
  };
  const int64_t most = c.has(2) && c.in(2).size() == 1 ? c.in(2).ToInts()[0] : 0;
  const float overlap = c.has(3) ? scalar(3) : 0;
  const bool limited = c.has(4), center = c.node.Int("center_point_box", 0) != 0;
  const float limit = limited ? scalar(4) : 0;
  const int64_t batch = boxes.dim(0), classes = scores.dim(1), count = boxes.dim(1);
  std::vector<std::vector<int64_t>> chosen(static_cast<size_t>(batch * classes));
  c.pool.ParallelFor(batch * classes, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* score = scores.data<float>() + i * count;
      std::vector<int64_t> order;
      for (int64_t k = 0; k < count; ++k) {
        if (!std::isnan(score[k]) && (!limited || score[k] > limit)) order.push_back(k);
      }
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      std::vector<Box> kept;
      for (int64_t k : order) {
        if (static_cast<int64_t>(kept.size()) >= most) break;
        const Box box = BoxAt(boxes.data<float>() + (i / classes * count + k) * 4, center);
        if (std::any_of(kept.begin(), kept.end(),
                        [&](const Box& other) { return Overlap(box, other, overlap); })) {
          continue;
        }
        kept.push_back(box);
        chosen[static_cast<size_t>(i)].push_back(k);
      }
    }
  });
  int64_t total = 0;
  for (const auto& list : chosen) total += static_cast<int64_t>(list.size());
  int64_t* out = c.out(0, DType::kInt64, {total, 3}).data<int64_t>();
  for (int64_t i = 0; i < batch * classes; ++i) {
    for (int64_t k : chosen[static_cast<size_t>(i)]) {
      *out++ = i / classes;
      *out++ = i % classes;
      *out++ = k;
    }
  }
}

enum class Padding { kZeros, kBorder, kReflection };

// Mirrors x at lo and hi until it is between them.
float Reflected(float x, float lo, float hi) {
  const float range = hi - lo;
  if (range <= 0) return lo;
  if (x >= lo && x <= hi) return x;
  const float distance = x < lo ? lo - x : x - hi, turns = std::floor(distance / range);
  const float rest = distance - turns * range;
  const bool even = std::fmod(turns, 2.0f) == 0;
  return (x < lo) == even ? lo + rest : hi - rest;
}

// The source elements along one axis and their weights.
struct Taps {
  int count = 0;
  int64_t index[4];  // -1: outside, counts as zero
  float weight[4];
};

struct Sampler {
  enum Mode { kNearest, kLinear, kCubic } mode;
  Padding padding;
  bool align_corners;

  int64_t Inside(int64_t i, int64_t n) const {
    if (i >= 0 && i < n) return i;
    if (padding == Padding::kZeros) return -1;
    if (padding == Padding::kBorder) return std::clamp<int64_t>(i, 0, n - 1);
    const float lo = align_corners ? 0.0f : -0.5f, hi = static_cast<float>(n - 1) - lo;
    return std::clamp<int64_t>(static_cast<int64_t>(Reflected(static_cast<float>(i), lo, hi)), 0, n - 1);
  }

  // `x` in [-1, 1] on an axis of n elements.
  Taps At(float x, int64_t n) const {
    const float length = static_cast<float>(n);
    x = align_corners ? (x + 1) / 2 * (length - 1) : ((x + 1) * length - 1) / 2;
    if (!std::isfinite(x)) x = -1e6f;
    x = std::clamp(x, -1e9f, 1e9f);
    if (mode == kNearest) x = std::nearbyint(x);
    const float lo = align_corners ? 0.0f : -0.5f, hi = length - 1 - lo;
    if (x < lo || x > hi) {
      if (padding == Padding::kBorder) x = std::clamp(x, 0.0f, length - 1);
      if (padding == Padding::kReflection) x = Reflected(x, lo, hi);
    }
    const float base = std::floor(x), t = x - base;
    Taps taps;
    int64_t first = static_cast<int64_t>(base);
    if (mode == kNearest) {
      taps.count = 1;
      taps.weight[0] = 1;
    } else if (mode == kLinear) {
      taps.count = 2;
      taps.weight[0] = 1 - t;
      taps.weight[1] = t;
    } else {  // cubic convolution, Keys 1981, with a = -0.75
      constexpr float a = -0.75f;
      taps.count = 4;
      --first;
      taps.weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
      taps.weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
      taps.weight[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
      taps.weight[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
    }
    for (int i = 0; i < taps.count; ++i) taps.index[i] = Inside(first + i, n);
    return taps;
  }
};

// Sum of weights * elements over the axes from `axis` on; axes ascending, the innermost summed first.
float Sampled(const float* plane, const std::vector<Taps>& taps, const Shape& x_shape, size_t axis,
              int64_t offset) {
  const Taps& own = taps[axis];
  float sum = 0;
  for (int i = 0; i < own.count; ++i) {
    if (own.index[i] < 0) continue;
    const int64_t at = offset * x_shape[axis + 2] + own.index[i];
    sum +=
        own.weight[i] * (axis + 1 == taps.size() ? plane[at] : Sampled(plane, taps, x_shape, axis + 1, at));
  }
  return sum;
}

void EvaluateGridSample(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32(), grid = c.in(1).ToFloat32();
  const int64_t axes = x.rank() - 2;
  if (axes < 1 || grid.rank() != x.rank() || grid.dim(-1) != axes || grid.dim(0) != x.dim(0)) {
    throw Error("input " + ToString(x.shape()) + " and grid " + ToString(grid.shape()) + " do not fit", "",
                "expected [N, C, D1..Dk] and [N, E1..Ek, k]");
  }
  const std::string mode = c.node.String("mode", "linear"), padding = c.node.String("padding_mode", "zeros");
  Sampler sampler;
  sampler.align_corners = c.node.Int("align_corners", 0) != 0;
  if (mode == "linear" || mode == "bilinear") {
    sampler.mode = Sampler::kLinear;
  } else if (mode == "cubic" || mode == "bicubic") {
    sampler.mode = Sampler::kCubic;
  } else if (mode == "nearest") {
    sampler.mode = Sampler::kNearest;
  } else {
    throw Error("unknown mode " + mode, "", "expected linear, cubic or nearest");
  }
  if (padding == "zeros") {
    sampler.padding = Padding::kZeros;
  } else if (padding == "border") {
    sampler.padding = Padding::kBorder;
  } else if (padding == "reflection") {
    sampler.padding = Padding::kReflection;
  } else {
    throw Error("unknown padding_mode " + padding, "", "expected zeros, border or reflection");
  }
  Shape shape{x.dim(0), x.dim(1)};
  shape.insert(shape.end(), grid.shape().begin() + 1, grid.shape().end() - 1);
  Tensor y = c.scratch(DType::kFloat, shape);
  const int64_t channels = x.dim(1), batches = x.dim(0);
  const int64_t plane = ElementCount(Shape(x.shape().begin() + 2, x.shape().end()));
  const int64_t points = ElementCount(Shape(shape.begin() + 2, shape.end()));
  if (y.size() > 0 && plane == 0) throw Error("the input has no elements to sample");
  c.pool.ParallelFor(batches * points, 256, [&](int64_t begin, int64_t end, int) {
    std::vector<Taps> taps(static_cast<size_t>(axes));
    for (int64_t i = begin; i < end; ++i) {
      const float* at = grid.data<float>() + i * axes;  // x first, so the last axis first
      for (int64_t k = 0; k < axes; ++k)
        taps[static_cast<size_t>(k)] = sampler.At(at[axes - 1 - k], x.dim(k + 2));
      for (int64_t channel = 0; channel < channels; ++channel) {
        const int64_t image = i / points * channels + channel;
        y.data<float>()[image * points + i % points] =
            Sampled(x.data<float>() + image * plane, taps, x.shape(), 0, 0);
      }
    }
  });
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// Four neighbours of a point of a height x width plane and their bilinear weights; all zero outside.
struct Bilinear {
  int64_t at[4] = {0, 0, 0, 0};
  float weight[4] = {0, 0, 0, 0};
};

Bilinear BilinearAt(float y, float x, int64_t height, int64_t width) {
  Bilinear result;
  if (!(y >= -1 && y <= static_cast<float>(height) && x >= -1 && x <= static_cast<float>(width)))
    return result;
  y = std::max(y, 0.0f);
  x = std::max(x, 0.0f);
  int64_t y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x), y1 = y0 + 1, x1 = x0 + 1;
  if (y0 >= height - 1) {
    y0 = y1 = height - 1;
    y = static_cast<float>(y0);
  }
  if (x0 >= width - 1) {
    x0 = x1 = width - 1;
    x = static_cast<float>(x0);
  }
  const float ly = y - static_cast<float>(y0), lx = x - static_cast<float>(x0), hy = 1 - ly, hx = 1 - lx;
  const int64_t at[4] = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
  const float weight[4] = {hy * hx, hy * lx, ly * hx, ly * lx};
  std::copy_n(at, 4, result.at);
  std::copy_n(weight, 4, result.weight);
  return result;
}

void EvaluateRoiAlign(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32(), rois = c.in(1).ToFloat32();
  const std::vector<int64_t> images = c.in(2).ToInts();
  const int64_t count = static_cast<int64_t>(images.size());
  if (x.rank() != 4 || rois.rank() != 2 || rois.dim(0) != count || rois.dim(1) != 4) {
    throw Error("input " + ToString(x.shape()) + ", rois " + ToString(rois.shape()) + " and " +
                    std::to_string(count) + " batch indices do not fit",
                "", "expected [N, C, H, W], [rois, 4] and [rois]");
  }
  const std::string mode = c.node.String("mode", "avg");
  if (mode != "avg" && mode != "max") throw Error("unknown mode " + mode, "", "expected avg or max");
  const std::string frame =
      c.node.String("coordinate_transformation_mode", c.opset >= 16 ? "half_pixel" : "output_half_pixel");
  const bool half_pixel = frame == "half_pixel", average = mode == "avg";
  const int64_t out_h = c.node.Int("output_height", 1), out_w = c.node.Int("output_width", 1),
                ratio = c.node.Int("sampling_ratio", 0);
  constexpr float kMostPoints = 4096;  // sampled in a bin, along each axis
  constexpr float kFarthest = 1e9f;    // pixel
  if (ratio < 0 || ratio > static_cast<int64_t>(kMostPoints))
    throw Error("sampling_ratio " + std::to_string(ratio) + " is out of range", "", "expected 0 to 4096");
  const float scale = c.node.Float("spatial_scale", 1), shift = half_pixel ? 0.5f : 0;
  const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  for (int64_t image : images) {
    if (image < 0 || image >= x.dim(0))
      throw Error("batch index " + std::to_string(image) + " is out of range");
  }
  Tensor y = c.scratch(DType::kFloat, {count, channels, out_h, out_w});
  if (y.size() > 0 && height * width == 0) throw Error("the input has no elements to sample");
  c.pool.ParallelFor(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* roi = rois.data<float>() + r * 4;
      const float left = roi[0] * scale - shift, top = roi[1] * scale - shift;
      float roi_w = roi[2] * scale - shift - left, roi_h = roi[3] * scale - shift - top;
      if (!half_pixel) {
        roi_w = std::max(roi_w, 1.0f);
        roi_h = std::max(roi_h, 1.0f);
      }
      const float bin_h = roi_h / static_cast<float>(out_h), bin_w = roi_w / static_cast<float>(out_w);
      // Also not where one is NaN.
      const bool bounded = std::fabs(bin_h) < kMostPoints && std::fabs(bin_w) < kMostPoints;
      if (!bounded || std::fabs(left) > kFarthest || std::fabs(top) > kFarthest)
        throw Error("region " + std::to_string(r) + " of rois is too large or not finite");
      const int64_t grid_h = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_h));
      const int64_t grid_w = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_w));
      std::vector<Bilinear> points;
      for (int64_t bin = 0; bin < out_h * out_w; ++bin) {
        points.clear();
        for (int64_t i = 0; i < grid_h * grid_w && grid_w > 0; ++i) {
          const float py = top + static_cast<float>(bin / out_w) * bin_h +
                           (static_cast<float>(i / grid_w) + 0.5f) * bin_h / static_cast<float>(grid_h);
          const float px = left + static_cast<float>(bin % out_w) * bin_w +
                           (static_cast<float>(i % grid_w) + 0.5f) * bin_w / static_cast<float>(grid_w);
          points.push_back(BilinearAt(py, px, height, width));
        }
        for (int64_t channel = 0; channel < channels; ++channel) {
          const float* plane =
              x.data<float>() + (images[static_cast<size_t>(r)] * channels + channel) * height * width;
          float result = 0;
          for (size_t i = 0; i < points.size(); ++i) {
            const Bilinear& p = points[i];
            float value[4];
            for (int k = 0; k < 4; ++k) value[k] = p.weight[k] * plane[p.at[k]];
            if (average) {
              result += ((value[0] + value[1]) + value[2]) + value[3];
            } else {
              const float largest = std::max(std::max(value[0], value[1]), std::max(value[2], value[3]));
              result = i == 0 ? largest : std::max(result, largest);
            }
          }
          if (average) result /= static_cast<float>(std::max<size_t>(points.size(), 1));
          y.data<float>()[(r * channels + channel) * out_h * out_w + bin] = result;
        }
      }
    }
  });
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// The largest element of each of pooled_shape bins of a region [batch index, x1, y1, x2, y2], whose corners
// are rounded to pixels and belong to it; an empty bin gives 0.
void EvaluateMaxRoiPool(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32(), rois = c.in(1).ToFloat32();
  const std::vector<int64_t> bins = c.node.Ints("pooled_shape");
  if (x.rank() != 4 || rois.rank() != 2 || rois.dim(1) != 5 || bins.size() != 2 || bins[0] < 1 ||
      bins[1] < 1) {
    throw Error("input " + ToString(x.shape()) + ", rois " + ToString(rois.shape()) + " and pooled_shape " +
                    ToString(bins) + " do not fit",
                "", "expected [N, C, H, W], [rois, 5] and two sizes");
  }
  const float scale = c.node.Float("spatial_scale", 1);
  const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  for (int64_t i = 0; i < rois.size(); ++i) {
    const float value = rois.data<float>()[i];
    const bool fits =
        i % 5 == 0 ? value >= 0 && value < static_cast<float>(x.dim(0)) : std::fabs(value * scale) < 1e9f;
    if (!fits) throw Error("region " + std::to_string(i / 5) + " has the entry " + std::to_string(value));
  }
  // Pixels [first, last) of a bin, inside the plane.
  struct Range {
    int64_t first, last;
    Range(int64_t start, int64_t extent, int64_t bin, int64_t count, int64_t limit)
        : first(std::clamp<int64_t>(start + bin * extent / count, 0, limit)),
          last(std::clamp<int64_t>(start + ((bin + 1) * extent + count - 1) / count, 0, limit)) {}
  };
  Tensor y = c.scratch(DType::kFloat, {rois.dim(0), channels, bins[0], bins[1]});
  c.pool.ParallelFor(rois.dim(0) * channels, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* roi = rois.data<float>() + i / channels * 5;
      const auto corner = [&](int k) { return static_cast<int64_t>(std::round(roi[k] * scale)); };
      const int64_t left = corner(1), top = corner(2), image = static_cast<int64_t>(roi[0]);
      const int64_t roi_w = std::max<int64_t>(corner(3) - left + 1, 1),
                    roi_h = std::max<int64_t>(corner(4) - top + 1, 1);
      const float* plane = x.data<float>() + (image * channels + i % channels) * height * width;
      for (int64_t bin = 0; bin < bins[0] * bins[1]; ++bin) {
        const Range rows(top, roi_h, bin / bins[1], bins[0], height);
        const Range columns(left, roi_w, bin % bins[1], bins[1], width);
        const bool empty = rows.first >= rows.last || columns.first >= columns.last;
        float best = empty ? 0 : -std::numeric_limits<float>::infinity();
        for (int64_t py = rows.first; py < rows.last; ++py) {
          for (int64_t px = columns.first; px < columns.last; ++px)
            best = std::max(best, plane[py * width + px]);
        }
        y.data<float>()[i * bins[0] * bins[1] + bin] = best;
      }
    }
  });
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// Grid point (x, y[, z], 1) of [-1, 1] times theta, [N, k, k+1]; result [N, (D,) H, W, k].
void EvaluateAffineGrid(EvalContext& c) {
  const Tensor theta = c.in(0).ToFloat32();
  const std::vector<int64_t> size = c.in(1).ToInts();
  const auto axes = static_cast<int64_t>(size.size()) - 2;
  if ((axes != 2 && axes != 3) || theta.shape() != Shape{size[0], axes, axes + 1}) {
    throw Error("theta " + ToString(theta.shape()) + " does not fit size " + ToString(size));
  }
  const bool align = c.node.Int("align_corners", 0) != 0;
  Shape shape{size[0]};
  shape.insert(shape.end(), size.begin() + 2, size.end());
  const int64_t points = ElementCount(Shape(shape.begin() + 1, shape.end()));
  shape.push_back(axes);
  Tensor y = c.scratch(DType::kFloat, shape);
  c.pool.ParallelFor(size[0] * points, 4096, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float at[3];
      int64_t rest = i % points;
      for (int64_t k = 0; k < axes; ++k) {  // the last axis is x
        const int64_t n = size[size.size() - 1 - static_cast<size_t>(k)];
        const auto index = static_cast<float>(rest % n), length = static_cast<float>(n);
        rest /= n;
        at[k] = align ? (n == 1 ? 0 : 2 * index / (length - 1) - 1) : (2 * index + 1) / length - 1;
      }
      for (int64_t row = 0; row < axes; ++row) {
        const float* weights = theta.data<float>() + (i / points * axes + row) * (axes + 1);
        float sum = weights[axes];
        for (int64_t k = 0; k < axes; ++k) sum += weights[k] * at[k];
        y.data<float>()[i * axes + row] = sum;
      }
    }
  });
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> VisionOperators() {
  return {
      {"", "NonMaxSuppression", 10, kAnyLater, EvaluateNonMaxSuppression},
      {"", "GridSample", 16, kAnyLater, EvaluateGridSample},
      {"", "RoiAlign", 10, kAnyLater, EvaluateRoiAlign},
      {"", "MaxRoiPool", 1, kAnyLater, EvaluateMaxRoiPool},
      {"", "AffineGrid", 20, kAnyLater, EvaluateAffineGrid},
  };
}

}  // namespace xslim
