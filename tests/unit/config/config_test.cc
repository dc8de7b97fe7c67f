#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/keys.h"
#include "config/tolerant_json.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kInputs = R"("input_parameters": [{"input_name": "x", "data_list_path": "l.txt"}])";

class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("xslim_config_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    SetupLogging(LogLevel::kError, Path("log"));
  }
  void TearDown() override {
    SetupLogging(LogLevel::kError, "");
    std::filesystem::remove_all(folder_);
  }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  Config Read(const std::string& text) const {
    std::ofstream(Path("config.json")) << text;
    return ReadConfig(Path("config.json"));
  }
  // The error's text without the folder of the file; "" when the config is read.
  std::string Failure(const std::string& text) const {
    try {
      Read(text);
    } catch (const Error& error) {
      std::string what = error.what();
      const size_t at = what.find(folder_.string());
      return at == 0 ? what.substr(folder_.string().size() + 1) : what;
    }
    return "";
  }
  std::string Calibration(const std::string& members) const {
    return Failure(std::string("{\"calibration_parameters\": {") + members + ", " + kInputs + "}}");
  }
  std::string Input(const std::string& members) const {
    return Failure("{\"calibration_parameters\": {\"input_parameters\": [{" + members + "}]}}");
  }
  std::string Quantization(const std::string& members) const {
    return Failure(std::string("{\"calibration_parameters\": {") + kInputs +
                   "}, \"quantization_parameters\": {" + members + "}}");
  }
  std::string Log() const {
    std::ostringstream text;
    text << std::ifstream(Path("log")).rdbuf();
    return text.str();
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigTest, MinimalConfigKeepsTheDefaults) {
  const Config config = Read(std::string("{\"calibration_parameters\": {") + kInputs + "}}");
  const Config fresh;
  EXPECT_EQ(config.calibration.calibration_step, fresh.calibration.calibration_step);
  EXPECT_EQ(config.calibration.calibration_type, CalibrationType::kDefault);
  EXPECT_EQ(config.quantization.max_percentile, 0.9999);
  EXPECT_TRUE(config.quantization.analysis_enable);
  EXPECT_FALSE(config.model.opset);
  ASSERT_EQ(config.calibration.input_parameters.size(), 1u);
  EXPECT_EQ(config.calibration.input_parameters[0].file_type, FileType::kImage)
      << "the documented default of a list";
  EXPECT_EQ(config.source, Path("config.json"));
}

TEST_F(ConfigTest, ReadsEveryKey) {
  const Config config = Read(R"({
    "model_parameters": {"onnx_model": "m.onnx", "output_prefix": "p", "working_dir": "w", "skip_onnxsim": true, "opset": 17},
    "calibration_parameters": {"calibration_step": 64, "calibration_batch_size": 4, "calibration_device": "cpu",
      "calibration_type": "mse", "input_parameters": [{"input_name": "x", "input_shape": [1, 3, 8, 9], "dtype": "float32",
        "file_type": "raw", "color_format": "rgb", "mean_value": [1, 2.5, 3], "std_value": [57],
        "preprocess_file": "PT_IMAGENET", "data_list_path": "l.txt"}]},
    "quantization_parameters": {"analysis_enable": false, "precision_level": 0, "finetune_level": 0, "max_percentile": 0.999,
      "ignore_op_types": ["Relu"], "ignore_op_names": ["a", "b"], "placement": "xslim", "protect_outputs": "never",
      "matrix_weights": "power_of_two_per_tensor", "bias": "int32", "equalization": false}})");
  EXPECT_EQ(config.model.onnx_model, "m.onnx");
  EXPECT_EQ(config.model.output_prefix, "p");
  EXPECT_EQ(config.model.working_dir, "w");
  EXPECT_TRUE(config.model.skip_onnxsim);
  EXPECT_EQ(config.model.opset, 17);
  EXPECT_EQ(config.calibration.calibration_step, 64);
  EXPECT_EQ(config.calibration.calibration_batch_size, 4);
  EXPECT_EQ(config.calibration.calibration_type, CalibrationType::kMse);
  const InputParameters& input = config.calibration.input_parameters.at(0);
  EXPECT_EQ(input.input_name, "x");
  EXPECT_THAT(input.input_shape, ElementsAre(1, 3, 8, 9));
  EXPECT_EQ(input.dtype, "float32");
  EXPECT_EQ(input.file_type, FileType::kRaw);
  EXPECT_EQ(input.color_format, ColorFormat::kRgb);
  EXPECT_THAT(input.mean_value, ElementsAre(1.0f, 2.5f, 3.0f));
  EXPECT_THAT(input.std_value, ElementsAre(57.0f));
  EXPECT_EQ(input.preprocess_file, "PT_IMAGENET");
  EXPECT_EQ(input.data_list_path, "l.txt");
  EXPECT_THAT(input.json, HasSubstr("\"input_shape\":[1,3,8,9]"));
  EXPECT_FALSE(config.quantization.analysis_enable);
  EXPECT_EQ(config.quantization.max_percentile, 0.999);
  EXPECT_THAT(config.quantization.ignore_op_types, ElementsAre("Relu"));
  EXPECT_THAT(config.quantization.ignore_op_names, ElementsAre("a", "b"));
  EXPECT_EQ(config.quantization.protect_outputs, ProtectOutputs::kNever);
  EXPECT_EQ(config.quantization.matrix_weights, MatrixWeights::kPowerOfTwoPerTensor);
  EXPECT_EQ(config.quantization.bias, BiasType::kInt32);
  EXPECT_FALSE(config.quantization.equalization);
  EXPECT_EQ(Log(), "");
}

