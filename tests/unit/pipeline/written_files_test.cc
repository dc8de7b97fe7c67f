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
  options_.profile = "/dev/null";
  EXPECT_EQ(Refused(At("log.txt")), "");
  Write("s.stats", "of an earlier run");
  EXPECT_EQ(Refused(""), "");
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

TEST_F(WrittenFiles, WhatTheRunWritesIsRefused) {
  for (const char* name : {"out_report.md", "out_verdict.json", "out.onnx.data"})
    EXPECT_THAT(Refused(At(std::string("./") + name)), HasSubstr("would overwrite the")) << name;
  options_.save_stats = At("s");
  EXPECT_THAT(Refused(At("s")), HasSubstr("--save-stats"));
  options_.save_stats = At("new.onnx");
  EXPECT_THAT(Refused(""), HasSubstr("has the name of a model"));
}

}  // namespace
}  // namespace xslim
