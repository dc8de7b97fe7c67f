// OpenCV's image formats bring some hundred libraries with them, which take longer to load than most models
// to convert. They are loaded when the first image is read that is no plain JPEG.
#include "data/image_codecs.h"

#include <dlfcn.h>

#include <opencv2/imgcodecs.hpp>
#include <string>

#include "xslim/error.h"

namespace xslim {
namespace {

using Decoder = cv::Mat (*)(cv::InputArray, int);

// cv::imdecode(cv::InputArray, int) as compilers of the Itanium C++ ABI name it.
constexpr const char* kDecoder = "_ZN2cv8imdecodeERKNS_11_InputArrayEi";

Decoder LoadDecoder() {
  void* handle = dlopen(XSLIM_IMAGE_CODECS, RTLD_NOW | RTLD_LOCAL);
  void* symbol = handle == nullptr ? nullptr : dlsym(handle, kDecoder);
  if (symbol != nullptr) return reinterpret_cast<Decoder>(symbol);
  const char* why = dlerror();
  throw Error(std::string("cannot load OpenCV's image formats: ") + (why ? why : "unknown reason"),
              XSLIM_IMAGE_CODECS, "install it, or give npy or raw files");
}

}  // namespace

cv::Mat DecodeImage(const cv::Mat& bytes, bool gray) {
  if (cv::Mat image = DecodeJpeg(bytes, gray); !image.empty()) return image;
  static const Decoder decode = LoadDecoder();
  // Like cv2.imread's default: 8 bits, EXIF orientation applied.
  return decode(bytes, gray ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
}

}  // namespace xslim