TEST_F(ConfigTest, ErrorsNameFileAndPath) {
  EXPECT_THAT(
      Input("\"mean_value\": 127.5"),
      AllOf(HasSubstr("config.json: calibration_parameters.input_parameters[0].mean_value: expected numbers"),
            HasSubstr("got the number 127.5")));
  EXPECT_THAT(Input("\"mean_value\": [1, \"2\"]"),
              HasSubstr("input_parameters[0].mean_value: expected numbers"));
  EXPECT_THAT(Input("\"std_value\": [57, 0]"),
              HasSubstr("input_parameters[0].std_value[1]: a std_value of 0"));
  EXPECT_THAT(Input("\"mean_value\": [1e300]"),
              HasSubstr("mean_value[0]: expected a number that fits float32"));
  EXPECT_THAT(Input("\"input_shape\": [1, -2]"),
              HasSubstr("input_shape[1]: expected an integer of at least -1, got the number -2"));
  EXPECT_EQ(Input("\"input_shape\": [-1, 3]"), "");
  EXPECT_THAT(Input("\"input_shape\": [0, 3], \"file_type\": \"img\""),
              HasSubstr("input_shape: holds 0, which no image has"));
  EXPECT_EQ(Input("\"input_shape\": [0, 3], \"file_type\": \"npy\""), "");
  EXPECT_THAT(Input("\"input_shape\": [1, 99999999999999999999]"),
              HasSubstr("input_shape[1]: expected an integer"));
  EXPECT_THAT(Input("\"dtype\": \"floaty\""),
              HasSubstr("dtype: expected a type, e.g. float32, int64 or uint8, got the string \"floaty\""));
  EXPECT_THAT(
      Calibration("\"calibration_step\": \"100\""),
      HasSubstr("calibration_parameters.calibration_step: expected an integer, got the string \"100\""));
  EXPECT_THAT(Calibration("\"calibration_step\": 0"), HasSubstr("expected an integer of at least 1"));
  EXPECT_THAT(Calibration("\"calibration_step\": 1000000000000"),
              HasSubstr("expected an integer from 1 to 2147483647, got the number 1000000000000"));
  EXPECT_THAT(Calibration("\"calibration_batch_size\": 1.5"), HasSubstr("expected an integer"));
  EXPECT_THAT(Failure("[]"), HasSubstr("config.json: expected an object"));
  EXPECT_THAT(Failure("{\"model_parameters\": []}"),
              HasSubstr("config.json: model_parameters: expected an object"));
  EXPECT_THAT(Failure("{\"model_parameters\": {\"skip_onnxsim\": 1}}"),
              HasSubstr("expected true or false, got the number 1"));
  EXPECT_THAT(Failure("{\"model_parameters\": {\"opset\": 99}}"),
              HasSubstr("opset: expected an integer from 7 to 24"));
}

