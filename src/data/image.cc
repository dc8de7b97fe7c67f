#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/vector_clones.h"
#include "data/image_codecs.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// The number the user wrote: the shortest decimal of the float, read as a double. XSlim normalises in double
// with the JSON's number, which differs from the float's value in digits that show in the last bit of the
// result.
double AsWritten(float value) {
  char text[32];
  *std::to_chars(text, text + sizeof text - 1, value).ptr = '\0';
  double written = 0;
  std::from_chars(text, text + sizeof text, written);
  return written;
}

std::vector<double> PerChannel(const std::vector<float>& values, double missing, int channels,
                               const std::string& where) {
  if (values.empty()) return std::vector<double>(static_cast<size_t>(channels), missing);
  if (values.size() != 1 && values.size() != static_cast<size_t>(channels)) {
    throw Error(StrCat(values.size(), " values for ", channels, " channel(s)"), where,
                "give one value, or one per channel");
  }
  std::vector<double> out;
  for (int c = 0; c < channels; ++c)
    out.push_back(AsWritten(values[values.size() == 1 ? 0 : static_cast<size_t>(c)]));
  return out;
}

// One axis of Pillow's resampling: for each output the first input and its fixed-point weights.
struct Taps {
  std::vector<int> first, count;
  std::vector<int32_t> weights;  // `width` per output
  int width = 0;
};

constexpr int kPrecisionBits = 32 - 8 - 2;  // Pillow's: 8 bits of pixel, 2 of headroom

Taps BilinearTaps(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double stretch = scale < 1.0 ? 1.0 : scale;  // the triangle's half width, in input pixels
  const double inverse = 1.0 / stretch;
  Taps taps;
  taps.width = static_cast<int>(std::ceil(stretch)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(out_size) * static_cast<size_t>(taps.width), 0);
  std::vector<double> row(static_cast<size_t>(taps.width));
  for (int i = 0; i < out_size; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - stretch + 0.5), 0);
    const int count = std::min(static_cast<int>(center + stretch + 0.5), in_size) - first;
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      const double distance = std::fabs((k + first - center + 0.5) * inverse);
      row[static_cast<size_t>(k)] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += row[static_cast<size_t>(k)];
    }
    int32_t* weights = &taps.weights[static_cast<size_t>(i) * static_cast<size_t>(taps.width)];
    for (int k = 0; k < count; ++k) {
      const double weight = sum != 0.0 ? row[static_cast<size_t>(k)] / sum : row[static_cast<size_t>(k)];
      weights[k] = static_cast<int32_t>(0.5 + weight * (1 << kPrecisionBits));
    }
    taps.first.push_back(first);
    taps.count.push_back(count);
  }
  return taps;
}

