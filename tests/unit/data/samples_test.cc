#include "data/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A folder of its own for each test, removed at its end.
class SamplesTest : public ::testing::Test {
 protected:
  SamplesTest()
      : folder_(std::filesystem::temp_directory_path() / ("samples_test_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~SamplesTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string WriteFloats(const std::string& name, const std::vector<float>& values) {
    return Write(name,
                 std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
  }
  std::string WriteNpy(const std::string& name, const std::string& descr, const std::string& fortran,
                       const std::string& shape, const std::string& data) {
    std::string dict =
        "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
    const std::string length{static_cast<char>(dict.size()), '\0'};
    return Write(name, std::string("\x93NUMPY\x01\x00", 8) + length + dict + data);
  }
  static ModelInput Floats(const std::string& name, Shape dims) {
    return {name, DType::kFloat, std::move(dims), true};
  }
  static InputParameters Entry(const std::string& list, FileType type) {
    InputParameters entry;
    entry.data_list_path = list;
    entry.file_type = type;
    return entry;
  }
  std::string ErrorOf(const Config& config, const std::vector<ModelInput>& inputs) {
    try {
      OpenSamples(config, inputs, 0);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  static std::vector<float> Values(const Tensor& tensor) {
    return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
  }

  std::filesystem::path folder_;
};

TEST_F(SamplesTest, BatchesBroadcastsAndDropsTheTail) {
  for (int i = 0; i < 5; ++i) WriteFloats(std::to_string(i) + ".raw", {float(i), float(i) + 0.5f});
  WriteFloats("one.raw", {7});
  Config config;
  config.calibration.calibration_batch_size = 2;
  config.calibration.input_parameters = {
      Entry(Write("a.txt", "0.raw label\r\n\r\n1.raw\r\n2.raw\n3.raw\n4.raw"), FileType::kRaw),
      Entry(Write("b.txt", "one.raw\n"), FileType::kRaw), InputParameters()};
  const auto source =
      OpenSamples(config, {Floats("a", {-1, 2}), Floats("b", {-1, 1}), Floats("c", {-1, 1})}, 0);
  ASSERT_EQ(source->size(), 2);
  const Sample sample = source->at(1);
  EXPECT_THAT(sample[0].shape(), ElementsAre(2, 2));
  EXPECT_THAT(Values(sample[0]), ElementsAre(2, 2.5, 3, 3.5));
  EXPECT_THAT(Values(sample[1]), ElementsAre(7, 7));
  EXPECT_THAT(Values(sample[2]), ElementsAre(0, 0));

  SampleStream stream(*source, {1, 0, 1});
  Sample next;
  std::vector<float> firsts;
  while (stream.Next(&next)) firsts.push_back(next[0].data<float>()[0]);
  EXPECT_THAT(firsts, ElementsAre(2, 0, 2));
}

TEST_F(SamplesTest, ABatchThatInputShapesFixesOtherwiseIsRefused) {
  Config config;
  config.calibration.calibration_batch_size = 2;
  const std::string path = WriteFloats("one.raw", {7});
  config.calibration.input_parameters = {Entry(Write("a.txt", path + "\n" + path), FileType::kRaw)};
  const auto complaint = [&](std::vector<int64_t> sizes, int64_t rows) {
    config.model.input_shapes = {{"a", std::move(sizes)}};
    try {
      OpenSamples(config, {Floats("a", {rows, 1})}, 0);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(
      complaint({1, 1}, 1),
      "calibration_parameters.calibration_batch_size: puts 2 samples together, where input_shapes fixes "
      "the batch of input a at 1 (leave it out, or let input_shapes give 2 or -1 there)");
  EXPECT_EQ(complaint({2, 1}, 2), "");
  EXPECT_EQ(complaint({-1, 1}, -1), "");
}

TEST_F(SamplesTest, ZerosOfMoreRowsThanThereCanBeAreRefused) {
  Config config;
  config.calibration.calibration_batch_size = 4;
  const std::string path = WriteFloats("one.raw", {7});
  config.calibration.input_parameters = {
      Entry(Write("a.txt", path + "\n" + path + "\n" + path + "\n" + path), FileType::kRaw),
      InputParameters()};
  const auto source = OpenSamples(config, {Floats("a", {-1, 1}), Floats("c", {int64_t{1} << 62, 1})}, 0);
  EXPECT_THROW(source->at(0), Error);  // four times as many are none in 64 bits
}

TEST_F(SamplesTest, PathsWithBlanksMayHaveLabels) {
  float number = 0;
  for (const char* name : {"plain.raw", "with two blanks.raw", "with two", "a 7"})
    WriteFloats(name, {++number});
  Config config;
  config.calibration.input_parameters = {Entry(
      Write("a.txt",
            "plain.raw 3 4\nwith two blanks.raw 7\nwith two blanks.raw\nwith two  8\na 7\nplain.raw\t5\n"),
      FileType::kRaw)};
  const auto source = OpenSamples(config, {Floats("a", {1})}, 0);
  std::vector<float> read;
  for (int64_t i = 0; i < source->size(); ++i) read.push_back(Values(source->at(i)[0])[0]);
  EXPECT_THAT(read, ElementsAre(1, 2, 2, 3, 4, 1));
  Write("a.txt", "with one blank.raw 7\n");
  EXPECT_THAT(ErrorOf(config, {Floats("a", {1})}), HasSubstr("with one blank.raw 7 does not exist"));
}

TEST_F(SamplesTest, LinesMayEndInAnyWay) {
  for (const char* name : {"0.raw", "1.raw", "2.raw"}) WriteFloats(name, {0});
  std::vector<int64_t> lines;
  const std::string list = Write("a.txt", "0.raw\r1.raw\r\r\n\n\r2.raw\r\n0.raw");
  EXPECT_EQ(ReadListFile(list, "field", &lines).size(), 4u);
  EXPECT_THAT(lines, ElementsAre(1, 2, 6, 7));
}

TEST_F(SamplesTest, AModelWithoutInputsHasOneSample) {
  Config config;
  const auto source = OpenSamples(config, {}, 0);
  EXPECT_EQ(source->size(), 1);
  EXPECT_TRUE(source->at(0).empty());
  EXPECT_EQ(source->Describe(), "1 run without inputs");
  EXPECT_THAT(
      ErrorOf(config, {Floats("a", {1}), Floats("b", {1})}),
      HasSubstr("Calibration input_parameters setting not detected. (one entry per model input: a, b)"));
  config.calibration.input_parameters.resize(1);
  EXPECT_THAT(ErrorOf(config, {}), HasSubstr("(1 given, the model has 0)"));
}

TEST_F(SamplesTest, FingerprintsTellWhatDecidesASample) {
  for (int i = 0; i < 3; ++i) WriteFloats(std::to_string(i) + ".raw", {float(i), 0.5f});
  WriteFloats("copy.raw", {1, 0.5f});
  WriteFloats("one.raw", {7});
  Write("a.txt", "0.raw\n1.raw\n2.raw\n");
  const std::string one = Write("one.txt", "one.raw\n");
  const auto print = [&](const char* list, int batch, Shape dims, int64_t index) {
    Config config;
    config.calibration.calibration_batch_size = batch;
    config.calibration.input_parameters = {Entry((folder_ / list).string(), FileType::kRaw),
                                           Entry(one, FileType::kRaw), InputParameters()};
    const auto source =
        OpenSamples(config, {Floats("a", std::move(dims)), Floats("b", {-1, 1}), Floats("c", {-1, 1})}, 0);
    return source->Fingerprint(index);
  };
  const std::string first = print("a.txt", 1, {-1, 2}, 1);
  EXPECT_EQ(print("a.txt", 1, {-1, 2}, 1), first);
  Write("b.txt", "copy.raw\n");  // names do not count
  EXPECT_EQ(print("b.txt", 1, {-1, 2}, 0), first);
  EXPECT_NE(print("a.txt", 1, {-1, 2}, 0), first);
  EXPECT_NE(print("a.txt", 2, {-1, 2}, 0), first);
  EXPECT_NE(print("a.txt", 1, {-1, 2, 1}, 1), first);
  WriteFloats("one.raw", {8});  // one file for all samples
  EXPECT_NE(print("a.txt", 1, {-1, 2}, 1), first);
}

TEST_F(SamplesTest, FingerprintsOfImagesTellTheirPreprocessing) {
  Write("gray.pgm", "P5 2 2 255\n" + std::string("\x01\x02\x03\x04", 4));
  InputParameters entry = Entry(Write("a.txt", "gray.pgm\n"), FileType::kImage);
  const auto print = [&](Shape dims) {
    Config config;
    config.calibration.input_parameters = {entry};
    return OpenSamples(config, {Floats("x", std::move(dims))}, 0)->Fingerprint(0);
  };
  const std::string plain = print({1, 3, 2, 2});
  EXPECT_EQ(print({1, 3, 2, 2}), plain);
  EXPECT_NE(print({1, 3, 4, 2}), plain);
  entry.color_format = ColorFormat::kRgb;
  EXPECT_NE(print({1, 3, 2, 2}), plain);
  entry.color_format = ColorFormat::kBgr;
  entry.mean_value = {1};
  const std::string moved = print({1, 3, 2, 2});
  EXPECT_NE(moved, plain);
  entry.std_value = {2};
  EXPECT_NE(print({1, 3, 2, 2}), moved);
}

TEST_F(SamplesTest, UnknownDimensionsComeFromTheDataSampleBySample) {
  const auto npy = [&](const std::string& name, int64_t length) {
    const std::vector<float> values(static_cast<size_t>(2 * length), 1);
    return WriteNpy(name, "<f4", "False", "(2, " + std::to_string(length) + ")",
                    {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  };
  npy("a.npy", 3), npy("b.npy", 5), npy("empty.npy", 0);
  WriteFloats("r.raw", {1, 2, 3, 4, 5, 6});
  Config config;
  config.calibration.input_parameters = {Entry(Write("ids.txt", "a.npy\nb.npy\nempty.npy\n"), FileType::kNpy),
                                         InputParameters(), Entry(Write("r.txt", "r.raw\n"), FileType::kRaw)};
  ModelInput ids = Floats("ids", {-1, -1}), mask = Floats("mask", {-1, 4, -1}),
             raw = Floats("raw", {-1, 3, -1});
  ids.symbols = {"batch", "seq"};
  mask.symbols = {"batch", "", "seq"};
  const auto source = OpenSamples(config, {ids, mask, raw}, 0);
  EXPECT_THAT(source->at(0)[0].shape(), ElementsAre(2, 3));
  EXPECT_THAT(source->at(0)[1].shape(), ElementsAre(2, 4, 3));
  EXPECT_THAT(source->at(1)[1].shape(), ElementsAre(2, 4, 5));
  EXPECT_THAT(source->at(2)[1].shape(), ElementsAre(2, 4, 0));
  EXPECT_THAT(source->at(0)[2].shape(), ElementsAre(1, 3, 2));  // 6 elements
  mask.symbols[2] = "other";
  EXPECT_THAT(ErrorOf(config, {ids, mask, raw}), HasSubstr("give input_shape"));
  config.calibration.input_parameters[2].input_shape = {1, 3, 2};
  raw.symbols = {"", "", "other"};  // which input_shape fixes
  EXPECT_THAT(OpenSamples(config, {ids, mask, raw}, 0)->at(1)[1].shape(), ElementsAre(2, 4, 2));
}

TEST_F(SamplesTest, NamesWhatIsWrongWithLists) {
  Config config;
  config.calibration.input_parameters = {Entry((folder_ / "no.txt").string(), FileType::kRaw)};
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1})}), HasSubstr("input_parameters[0].data_list_path"));
  config.calibration.input_parameters[0].data_list_path = Write("a.txt", "\n \n");
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1})}), HasSubstr("Calibration input x finds 0 items."));
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1}), Floats("y", {1})}),
              HasSubstr("Calibration input_parametres size should equal to model inputs size."));
  config.calibration.input_parameters[0].data_list_path = Write("b.txt", "a.txt\nmissing.raw\n");
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1})}), HasSubstr("b.txt:2"));
  WriteFloats("x.raw", {1, 2});
  config.calibration.input_parameters[0].data_list_path = Write("c.txt", "x.raw\n");
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1})}), HasSubstr("8 bytes, expected 4"));
  config.calibration.input_parameters[0].input_shape = {2};
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1})}),
              AllOf(HasSubstr("does not agree"), HasSubstr("or leave it out")));
}