TEST_F(ConfigTest, UnknownWordsAreRefusedInXslimsWording) {
  EXPECT_THAT(
      Calibration("\"calibration_type\": \"entropy\""),
      HasSubstr("calibration_parameters.calibration_type: calibration_type entropy not implemented yet. "
                "(one of default, kl, minmax, percentile, mse)"));
  EXPECT_THAT(Input("\"file_type\": \"jpeg\""), HasSubstr("file_type jpeg not implemented yet."));
  EXPECT_THAT(Calibration("\"calibration_device\": \"tpu\""), HasSubstr("Device type tpu not understand."));
}

TEST_F(ConfigTest, OtherUnknownWordsNameTheAllowedOnes) {
  EXPECT_THAT(Input("\"color_format\": \"hsv\""),
              HasSubstr("color_format: expected one of bgr, rgb, got the string \"hsv\""));
  EXPECT_THAT(Calibration("\"calibration_type\": 3"),
              HasSubstr("expected one of default, kl, minmax, percentile, mse, got the number 3"));
  EXPECT_THAT(Failure("{\"quantization_parameters\": {\"protect_outputs\": true}}"),
              HasSubstr("protect_outputs: expected one of auto, always, never, got true"));
  EXPECT_THAT(Failure("{\"quantization_parameters\": {\"placement\": \"free\"}}"),
              HasSubstr("placement: expected one of xslim, fused, got the string \"free\""));
}

TEST_F(ConfigTest, RangesOfLevelsAndPercentile) {
  EXPECT_THAT(Quantization("\"precision_level\": 7"),
              HasSubstr("precision_level: expected 0, 1, 2, 3, 4 or 100"));
  EXPECT_THAT(Quantization("\"finetune_level\": 5"),
              HasSubstr("finetune_level: expected an integer from 0 to 3"));
  EXPECT_THAT(Quantization("\"max_percentile\": 0.5"),
              HasSubstr("max_percentile: expected a number from 0.99 to 1"));
  EXPECT_EQ(Quantization("\"max_percentile\": 0.99"), "");
  EXPECT_EQ(Quantization("\"max_percentile\": 1"), "");
}

TEST_F(ConfigTest, SettingsOfQuantization) {
  EXPECT_THAT(Quantization("\"weight_bits\": 7"), HasSubstr("weight_bits: expected 8 or 4"));
  EXPECT_THAT(Quantization("\"weight_block\": 48"), HasSubstr("expected 16, 32, 64, 128 or 256"));
  EXPECT_EQ(Quantization("\"precision_level\": 1"), "");
  EXPECT_EQ(Quantization("\"precision_level\": 2, \"truncate_var_names\": [\"a\"]"), "");
  EXPECT_THAT(Quantization("\"truncate_var_names\": [\"a\", \"a\"]"), HasSubstr("duplicate tensor names: a"));
  EXPECT_EQ(Quantization("\"placement\": \"fused\""), "");
  const std::string part = "\"custom_setting\": [{\"input_names\": [\"a\"], \"output_names\": [\"b\"], ";
  EXPECT_EQ(Quantization(part + "\"precision_level\": 3, \"calibration_type\": \"default\"}]"), "");
  EXPECT_THAT(Quantization(part + "\"precision_level\": 4}]"),
              HasSubstr("custom_setting[0].precision_level: expected 0, 2 or 3 (float)"));
  EXPECT_THAT(Quantization(part + "\"precision_level\": 1}]"),
              HasSubstr("custom_setting[0].precision_level: expected 0, 2 or 3 (float)"));
  EXPECT_THAT(Quantization("\"custom_setting\": [{\"input_names\": [\"a\"]}]"),
              HasSubstr("custom_setting[0]: output_names is missing"));
  EXPECT_EQ(Quantization("\"custom_setting\": [], \"truncate_var_names\": []"), "");
}

// Whether calibration needs any shows with the model.
TEST_F(ConfigTest, InputsMayBeMissing) {
  EXPECT_EQ(Failure("{\"quantization_parameters\": {\"precision_level\": 100}}"), "");
  EXPECT_EQ(Failure("{}"), "");
  EXPECT_EQ(Failure("{\"calibration_parameters\": {\"input_parameters\": []}}"), "");
}