// Weighted sum of `count` pixels `step` apart, rounded and clipped to 8 bits.
inline uint8_t Blend(const uint8_t* in, size_t step, const int32_t* weights, int count) {
  int32_t sum = 1 << (kPrecisionBits - 1);
  for (int k = 0; k < count; ++k) sum += in[static_cast<size_t>(k) * step] * weights[k];
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// The same for whole rows of `row` bytes, one after the other.
XSLIM_VECTOR_CLONES void BlendRows(const uint8_t* in, size_t row, const int32_t* weights, int count,
                                   uint8_t* out) {
  constexpr size_t kTogether = 256;  // sums, which stay in the nearest cache
  for (size_t begin = 0; begin < row; begin += kTogether) {
    const size_t n = std::min(kTogether, row - begin);
    int32_t sums[kTogether];
    std::fill_n(sums, n, 1 << (kPrecisionBits - 1));
    for (int k = 0; k < count; ++k) {
      const uint8_t* const x = in + static_cast<size_t>(k) * row + begin;
      for (size_t i = 0; i < n; ++i) sums[i] += x[i] * weights[k];
    }
    for (size_t i = 0; i < n; ++i)
      out[begin + i] = static_cast<uint8_t>(std::clamp(sums[i] >> kPrecisionBits, 0, 255));
  }
}

// torchvision on a PIL image: shorter side to int(H/0.875), centre crop H x H with Python's half-even
// round().
cv::Mat PtImagenet(const cv::Mat& image, int size) {
  const int side = static_cast<int>(size / 0.875);
  const int64_t w = image.cols, h = image.rows;
  const int width = w <= h ? side : static_cast<int>(static_cast<double>(side * w) / static_cast<double>(h));
  const int height = w <= h ? static_cast<int>(static_cast<double>(side * h) / static_cast<double>(w)) : side;
  const int top = static_cast<int>(std::nearbyint((height - size) / 2.0));
  const int left = static_cast<int>(std::nearbyint((width - size) / 2.0));
  if (width == w && height == h) return image(cv::Rect(left, top, size, size)).clone();
  const std::vector<uint8_t> pixels =
      PillowBilinear(image.ptr<uint8_t>(), image.rows, image.cols, image.channels(), height, width,
                     PixelWindow{top, left, size, size});
  return cv::Mat(size, size, image.type(), const_cast<uint8_t*>(pixels.data())).clone();
}

// OpenCV's resize by area, INTER_AREA. Where it sums fractions of pixels its last bits depend on whether the
// compiler fused products and sums, so that is done here, in the steps of its x86-64 builds.
cv::Mat AreaResize(const cv::Mat& image, int height, int width) {
  cv::Mat resized;
  if (!NeedsAreaShrink(image.rows, image.cols, height, width)) {
    cv::resize(image, resized, cv::Size(width, height), 0, 0, cv::INTER_AREA);
    return resized;
  }
  const std::vector<uint8_t> pixels =
      AreaShrink(image.ptr<uint8_t>(), image.rows, image.cols, image.channels(), height, width);
  return cv::Mat(height, width, image.type(), const_cast<uint8_t*>(pixels.data())).clone();
}

// Aspect-preserving area resize so that the crop is 87.5% of the shorter side, then the centre crop.
cv::Mat Imagenet(const cv::Mat& image, int H, int W) {
  const int64_t h = image.rows, w = image.cols;
  const int tall = static_cast<int>(100.0 * H / 87.5), wide = static_cast<int>(100.0 * W / 87.5);
  const int width = h > w ? wide : static_cast<int>(static_cast<double>(wide * w) / static_cast<double>(h));
  const int height = h > w ? static_cast<int>(static_cast<double>(tall * h) / static_cast<double>(w)) : tall;
  return AreaResize(image, height, width)(cv::Rect((width - W) / 2, (height - H) / 2, W, H)).clone();
}

// As large as fits, centred, grey around it: the steps of LetterBox in Ultralytics' data/augment.py, which
// YOLO models of theirs are trained and run with. Halves are rounded as Python's round() does.
cv::Mat Letterbox(const cv::Mat& image, int H, int W) {
  constexpr int kGrey = 114;
  const double ratio = std::min(static_cast<double>(H) / image.rows, static_cast<double>(W) / image.cols);
  const auto scaled = [&](int side) { return std::max(static_cast<int>(std::nearbyint(side * ratio)), 1); };
  const auto before = [](int free) { return static_cast<int>(std::nearbyint(free / 2.0 - 0.1)); };
  const int height = scaled(image.rows), width = scaled(image.cols);
  cv::Mat boxed(H, W, image.type(), cv::Scalar::all(kGrey));
  cv::Mat inside = boxed(cv::Rect(before(W - width), before(H - height), width, height));
  cv::resize(image, inside, inside.size(), 0, 0, cv::INTER_LINEAR_EXACT);
  return boxed;
}

// cut: as ReadImage() has it, or null.
cv::Mat Decode(const std::string& path, const ImageSettings& settings, bool* cut) {
  std::string bytes = ReadFile(path);
  if (bytes.empty()) throw Error("the image file is empty", path);
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    throw Error("the image file is over 2 GB", path);
  CheckPng(path, &bytes);
  const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8UC1, bytes.data());
  cv::Mat image = DecodeImage(buffer, settings.channels == 1);
  if (image.empty())
    throw Error("cannot decode the image", path,
                "damaged, or none of what file_type img takes by OpenCV: jpg, png, bmp...");
  if (cut != nullptr) *cut = IsCutJpeg(bytes);
  return image;
}

}  // namespace