TEST_F(SamplesTest, ReadsNpyInAnyOrder) {
  const std::string fortran("\x00\x01\x00\x04\x00\x02\x00\x05\x00\x03\x00\x06", 12);
  const Tensor tensor = ReadNpy(WriteNpy("a.npy", ">i2", "True", "(2, 3)", fortran));
  EXPECT_EQ(tensor.dtype(), DType::kInt16);
  EXPECT_THAT(tensor.shape(), ElementsAre(2, 3));
  EXPECT_THAT(tensor.ToInts(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(ConvertElements, NumbersBecomeWhatTheModelTakes) {
  const auto floats = [](const Tensor& from, bool* lossy) {
    const Tensor to = ConvertElements(from, DType::kFloat, "f", lossy);
    return std::vector<float>(to.data<float>(), to.data<float>() + to.size());
  };
  bool lossy = false;
  EXPECT_THAT(floats(Tensor::Of<uint8_t>({3}, {0, 7, 255}), &lossy), ElementsAre(0, 7, 255));
  EXPECT_THAT(floats(Tensor::Of<int64_t>({2}, {-3, 1 << 24}), &lossy), ElementsAre(-3, 1 << 24));
  Tensor yes(DType::kBool, {2});
  yes.data<bool>()[0] = true;
  yes.data<bool>()[1] = false;
  EXPECT_THAT(floats(yes, &lossy), ElementsAre(1, 0));
  EXPECT_FALSE(ConvertElements(Tensor::Of<float>({2}, {1, 0}), DType::kBool, "f", &lossy).data<bool>()[1]);
  EXPECT_EQ(ConvertElements(Tensor::Of<float>({1}, {-2}), DType::kInt64, "f", &lossy).data<int64_t>()[0], -2);
  EXPECT_FALSE(lossy);
  floats(Tensor::Of<int64_t>({1}, {(1 << 24) + 1}), &lossy);
  EXPECT_TRUE(lossy);
  for (const auto& [value, type] : {std::pair(2.5f, DType::kInt32), std::pair(2.0f, DType::kBool)}) {
    lossy = false;
    ConvertElements(Tensor::Of<float>({1}, {value}), type, "f", &lossy);
    EXPECT_TRUE(lossy) << NameOf(type);
  }
  for (const float value : {256.0f, -1.0f, std::nanf("")})
    EXPECT_THROW(ConvertElements(Tensor::Of<float>({1}, {value}), DType::kUint8, "f", &lossy), Error)
        << value;
  EXPECT_THROW(ConvertElements(Tensor::Of<int64_t>({1}, {300}), DType::kUint8, "f", &lossy), Error);
  EXPECT_THROW(ConvertElements(Tensor::Of<float>({1}, {0x1p63f}), DType::kInt64, "f", &lossy), Error);
}

TEST(ConvertElements, SaysWhichValueDoesNotFitAndWhatToDo) {
  const auto message = [](const Tensor& from, DType dtype) -> std::string {
    bool lossy = false;
    try {
      ConvertElements(from, dtype, "f.npy", &lossy);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(Tensor::Of<float>({1}, {16777218}), DType::kInt8),
            "f.npy: the value 16777218 does not fit the model's int8 (save the array as int8, or correct the "
            "config's dtype of the input)");
  EXPECT_THAT(message(Tensor::Of<int64_t>({1}, {-4294967297}), DType::kInt32), HasSubstr(" -4294967297 "));
  EXPECT_THAT(message(Tensor::Of<int8_t>({1}, {-65}), DType::kUint8), HasSubstr(" -65 "));
  EXPECT_THAT(message(Tensor::Of<float>({1}, {std::nanf("")}), DType::kInt8), HasSubstr(" nan "));
}

TEST_F(SamplesTest, NormalisesImagesIntoPlanes) {
  Write("a.ppm", std::string("P6\n2 1\n255\n") + "\x0a\x14\x1e\x28\x32\x3c");  // RGB 10 20 30, 40 50 60
  InputParameters entry = Entry(Write("a.txt", "a.ppm"), FileType::kImage);
  entry.mean_value = {10};
  entry.std_value = {2, 5, 10};
  Config config;
  config.calibration.input_parameters = {entry};
  const auto values = [&config](Shape dims) {
    return Values(OpenSamples(config, {Floats("x", std::move(dims))}, 0)->at(0)[0]);
  };
  EXPECT_THAT(values({-1, 3, 1, 2}), ElementsAre(10, 25, 2, 8, 0, 3));
  config.calibration.input_parameters[0].color_format = ColorFormat::kRgb;
  EXPECT_THAT(values({1, 3, 1, 2}), ElementsAre(0, 15, 2, 8, 2, 5));
  // Channels last: 2 rows of 2 columns, each row the same pixels.
  EXPECT_THAT(values({1, 2, 2, 3}), ElementsAre(0, 2, 2, 15, 8, 5, 0, 2, 2, 15, 8, 5));
  EXPECT_THAT(ErrorOf(config, {Floats("x", {-1, -1, -1, -1})}), HasSubstr("give input_shape"));
  const auto sized = OpenSamples(config, {Floats("x", {-1, 3, -1, -1})}, 0);
  EXPECT_THAT(sized->at(0)[0].shape(), ElementsAre(1, 3, 1, 2));  // the image's own
  Write("a.ppm", "not an image");
  const auto source = OpenSamples(config, {Floats("x", {1, 3, 1, 2})}, 0);
  Sample sample;
  SampleStream stream(*source, {0});
  EXPECT_THROW(stream.Next(&sample), Error);
}

TEST_F(SamplesTest, LetterboxesImages) {
  Write("a.pgm", std::string("P5\n4 2\n255\n") + "\x0a\x0a\x1e\x1e\x0a\x0a\x1e\x1e");  // 10 10 30 30, twice
  InputParameters entry = Entry(Write("a.txt", "a.pgm"), FileType::kImage);
  entry.preprocess_file = "LETTERBOX";
  Config config;
  config.calibration.input_parameters = {entry};
  const auto values = [&config](Shape dims) {
    return Values(OpenSamples(config, {Floats("x", std::move(dims))}, 0)->at(0)[0]);
  };
  // Halved, one row of grey above and two below: of an odd number the larger part, as Ultralytics has it.
  EXPECT_THAT(values({1, 1, 4, 2}), ElementsAre(114, 114, 10, 30, 114, 114, 114, 114));
  EXPECT_THAT(values({1, 1, 2, 6}), ElementsAre(114, 10, 10, 30, 30, 114, 114, 10, 10, 30, 30, 114));
  config.calibration.input_parameters[0].mean_value = {114};
  EXPECT_THAT(values({1, 1, 1, 3}), ElementsAre(-104, -84, 0));
}

TEST_F(SamplesTest, ResizesLikePillow) {
  std::vector<uint8_t> image;
  for (uint64_t i = 0; i < 7 * 9 * 3; ++i) image.push_back(static_cast<uint8_t>((i * i * 31 + i * 97) % 251));
  // Image.fromarray(image).resize((4, 3), Image.BILINEAR)
  EXPECT_THAT(
      PillowBilinear(image.data(), 7, 9, 3, 3, 4),
      ElementsAre(99, 166, 130, 158, 125, 125, 128, 144, 92, 135, 110, 88, 129, 122, 190, 125, 133, 169, 107,
                  123, 94, 120, 105, 89, 114, 165, 145, 162, 116, 119, 137, 124, 94, 166, 122, 115));
}

TEST_F(SamplesTest, AWindowOfAResizedImageIsThatPartOfIt) {
  std::vector<uint8_t> image;
  for (uint64_t i = 0; i < 11 * 13 * 3; ++i)
    image.push_back(static_cast<uint8_t>((i * i * 31 + i * 97) % 251));
  for (const auto& [height, width] :
       {std::pair(6, 7), std::pair(11, 7), std::pair(6, 13), std::pair(20, 26)}) {
    const std::vector<uint8_t> whole = PillowBilinear(image.data(), 11, 13, 3, height, width);
    const std::vector<uint8_t> part =
        PillowBilinear(image.data(), 11, 13, 3, height, width, PixelWindow{1, 2, 4, 5});
    ASSERT_EQ(part.size(), 4u * 5 * 3);
    for (size_t y = 0; y < 4; ++y) {
      for (size_t i = 0; i < 15; ++i)
        ASSERT_EQ(part[y * 15 + i], whole[(y + 1) * static_cast<size_t>(width) * 3 + 6 + i])
            << height << "x" << width << ", row " << y;
    }
  }
}

TEST_F(SamplesTest, ShrinksLikeOpenCv) {
  std::vector<uint8_t> image;
  for (uint64_t i = 0; i < 5 * 7 * 3; ++i) image.push_back(static_cast<uint8_t>(i * i * 37 + i * 11));
  ASSERT_TRUE(NeedsAreaShrink(5, 7, 3, 4));
  // cv2.resize(image, (4, 3), interpolation=cv2.INTER_AREA) on x86-64
  EXPECT_THAT(
      AreaShrink(image.data(), 5, 7, 3, 3, 4),
      ElementsAre(78, 119, 175, 99, 126, 182, 107, 185, 183, 131, 209, 149, 151, 133, 130, 57, 68, 124, 125,
                  100, 127, 151, 140, 109, 122, 154, 136, 88, 106, 118, 63, 45, 100, 134, 145, 143));
  EXPECT_FALSE(NeedsAreaShrink(6, 8, 3, 4));  // whole factors
  EXPECT_FALSE(NeedsAreaShrink(5, 7, 3, 9));  // one side grows
  EXPECT_TRUE(NeedsAreaShrink(5, 7, 5, 4));   // one side stays
  EXPECT_FALSE(NeedsAreaShrink(5, 7, 5, 7));
}

TEST_F(SamplesTest, SingleArraysForAFixedBatchAreTold) {
  const Shape shape = {4, 2};
  const auto hint = [&](const Shape& array) -> std::string {
    try {
      FitShape(Tensor(DType::kFloat, array), shape, "a.npy", "x");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(hint({1, 2}), HasSubstr("calibration_batch_size 4 puts 4 such arrays together"));
  EXPECT_THAT(hint({2}), HasSubstr("calibration_batch_size 4"));
  EXPECT_THAT(hint({3, 2}), HasSubstr("make the array of that shape"));
  EXPECT_EQ(hint({4, 2}), "");
}

TEST_F(SamplesTest, RunsAPythonFunction) {
  if (std::system("${XSLIM_PYTHON:-python3} -c 'import numpy' 2>/dev/null") != 0) GTEST_SKIP() << "no numpy";
  const std::string script =
      Write("prep.py",
            "import numpy as np\n"
            "def load(paths, entry):\n"
            "    print('noise on the standard output')\n"
            "    return np.full((len(paths), 2), entry['value'])\n"
            "def keys(paths, entry):\n"
            "    wanted = {'input_name': 'x', 'input_shape': [1, 2, None], 'file_type': 'img',\n"
            "              'color_format': 'rgb', 'mean_value': None, 'std_value': None,\n"
            "              'preprocess_file': None, 'data_list_path': None, 'dtype': 'float32'}\n"
            "    assert entry == wanted, entry\n"
            "    return np.zeros((len(paths), 2, 2))\n"
            "def bad(paths, entry):\n"
            "    raise ValueError('broken on purpose')\n");
  Config config;
  config.calibration.input_parameters = {Entry(Write("a.txt", "prep.py\nprep.py\n"), FileType::kImage)};
  config.calibration.input_parameters[0].json = R"({"value": 2.5})";
  config.calibration.input_parameters[0].preprocess_file = script + ":load";
  const auto source = OpenSamples(config, {Floats("x", {1, 2})}, 0);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Values(source->at(i)[0]), ElementsAre(2.5, 2.5));
  // Every key of XSlim's, written or not; a module without .py.
  config.calibration.input_parameters[0].json =
      R"({"color_format": "rgb", "mean_value": null, "dtype": "int8"})";
  config.calibration.input_parameters[0].preprocess_file = script.substr(0, script.size() - 3) + ":keys";
  EXPECT_EQ(OpenSamples(config, {Floats("x", {-1, 2, -1})}, 0)->at(0)[0].size(), 4);
  config.calibration.input_parameters[0].preprocess_file = script + ":load";
  config.calibration.input_parameters[0].json = R"({"value": 2.5})";
  const Tensor narrow = OpenSamples(config, {{"x", DType::kBFloat16, {1, 2}, true}}, 0)->at(0)[0];
  EXPECT_EQ(narrow.dtype(), DType::kBFloat16);  // which numpy does not have
  EXPECT_THAT(Values(narrow.ToFloat32()), ElementsAre(2.5, 2.5));
  config.calibration.input_parameters[0].preprocess_file = script + ":bad";
  const auto bad = OpenSamples(config, {Floats("x", {1, 2})}, 0);
  try {
    bad->at(0);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("ValueError: broken on purpose"));
    EXPECT_THAT(error.what(), HasSubstr("prep.py:12"));
  }
  // Lines go to the function whole, behind the list's folder: labels, offsets, numbers of frames.
  Write("prep2.py",
        "import os, numpy as np\n"
        "def load(paths, entry):\n"
        "    names = [os.path.basename(path) for path in paths]\n"
        "    if names[0] == 'gone': raise ValueError('cannot read it')\n"
        "    return np.array([[float(name.split(' ')[-1])] for name in names])\n");
  config.calibration.input_parameters[0] =
      Entry(Write("a.txt", "prep.py 7\nclip 3 0.5\ngone\n"), FileType::kImage);
  config.calibration.input_parameters[0].preprocess_file = (folder_ / "prep2.py:load").string();
  const auto lines = OpenSamples(config, {Floats("x", {1, 1})}, 0);
  EXPECT_THAT(Values(lines->at(0)[0]), ElementsAre(7));
  EXPECT_THAT(Values(lines->at(1)[0]), ElementsAre(0.5));
  try {
    lines->at(2);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("there is no file " + (folder_ / "gone").string()));
  }
  config.calibration.input_parameters[0].preprocess_file = script + ":none";
  EXPECT_THAT(ErrorOf(config, {Floats("x", {1, 2})}), HasSubstr("AttributeError"));
}

}  // namespace
}  // namespace xslim
