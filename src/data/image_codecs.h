// Image files to pixels.
#ifndef XSLIM_DATA_IMAGE_CODECS_H_
#define XSLIM_DATA_IMAGE_CODECS_H_

#include <opencv2/core.hpp>
#include <string>
#include <string_view>

namespace xslim {

// The pixels of a file's bytes (one row): gray, or three channels in the order blue, green, red; empty when
// it is no image of a known format. Throws Error when OpenCV's library of formats cannot be loaded.
cv::Mat DecodeImage(const cv::Mat& bytes, bool gray);

// The same of a JPEG file; empty for other files, damaged ones and rarer kinds (Exif data, CMYK), which
// DecodeImage leaves to OpenCV.
cv::Mat DecodeJpeg(const cv::Mat& bytes, bool gray);

// A PNG file of an image as DecodeImage gives it, of at least one pixel. Throws Error as that does.
std::string EncodePng(const cv::Mat& image);

// Whether the bytes are those of a JPEG file that ends before its picture does; decoders make up the rest.
bool IsCutJpeg(std::string_view bytes);

}  // namespace xslim

#endif  // XSLIM_DATA_IMAGE_CODECS_H_