TEST_F(ConfigTest, BothSpellingsOfInputs) {
  EXPECT_EQ(Read("{\"calibration_parameters\": {\"input_parametres\": [{}, {}]}}")
                .calibration.input_parameters.size(),
            2u);
  EXPECT_THAT(
      Failure("{\"calibration_parameters\": {\"input_parametres\": [{}], \"input_parameters\": [{}]}}"),
      HasSubstr("both present"));
}

TEST_F(ConfigTest, NullMeansAbsent) {
  EXPECT_EQ(Calibration("\"calibration_step\": null, \"calibration_type\": null"), "");
  EXPECT_EQ(Quantization("\"custom_setting\": null, \"bias\": null"), "");
}

TEST_F(ConfigTest, UnknownKeysAreWarnedAboutWithTheNearest) {
  EXPECT_EQ(Calibration("\"calibration_steps\": 50, \"zzz\": 1"), "");
  EXPECT_THAT(Log(),
              AllOf(HasSubstr("calibration_parameters.calibration_steps: unknown key, ignored (did you mean "
                              "calibration_step?)"),
                    HasSubstr("calibration_parameters.zzz: unknown key, ignored\n")));
  EXPECT_EQ(NearestName("modle_parameters", {"calibration_parameters", "model_parameters"}),
            "model_parameters");
  EXPECT_EQ(NearestName("xyz", {"opset"}), "");
}

TEST_F(ConfigTest, KeysOfAnotherObjectAreWarnedAboutWithTheirPlace) {
  Read(R"({"onnx_model": "m.onnx", "calibration_parameters": {"finetune_level": 2, "max_percentile": 1,
         "input_shape": [1], "placement_of_all": "x", "input_parameters": [{"data_list": "l.txt", "da": 1}]},
         "quantization_parameters": {"calibration_type": "mse", "model_parameters": {}, "input_names": []}})");
  const std::string unknown = ": unknown key, ignored";
  EXPECT_THAT(Log(),
              AllOf(HasSubstr("config.json: onnx_model" + unknown + " (it belongs in model_parameters)"),
                    HasSubstr(".finetune_level" + unknown + " (it belongs in quantization_parameters)"),
                    HasSubstr(".max_percentile" + unknown + " (it belongs in quantization_parameters)"),
                    HasSubstr(".input_shape" + unknown +
                              " (it belongs in calibration_parameters.input_parameters[])"),
                    HasSubstr(".placement_of_all" + unknown + "\n"),
                    HasSubstr(".calibration_type" + unknown + " (it belongs in calibration_parameters)")));
  EXPECT_THAT(Log(), AllOf(HasSubstr("[0].data_list" + unknown + " (did you mean data_list_path?)"),
                           HasSubstr("[0].da" + unknown + "\n"),
                           HasSubstr(".model_parameters" + unknown + " (it belongs in the top-level object)"),
                           HasSubstr(".input_names" + unknown +
                                     " (it belongs in quantization_parameters.custom_setting[])")));
}

TEST_F(ConfigTest, ASingularOrPluralOfAKeyIsNotThatOfAnotherObject) {
  Read(
      R"({"calibration_parameters": {"input_parameters": [{"input_names": "x", "data_list_path": "l.txt"}]}})");
  EXPECT_THAT(Log(), HasSubstr("[0].input_names: unknown key, ignored (did you mean input_name?)"));
  EXPECT_THAT(Failure(R"({"quantization_parameters": {"custom_setting": [{"input_name": ["x"]}]}})"),
              HasSubstr("input_names is missing"));
  EXPECT_THAT(Log(), HasSubstr("[0].input_name: unknown key, ignored (did you mean input_names?)"));
}