std::vector<uint8_t> PillowBilinear(const uint8_t* in, int height, int width, int channels, int new_height,
                                    int new_width, std::optional<PixelWindow> window) {
  const PixelWindow kept = window.value_or(PixelWindow{0, 0, new_height, new_width});
  const size_t c = static_cast<size_t>(channels), row = static_cast<size_t>(width) * c;
  const size_t new_row = static_cast<size_t>(kept.width) * c;
  // Pillow leaves out a pass that would not change the size; of the rows only those are made that are read.
  const Taps down = new_height == height ? Taps() : BilinearTaps(height, new_height);
  const auto last = static_cast<size_t>(kept.top + kept.height - 1);
  const size_t begin = new_height == height ? static_cast<size_t>(kept.top)
                                            : static_cast<size_t>(down.first[static_cast<size_t>(kept.top)]);
  const size_t end =
      new_height == height ? last + 1 : static_cast<size_t>(down.first[last] + down.count[last]);
  std::vector<uint8_t> across((end - begin) * new_row);
  if (new_width == width) {
    for (size_t y = begin; y < end; ++y)
      std::copy_n(in + y * row + static_cast<size_t>(kept.left) * c, new_row, &across[(y - begin) * new_row]);
  } else {
    const Taps taps = BilinearTaps(width, new_width);
    for (size_t y = begin; y < end; ++y) {
      uint8_t* out = &across[(y - begin) * new_row];
      for (auto x = static_cast<size_t>(kept.left); x < static_cast<size_t>(kept.left + kept.width); ++x) {
        const int32_t* weights = &taps.weights[x * static_cast<size_t>(taps.width)];
        const uint8_t* const pixels = in + y * row + static_cast<size_t>(taps.first[x]) * c;
        for (size_t k = 0; k < c; ++k) *out++ = Blend(pixels + k, c, weights, taps.count[x]);
      }
    }
  }
  if (new_height == height) return across;
  std::vector<uint8_t> out(static_cast<size_t>(kept.height) * new_row);
  for (size_t i = 0; i < static_cast<size_t>(kept.height); ++i) {
    const size_t y = static_cast<size_t>(kept.top) + i;
    BlendRows(&across[(static_cast<size_t>(down.first[y]) - begin) * new_row], new_row,
              &down.weights[y * static_cast<size_t>(down.width)], down.count[y], &out[i * new_row]);
  }
  return out;
}

namespace {

// What mean_value and std_value look like that are not meant for pixels of 0..255.
void WarnOfScale(const ImageSettings& settings, const std::string& where) {
  constexpr double kFactor = 0.05;  // no picture of 0..1 has so small a deviation
  const auto [least, most] = std::minmax_element(settings.std.begin(), settings.std.end());
  const auto small = [](double mean) { return std::abs(mean) <= 1; };
  if (*least <= 0 || *most >= 1) return;
  if (*most < kFactor) {
    LogWarning(where, ".std_value: pixels are 0..255 and divided by it: ", *most,
               " looks like a factor, give its reciprocal");
  } else if (std::all_of(settings.mean.begin(), settings.mean.end(), small)) {
    LogWarning(where,
               ": pixels are 0..255, mean_value and std_value look like those of 0..1: multiply both by 255");
  }
}

}  // namespace

Preset PresetOf(const std::string& preprocess_file) {
  if (preprocess_file == "PT_IMAGENET") return Preset::kPtImagenet;
  if (preprocess_file == "IMAGENET") return Preset::kImagenet;
  if (preprocess_file == "LETTERBOX") return Preset::kLetterbox;
  return Preset::kNone;
}

