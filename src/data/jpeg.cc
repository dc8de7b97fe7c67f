// JPEG files (ISO/IEC 10918-1), which nearly all calibration images are, by libjpeg-turbo alone: OpenCV's
// formats read them with the same library, and to the same pixels, but load 138 more.
#include <turbojpeg.h>

#include <cstring>
#include <memory>

#include "data/image_codecs.h"

namespace xslim {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 30;  // OpenCV's limit

// What precedes the picture: whether it may hold Exif data, which may ask for the picture to be turned (also
// where it is not laid out as expected), and where the picture begins (0: not found).
struct Front {
  bool exif = true;
  size_t picture = 0;
};

Front ReadFront(const uint8_t* bytes, size_t size) {
  constexpr uint8_t kFill = 0xff, kFirstWithLength = 0xc0, kRestart0 = 0xd0, kEnd = 0xd9, kScan = 0xda,
                    kApplication1 = 0xe1;
  constexpr char kExif[] = "Exif";
  bool exif = false;
  for (size_t at = 2; at + 4 <= size && bytes[at] == 0xff;) {
    const uint8_t marker = bytes[at + 1];
    if (marker == kScan) return {exif, at};
    if (marker == kFill) {  // any number of them may precede a marker
      ++at;
      continue;
    }
    const size_t length = size_t{bytes[at + 2]} * 256 + bytes[at + 3];
    if (marker < kFirstWithLength || (marker >= kRestart0 && marker <= kEnd) || length < 2) return {};
    if (marker == kApplication1 && at + 4 + sizeof kExif <= size &&
        std::memcmp(bytes + at + 4, kExif, sizeof kExif) == 0)
      exif = true;
    at += 2 + length;
  }
  return {};
}

bool IsJpeg(const uint8_t* bytes, size_t size) { return size >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8; }

}  // namespace

cv::Mat DecodeJpeg(const cv::Mat& bytes, bool gray) {
  const size_t size = bytes.total();
  if (!IsJpeg(bytes.data, size) || ReadFront(bytes.data, size).exif) return {};
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  int width = 0, height = 0, sampling = 0, space = 0;
  if (!decoder ||
      tjDecompressHeader3(decoder.get(), bytes.data, size, &width, &height, &sampling, &space) != 0 ||
      (space != TJCS_YCbCr && space != TJCS_GRAY) || int64_t{width} * height > kMostPixels)
    return {};
  cv::Mat image(height, width, gray ? CV_8UC1 : CV_8UC3);
  const bool whole =
      tjDecompress2(decoder.get(), bytes.data, size, image.data, width, static_cast<int>(image.step[0]),
                    height, gray ? TJPF_GRAY : TJPF_BGR, 0) == 0;
  return whole ? image : cv::Mat();
}

bool IsCutJpeg(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (!IsJpeg(data, bytes.size())) return false;
  const size_t picture = ReadFront(data, bytes.size()).picture;  // in it, 0xff 0xd9 is the end alone
  return picture > 0 && bytes.find("\xff\xd9", picture) == bytes.npos;
}

}  // namespace xslim