TEST_F(ConfigTest, ATildeIsNoHomeFolder) {
  for (const char* key : {"onnx_model", "working_dir"}) {
    const auto failure = [&](const std::string& path) {
      return Failure(std::string("{\"model_parameters\": {\"") + key + "\": \"" + path + "\"}}");
    };
    EXPECT_THAT(failure("~/a/b"),
                HasSubstr(std::string("model_parameters.") + key + ": ~ in ~/a/b is not the home folder"));
    EXPECT_EQ(failure("./~/a"), "");
    EXPECT_EQ(failure("~a"), "");
  }
  EXPECT_THAT(Failure(R"({"calibration_parameters": {"input_parameters": [{"data_list_path": "~/l.txt"}]}})"),
              HasSubstr("input_parameters[0].data_list_path: ~ in ~/l.txt"));
}

TEST_F(ConfigTest, UnusualValuesAreWarnedAbout) {
  EXPECT_EQ(Calibration("\"calibration_step\": 5, \"calibration_device\": \"cuda\""), "");
  EXPECT_THAT(Log(), AllOf(HasSubstr("5 is outside the recommended 10 to 1000"), HasSubstr("cuda")));
  EXPECT_EQ(Calibration("\"calibration_batch_size\": 1, \"calibration_batch_size\": 2"), "");
  EXPECT_THAT(Log(), HasSubstr("key calibration_batch_size stands twice"));
}

TEST_F(ConfigTest, EnvironmentChoosesInt32Bias) {
  const std::string text = std::string("{\"calibration_parameters\": {") + kInputs + "}}";
  setenv("XQUANT_BIAS_TO_FP32", "0", 1);
  EXPECT_EQ(Read(text).quantization.bias, BiasType::kInt32);
  setenv("XQUANT_BIAS_TO_FP32", "1", 1);
  EXPECT_EQ(Read(text).quantization.bias, BiasType::kFloat);
  unsetenv("XQUANT_BIAS_TO_FP32");
}

TEST_F(ConfigTest, CommentsAreAllowed) {
  EXPECT_EQ(Failure(std::string("// head\n{ /* a\n b */ \"calibration_parameters\": { // x \"y\": 1\n") +
                    kInputs + "}}"),
            "");
  EXPECT_EQ(Log().find("comment"), std::string::npos) << "real comments are no news";
}

