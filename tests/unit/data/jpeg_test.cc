#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <cstring>
#include <string>
#include <vector>

#include "data/image_codecs.h"

namespace xslim {
namespace {

// Of smooth colours, with sides that no block size divides.
std::string Jpeg(int subsampling, TJPF format = TJPF_RGB, int flags = 0) {
  constexpr int kWidth = 53, kHeight = 37;
  const int channels = tjPixelSize[format];
  std::vector<unsigned char> pixels;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < channels; ++c)
        pixels.push_back(static_cast<unsigned char>((x * (c + 2) + y * (5 - c)) % 256));
    }
  }
  const tjhandle encoder = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(
      tjCompress2(encoder, pixels.data(), kWidth, 0, kHeight, format, &bytes, &size, subsampling, 90, flags),
      0);
  std::string file(reinterpret_cast<char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  return file;
}

// With a segment of Exif data that says nothing of how to turn the picture.
std::string WithExif(std::string file) {
  const std::string exif("Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", 20);
  const std::string segment = std::string("\xff\xe1\0", 3) + static_cast<char>(exif.size() + 2) + exif;
  return file.insert(2, segment);
}

// With bytes between the start of the file and what followed it.
std::string WithFront(const std::string& bytes, std::string file) { return file.insert(2, bytes); }

cv::Mat Bytes(std::string& file) { return cv::Mat(1, static_cast<int>(file.size()), CV_8UC1, file.data()); }

cv::Mat Plain(std::string file, bool gray) { return DecodeJpeg(Bytes(file), gray); }

// DecodeJpeg leaves it to OpenCV.
cv::Mat ByOpenCv(const std::string& file, bool gray) {
  std::string with = WithExif(file);
  EXPECT_TRUE(DecodeJpeg(Bytes(with), gray).empty());
  return DecodeImage(Bytes(with), gray);
}

bool Same(const cv::Mat& a, const cv::Mat& b) {
  return !a.empty() && a.size() == b.size() && a.type() == b.type() && a.isContinuous() && b.isContinuous() &&
         std::memcmp(a.data, b.data, a.total() * a.elemSize()) == 0;
}

TEST(DecodeJpeg, GivesThePixelsOfOpenCv) {
  for (const int subsampling : {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411, TJSAMP_GRAY}) {
    for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
      const std::string file = Jpeg(subsampling, TJPF_RGB, flags);
      for (const bool gray : {false, true})
        EXPECT_TRUE(Same(Plain(file, gray), ByOpenCv(file, gray)))
            << subsampling << ' ' << flags << ' ' << gray;
    }
  }
}

TEST(DecodeJpeg, LeavesOtherFilesToOpenCv) {
  const std::string file = Jpeg(TJSAMP_420);
  EXPECT_FALSE(Plain(file, false).empty());
  EXPECT_TRUE(Plain(file.substr(0, file.size() / 2), false).empty());
  EXPECT_TRUE(Plain(file.substr(0, 30), false).empty());
  EXPECT_TRUE(Plain("\x89PNG", false).empty());
  EXPECT_TRUE(Plain("\xff\xd8", false).empty());
  EXPECT_TRUE(Plain(Jpeg(TJSAMP_444, TJPF_CMYK), false).empty());
}

TEST(DecodeJpeg, SeesExifBehindFillBytes) {
  const std::string file = Jpeg(TJSAMP_420);
  for (const size_t count : {1, 2, 3, 7}) {
    const std::string fill(count, '\xff');
    EXPECT_TRUE(Plain(WithFront(fill, WithExif(file)), false).empty()) << count;
    EXPECT_TRUE(Same(Plain(WithFront(fill, file), false), Plain(file, false))) << count;
  }
}

// libjpeg-turbo skips what is odd in front of the Exif data.
TEST(DecodeJpeg, LeavesOddFilesToOpenCv) {
  const std::string exif = WithExif(Jpeg(TJSAMP_420));
  EXPECT_TRUE(Plain(WithFront("\xff\x01", exif), false).empty());  // a marker without a segment
  EXPECT_TRUE(Plain(WithFront("stray bytes", exif), false).empty());
  EXPECT_TRUE(Plain(WithFront(std::string("\xff\xd3", 2), exif), false).empty());
}

TEST(IsCutJpeg, TellsFilesWithoutAnEnd) {
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    const std::string file = Jpeg(TJSAMP_420, TJPF_RGB, flags);
    // A thumbnail in Exif data has an end of its own.
    const std::string thumbnail = WithFront(std::string("\xff\xe1\0\x04\xff\xd9", 6), file);
    for (const std::string& whole : {file, WithExif(file), thumbnail, file + "more"}) {
      EXPECT_FALSE(IsCutJpeg(whole));
      EXPECT_TRUE(IsCutJpeg(whole.substr(0, whole.rfind("\xff\xd9"))));
    }
    EXPECT_TRUE(IsCutJpeg(thumbnail.substr(0, thumbnail.size() - 50)));
  }
  EXPECT_FALSE(IsCutJpeg("\x89PNG"));
  EXPECT_FALSE(IsCutJpeg("\xff\xd8"));
  EXPECT_FALSE(IsCutJpeg(""));
}

}  // namespace
}  // namespace xslim
