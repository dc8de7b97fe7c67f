#include "pipeline/written_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_run.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;

class WrittenFiles : public SmallRun {
 protected:
  std::string Refused(const std::string& log_file) const {
    try {
      CheckWrittenFiles(config_, options_, log_file);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(WrittenFiles, NewNamesAndDevicesAreTaken) {
  options_.save_stats = At("s.stats");
  EXPECT_EQ(Refused(At("log.txt")), "");
  EXPECT_EQ(Refused("/dev/null"), "");
  Write("s.stats", "of an earlier run");
  EXPECT_EQ(Refused(""), "");
}

TEST_F(WrittenFiles, PlacesWhereNothingCanBeWrittenAreRefused) {
  options_.profile = "/dev/null";
  EXPECT_THAT(Refused(""), HasSubstr("--profile: /dev/null: is a pipe or a device"));
  options_.profile = At("none/p.json");
  EXPECT_THAT(Refused(""), HasSubstr("there is no folder " + At("none")));
  options_.profile.clear();
  options_.save_stats = At("none/s");
  EXPECT_THAT(Refused(""), HasSubstr("--save-stats: " + At("none/s")));
  config_.quantization.precision_level = kPrecisionSlimOnly;  // where no statistics are written
  EXPECT_EQ(Refused(""), "");
  options_.save_stats.clear();
  std::filesystem::create_directory(At("out_report.md"));
  EXPECT_EQ(Refused(""), "");
  config_.quantization.precision_level = 0;
  EXPECT_THAT(Refused(""), HasSubstr("out_report.md: cannot write the output file"));
  config_.quantization.analysis_enable = false;
  EXPECT_EQ(Refused(""), "");
  std::filesystem::create_directory(At("out_verdict.json"));
  EXPECT_EQ(Refused(""), "");
  config_.quantization.max_snr = 0.1;
  EXPECT_THAT(Refused(""), HasSubstr("out_verdict.json: cannot write the output file"));
}

TEST_F(WrittenFiles, WhatTheRunReadsIsRefused) {
  for (const char* name : {"m.onnx", "c.json", "list.txt", "4.raw"}) {
    EXPECT_THAT(Refused(At(name)), HasSubstr("--log-file would overwrite")) << name;
    options_.profile = At(name);
    EXPECT_THAT(Refused(""), HasSubstr("--profile would overwrite")) << name;
    options_.profile.clear();
  }
  std::filesystem::create_symlink(At("m.onnx"), At("link"));
  EXPECT_THAT(Refused(At("link")), HasSubstr("the model"));
}

TEST_F(WrittenFiles, APreviewIsAPng) {
  options_.preview = At("p.png");
  EXPECT_EQ(Refused(""), "");
  options_.preview = At("none/p.png");
  EXPECT_THAT(Refused(""), HasSubstr("--preview: " + At("none/p.png")));
  for (const char* name : {"p.jpg", "p", "out.onnx"}) {
    options_.preview = At(name);
    EXPECT_THAT(Refused(""), HasSubstr("is not the name of a .png file")) << name;
  }
  options_.preview = At("p.png");
  EXPECT_THAT(Refused(At("p.png")), HasSubstr("--log-file would overwrite --preview"));
}

TEST_F(WrittenFiles, TheBaselineStays) {
  Write("out_verdict.json", "of an earlier run");
  config_.quantization.baseline = At("./out_verdict.json");
  EXPECT_THAT(Refused(""), HasSubstr("this run's verdict would take the place of its baseline"));
  Write("base.json", "of an earlier run");
  config_.quantization.baseline = At("base.json");
  EXPECT_EQ(Refused(""), "");
  options_.profile = At("base.json");
  EXPECT_THAT(Refused(""), HasSubstr("--profile would overwrite the baseline"));
}

TEST_F(WrittenFiles, WhatTheRunWritesIsRefused) {
  for (const char* name : {"out_report.md", "out_verdict.json", "out.onnx.data"})
    EXPECT_THAT(Refused(At(std::string("./") + name)), HasSubstr("would overwrite the")) << name;
  options_.save_stats = At("s");
  EXPECT_THAT(Refused(At("s")), HasSubstr("--save-stats"));
  for (const char* name : {"new.onnx", "new.ONNX"}) {
    options_.save_stats = At(name);
    EXPECT_THAT(Refused(""), HasSubstr("has the name of a model")) << name;
  }
}

}  // namespace
}  // namespace xslim
