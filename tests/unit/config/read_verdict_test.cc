#include "config/read_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReadVerdictTest : public testing::Test {
 protected:
  ~ReadVerdictTest() override { std::filesystem::remove(path_); }

  EarlierVerdict Read(const std::string& text) const {
    OutputFile file(path_);
    file.Write(text);
    file.Commit();
    return ReadVerdict(path_);
  }
  std::string ErrorOf(const std::string& text) const {
    try {
      Read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  const std::string path_ =
      (std::filesystem::path(testing::TempDir()) / ("xslim_verdict_" + std::to_string(getpid()))).string();
  const std::string outputs_ =
      R"([{"name": "y", "samples": 16, "snr": 0.25, "snr_worst": 1, "cosine": null, "cosine_worst": 0, "note": null,
  "parts": [{"tensor": "a", "snr": null, "cosine": 0.5, "saturated": 0, "collapse": "constant"},
            {"tensor": "b", "snr": 0.125, "cosine": 1, "saturated": 0, "collapse": null}]},
 {"name": "ids", "samples": 0, "note": "int64", "parts": []}])";
};

TEST_F(ReadVerdictTest, WhatARunIsComparedWith) {
  const EarlierVerdict verdict = Read(
      R"({"format": 1, "macs": 100, "int8_macs": 75, "stays_float": [{"operator": "a"}], "outputs": )" +
      outputs_ + R"(, "manifest": {"model": "f0", "config": null, "options": ["--opset 17", "--dynq"]}})");
  EXPECT_EQ(verdict.macs, 100);
  EXPECT_EQ(verdict.int8_macs, 75);
  EXPECT_EQ(verdict.stays_float, 1);
  ASSERT_EQ(verdict.outputs.size(), 2u);
  const EarlierOutput& y = verdict.outputs[0];
  EXPECT_EQ(y.snr, 0.25);
  EXPECT_TRUE(std::isnan(y.cosine));
  ASSERT_EQ(y.parts.size(), 2u);
  EXPECT_TRUE(y.parts[0].collapsed);
  EXPECT_FALSE(y.parts[1].collapsed);
  EXPECT_EQ(verdict.outputs[1].samples, 0);
  EXPECT_THAT(verdict.manifest.at("model"), ElementsAre("f0"));
  EXPECT_THAT(verdict.manifest.at("config"), IsEmpty());
  EXPECT_THAT(verdict.manifest.at("options"), ElementsAre("--opset 17", "--dynq"));
}

TEST_F(ReadVerdictTest, VerdictsOfOldHaveNoManifest) {
  EXPECT_THAT(Read(R"({"format": 1, "macs": 0, "int8_macs": 0, "stays_float": [], "outputs": []})").manifest,
              IsEmpty());
}

TEST_F(ReadVerdictTest, AnythingElseIsRefused) {
  EXPECT_THAT(ErrorOf("# a report"),
              AllOf(HasSubstr(path_), HasSubstr("this is no verdict of xslim: it is not")));
  EXPECT_THAT(ErrorOf(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("[1]"), HasSubstr("expected an object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("it has no format (give the <prefix>_verdict.json"));
  EXPECT_THAT(ErrorOf(R"({"format": 2})"), HasSubstr("a verdict of format 2 is not known"));
  const std::string head = R"({"format": 1, "macs": 1, "int8_macs": 1, "stays_float": [], "outputs": )";
  EXPECT_EQ(ErrorOf(head + outputs_ + "}"), "");
  EXPECT_THAT(ErrorOf(head + "7}"), HasSubstr("outputs: expected a list"));
  const std::string nest(200000, '['), end(200000, ']');
  EXPECT_THAT(ErrorOf(head + nest + end + "}"), HasSubstr("stand over 100 deep"));
  EXPECT_THAT(ErrorOf(head + R"([{"name": "y", "samples": 1, "parts": []}]})"),
              HasSubstr("outputs[0]: this is no"));
  EXPECT_THAT(ErrorOf(head + R"([{"name": "y", "samples": -1, "parts": []}]})"),
              HasSubstr("outputs[0].samples"));
  EXPECT_THAT(ErrorOf(head + R"([{"name": "y", "samples": 1, "snr": "low", "cosine": 1, "parts": []}]})"),
              HasSubstr("outputs[0].snr: expected a number or null"));
  EXPECT_THAT(ErrorOf(head + R"([], "manifest": {"model": 3}})"),
              HasSubstr("manifest.model: expected a string"));
}

}  // namespace
}  // namespace xslim
