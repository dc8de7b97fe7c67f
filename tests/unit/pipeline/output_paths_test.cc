#include "pipeline/output_paths.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "small_run.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class OutputPathsTest : public SmallRun {};

TEST_F(OutputPathsTest, ResolvingChangesNothing) {
  config_.model.working_dir = At("new/inner");
  OutputPaths paths = ResolveOutputPaths(config_, options_);
  EXPECT_EQ(paths.model, At("new/inner/out.onnx"));
  EXPECT_EQ(paths.report, At("new/inner/out_report.md"));
  EXPECT_THAT(paths.made, IsEmpty());
  EXPECT_FALSE(fs::exists(At("new")));
  MakeFolder(&paths);
  EXPECT_THAT(paths.made, ElementsAre(At("new/inner"), At("new")));
  EXPECT_TRUE(fs::is_directory(At("new/inner")));
  RemoveEmptyFolders(paths);
  EXPECT_FALSE(fs::exists(At("new")));
}

TEST_F(OutputPathsTest, TheEndingMayBeInCapitals) {
  options_.output_path = At("x.ONNX");
  const OutputPaths paths = ResolveOutputPaths(config_, options_);
  EXPECT_EQ(paths.model, At("x.ONNX"));
  EXPECT_EQ(paths.report, At("x_report.md"));
  options_.output_path = At(".ONNX");
  EXPECT_THROW(ResolveOutputPaths(config_, options_), UsageError);
}

TEST_F(OutputPathsTest, ANameOfAnotherFormatIsNoFolder) {
  options_.output_path = At("x.TFLite");
  EXPECT_THROW(ResolveOutputPaths(config_, options_), UsageError);
  fs::create_directory(At("x.TFLite"));
  EXPECT_EQ(ResolveOutputPaths(config_, options_).folder, At("x.TFLite"));
  options_.output_path = At("v1.2");
  EXPECT_EQ(ResolveOutputPaths(config_, options_).folder, At("v1.2"));
}

// The first of two folders can be made, but not the one in it.
TEST_F(OutputPathsTest, WhatIsMadeInPartIsRemovedToo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become a user who may write to no folder";
  fs::permissions(folder_, fs::perms::all);
  config_.model.working_dir = At("new/inner");
  OutputPaths paths = ResolveOutputPaths(config_, options_);
  ASSERT_EQ(seteuid(65534), 0);
  const mode_t before = umask(0777);
  std::string text;
  try {
    MakeFolder(&paths);
  } catch (const Error& error) {
    text = error.what();
  }
  umask(before);
  EXPECT_TRUE(fs::exists(At("new")));
  RemoveEmptyFolders(paths);
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_THAT(text, HasSubstr("cannot make the output folder"));
  EXPECT_FALSE(fs::exists(At("new")));
}

TEST_F(OutputPathsTest, ARunThatFailsLeavesNoFolder) {
  config_.model.working_dir = At("new/inner");
  options_.op_libraries = {At("none.so")};
  EXPECT_THAT(ErrorOf(), HasSubstr("none.so"));
  EXPECT_FALSE(fs::exists(At("new")));
}

}  // namespace
}  // namespace xslim
