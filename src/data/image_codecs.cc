// OpenCV's image formats bring some hundred libraries with them, which take longer to load than most models
// to convert. They are loaded when the first image is read that is no plain JPEG, or one is written.
#include "data/image_codecs.h"

#include <dlfcn.h>

#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "xslim/error.h"

namespace xslim {
namespace {

// Functions by their names of the Itanium C++ ABI.
using Decoder = cv::Mat (*)(cv::InputArray, int);
constexpr const char* kDecoder = "_ZN2cv8imdecodeERKNS_11_InputArrayEi";
using Encoder = bool (*)(const std::string&, cv::InputArray, std::vector<uchar>&, const std::vector<int>&);
constexpr const char* kEncoder =
    "_ZN2cv8imencodeERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKNS_11_"
    "InputArrayERSt6vectorIhSaIhEERK"
    "SB_IiSaIiEE";

template <typename Function>
Function Load(const char* name) {
  void* handle = dlopen(XSLIM_IMAGE_CODECS, RTLD_NOW | RTLD_LOCAL);
  void* symbol = handle == nullptr ? nullptr : dlsym(handle, name);
  if (symbol != nullptr) return reinterpret_cast<Function>(symbol);
  const char* why = dlerror();
  throw Error(std::string("cannot load OpenCV's image formats: ") + (why ? why : "unknown reason"),
              XSLIM_IMAGE_CODECS, "install it; to do without, give npy or raw files, and no --preview");
}

}  // namespace

cv::Mat DecodeImage(const cv::Mat& bytes, bool gray) {
  if (cv::Mat image = DecodeJpeg(bytes, gray); !image.empty()) return image;
  static const auto decode = Load<Decoder>(kDecoder);
  // Like cv2.imread's default: 8 bits, EXIF orientation applied.
  return decode(bytes, gray ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
}

std::string EncodePng(const cv::Mat& image) {
  static const auto encode = Load<Encoder>(kEncoder);
  std::vector<uchar> bytes;
  if (!encode(".png", image, bytes, {})) throw Error("OpenCV does not write PNG", XSLIM_IMAGE_CODECS);
  return {bytes.begin(), bytes.end()};
}

}  // namespace xslim