ImageSettings MakeImageSettings(const InputParameters& entry, const Shape& shape, const std::string& where) {
  const std::string field = where + ".input_shape";
  if (shape.size() != 4) {
    throw Error(StrCat("images need a shape of rank 4, got ", ToString(shape)), field,
                "give input_shape as [N,C,H,W] or [N,H,W,C]; for files of arrays, file_type npy or raw");
  }
  const auto is_channels = [](int64_t dim) { return dim == 1 || dim == 3; };
  ImageSettings settings;
  settings.channels_last = !is_channels(shape[1]) && is_channels(shape[3]);
  const size_t channel_axis = settings.channels_last ? 3 : 1;
  const int64_t channels = shape[channel_axis] < 0 ? 3 : shape[channel_axis];
  const int64_t height = shape[settings.channels_last ? 1 : 2], width = shape[settings.channels_last ? 2 : 3];
  if (!is_channels(channels)) {
    throw Error(StrCat("images have 1 or 3 channels, the shape is ", ToString(shape)), field,
                "use file_type npy");
  }
  if (height <= 0 || width <= 0) {
    throw Error(StrCat("the image size is unknown: ", ToString(shape)), field,
                "give input_shape, e.g. [1,3,224,224]");
  }
  constexpr int64_t kMost = 1 << 15;
  if (height > kMost || width > kMost)
    throw Error(StrCat("images over ", kMost, " pixels a side: ", ToString(shape)), field);
  settings.channels = static_cast<int>(channels);
  settings.height = static_cast<int>(height);
  settings.width = static_cast<int>(width);
  settings.rgb = entry.color_format == ColorFormat::kRgb;
  settings.preset = PresetOf(entry.preprocess_file);
  if (settings.preset == Preset::kPtImagenet && height != width) {
    throw Error(StrCat("PT_IMAGENET makes square crops, the shape is ", ToString(shape)),
                where + ".preprocess_file");
  }
  settings.mean = PerChannel(entry.mean_value, 0, settings.channels, where + ".mean_value");
  settings.std = PerChannel(entry.std_value, 1, settings.channels, where + ".std_value");
  for (const double value : settings.std) {
    if (value == 0) throw Error("std_value divides and must not be 0", where + ".std_value");
  }
  WarnOfScale(settings, where);
  return settings;
}

std::pair<int, int> ImageSize(const std::string& path) {
  try {
    const cv::Mat image = Decode(path, ImageSettings(), nullptr);
    return {image.rows, image.cols};
  } catch (const cv::Exception& error) {
    throw Error("cannot decode the image", path, error.err);
  }
}

Tensor ReadImage(const std::string& path, const ImageSettings& settings, bool* cut) {
  const int H = settings.height, W = settings.width, C = settings.channels;
  cv::Mat image;
  try {
    image = Decode(path, settings, cut);
    if (settings.preset == Preset::kPtImagenet) {
      image = PtImagenet(image, H);
    } else if (settings.preset == Preset::kImagenet) {
      image = Imagenet(image, H, W);
    } else if (settings.preset == Preset::kLetterbox) {
      image = Letterbox(image, H, W);
    } else {
      image = AreaResize(image, H, W);
    }
  } catch (const cv::Exception& error) {
    throw Error("cannot decode the image", path, error.err);
  }
  Tensor tensor(DType::kFloat, settings.channels_last ? Shape{1, H, W, C} : Shape{1, C, H, W});
  float* out = tensor.data<float>();
  for (int c = 0; c < C; ++c) {
    const double mean = settings.mean[static_cast<size_t>(c)], std = settings.std[static_cast<size_t>(c)];
    float table[256];
    for (int value = 0; value < 256; ++value) {
      // As XSlim's numpy: its presets normalise in float32, the plain path in double.
      table[value] = settings.preset == Preset::kNone || settings.preset == Preset::kLetterbox
                         ? static_cast<float>((value - mean) / std)
                         : (static_cast<float>(value) - static_cast<float>(mean)) / static_cast<float>(std);
    }
    const int from = settings.rgb && C == 3 ? C - 1 - c : c;  // images are read as BGR
    for (int y = 0; y < H; ++y) {
      const uint8_t* in = image.ptr<uint8_t>(y) + from;
      for (int x = 0; x < W; ++x) {
        const int64_t at =
            settings.channels_last ? (int64_t{y} * W + x) * C + c : (int64_t{c} * H + y) * W + x;
        out[at] = table[in[static_cast<ptrdiff_t>(x) * C]];
      }
    }
  }
  return tensor;
}

}  // namespace xslim