TEST_F(ConfigTest, SyntaxErrorsNameLineAndColumn) {
  EXPECT_THAT(
      Failure("{\"model_parameters\":\n  {\"onnx_model\": \"m\",,}}"),
      AllOf(HasSubstr("config.json: not valid JSON: line 2, column 22"), HasSubstr("unexpected ','")));
  EXPECT_THAT(Failure(""), HasSubstr("not valid JSON: line 1, column 1"));
  EXPECT_THAT(Failure("{\"a\": \"open"), HasSubstr("not valid JSON"));
  EXPECT_THAT(Failure("{\"a\": 1e999}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(Failure(std::string(100000, '[')), HasSubstr("over 100 deep"));
  EXPECT_THAT(Failure("{\"a\": " + std::string(90, '[')), HasSubstr("not valid JSON"));
  EXPECT_THAT(Failure("{\"a\": \"\xff\"}"),
              AllOf(HasSubstr("not valid JSON"), HasSubstr("save the file as UTF-8")));
  EXPECT_THAT(Failure("{\"a\": 1e999}"), Not(HasSubstr("json.exception")));
}

TEST_F(ConfigTest, WhatIsNoJsonIsNamed) {
  EXPECT_THAT(Failure("model_parameters:\n  onnx_model: m.onnx\n"), HasSubstr("JSON and begins with {"));
  EXPECT_THAT(Failure("---\nmodel_parameters:\n"), HasSubstr("JSON and begins with {"));
  EXPECT_THAT(Failure(" \n"), HasSubstr("the file is empty"));
  EXPECT_THAT(Failure(std::string("\xff\xfe{\0}\0", 6)), HasSubstr("UTF-16: save it as UTF-8"));
  EXPECT_THAT(Failure("{\"model_parameters\": {\"onnx_model\": \"C:\\models\"}}"),
              HasSubstr("a backslash is written"));
}

TEST_F(ConfigTest, WholeNumbersMayHaveAPoint) {
  const std::string head = "{\"calibration_parameters\": {", tail = "}}";
  EXPECT_EQ(Read(head + "\"calibration_step\": 1e2" + tail).calibration.calibration_step, 100);
  EXPECT_EQ(Read("{\"quantization_parameters\": {\"finetune_level\": 2.0}}").quantization.finetune_level, 2);
  EXPECT_THAT(Failure(head + "\"calibration_step\": 1.5" + tail),
              HasSubstr("expected an integer, got the number 1.5"));
  EXPECT_THAT(Failure(head + "\"calibration_step\": 1e12" + tail),
              HasSubstr("calibration_step: expected an integer from 1"));
  EXPECT_THAT(Failure(head + "\"calibration_step\": 1e300" + tail), HasSubstr("expected an integer"));
}

TEST_F(ConfigTest, MissingFileIsNamed) {
  try {
    ReadConfig(Path("nope.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("nope.json"));
  }
}

// The shape of the examples in XSlim's documents: remarks as bare strings, before or without the comma.
TEST_F(ConfigTest, BareStringsAreRemarks) {
  const Config config = Read(R"({
    "model_parameters" : {
        "onnx_model": "a.onnx", "path of the model"
        "output_prefix": "", "may be left out"
        "working_dir": "" "may be left out, folder of the outputs"
        "skip_onnxsim": false "leave the simplifier out"
    },
    "calibration_parameters" : {
        "calibration_step": 100, "at most"
        "calibration_type": "minmax",  "kl, minmax"
        "input_parametres": [
            "one for each input"
            {
                "input_name": "data", "may be left out",
                "input_shape": [1, 3, 224, 224], "read from the model"
                "preprocess_file": "", "a script,
                                        or PT_IMAGENET, IMAGENET"
                "data_list_path": "l.txt" "needed"
            },
            {
                "input_name": "data1"
            }
        ]
    },
    "All below may be left out"
    "quantization_parameters": {
        "precision_level": 0
        "finetune_level": 0 "0, 1, 2, 3"
        "max_percentile": 0.999 "the bound"
        "custom_setting": [],
        "ignore_op_names": ["/Concat_5", "/Transpose_6"] "stay float"
    }
})");
  EXPECT_EQ(config.model.onnx_model, "a.onnx");
  EXPECT_EQ(config.calibration.calibration_type, CalibrationType::kMinMax);
  ASSERT_EQ(config.calibration.input_parameters.size(), 2u);
  EXPECT_EQ(config.calibration.input_parameters[0].data_list_path, "l.txt");
  EXPECT_EQ(config.quantization.finetune_level, 0);
  EXPECT_EQ(config.quantization.max_percentile, 0.999);
  EXPECT_THAT(config.quantization.ignore_op_names, ElementsAre("/Concat_5", "/Transpose_6"));
  EXPECT_THAT(Log(),
              AllOf(HasSubstr("line 3: the bare string \"path of the model\" is taken as a comment"),
                    HasSubstr("a comma is missing before \"finetune_level\""), Not(HasSubstr("\"kl\""))));
}

TEST(TolerantJson, RemarksBesideObjectsOfAList) {
  std::vector<std::string> notes;
  const std::string text =
      TolerateRemarks(R"({"a": ["note" {"b": ["x", "y"]}, "note", {"c": 1} "z"]})", &notes);
  EXPECT_EQ(notes.size(), 3u);
  EXPECT_THAT(text, HasSubstr("[\"x\", \"y\"]"));
  EXPECT_EQ(text.find("note"), std::string::npos);
}

TEST(TolerantJson, ValidTextStaysAsItIs) {
  const std::string text = R"({"a": {"b": "c \" , \\", "d": ["e", "f"]}, "g": [[1, 2], []], "h": null})";
  std::vector<std::string> notes;
  EXPECT_EQ(TolerateRemarks(text, &notes), text);
  EXPECT_TRUE(notes.empty());
}

TEST(TolerantJson, BrokenTextEndsWithoutHarm) {
  for (const char* text :
       {"", "}", "]]{", "{\"a\\", "\"", "{:,:}", "/*", "//", "[{\"", "{\"a\":\"b\" \"c\" }}}"}) {
    std::vector<std::string> notes;
    EXPECT_EQ(TolerateRemarks(text, &notes).size(), std::string(text).size());
  }
}

}  // namespace
}  // namespace xslim
