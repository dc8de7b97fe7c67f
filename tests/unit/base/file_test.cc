#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
namespace fs = std::filesystem;

class OutputFilesTest : public testing::Test {
 protected:
  OutputFilesTest() : folder_(fs::path(testing::TempDir()) / "xslim_output_files") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~OutputFilesTest() override { fs::remove_all(folder_); }

  std::string At(const std::string& name) const { return (folder_ / name).string(); }
  void Put(const std::string& name, const std::string& text) const {
    OutputFile file(At(name));
    file.Write(text);
    file.Commit();
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  const fs::path folder_;
};

TEST_F(OutputFilesTest, AppearTogether) {
  Put("b", "old");
  OutputFiles files;
  files.Add(At("a"))->Write("one");
  files.Add(At("b"))->Write("two");
  EXPECT_EQ(ReadFile(At("b")), "old");
  EXPECT_FALSE(fs::exists(At("a")));
  files.Commit();
  EXPECT_EQ(ReadFile(At("a")), "one");
  EXPECT_EQ(ReadFile(At("b")), "two");
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

TEST_F(OutputFilesTest, LeaveNothingWithoutCommit) {
  {
    OutputFiles files;
    files.Add(At("a"))->Write("one");
  }
  EXPECT_THAT(Names(), ElementsAre());
}

// The last cannot take its place: those before it go back to what was there.
TEST_F(OutputFilesTest, AllOrNone) {
  Put("b", "old");
  fs::create_directories(folder_ / "c" / "inside");
  OutputFiles files;
  for (const char* name : {"a", "b", "c"}) files.Add(At(name))->Write("new");
  EXPECT_THROW(files.Commit(), Error);
  EXPECT_FALSE(fs::exists(At("a")));
  EXPECT_EQ(ReadFile(At("b")), "old");
  EXPECT_TRUE(fs::is_directory(folder_ / "c" / "inside"));
}

TEST_F(OutputFilesTest, AFolderThatIsNotThereIsAnError) {
  OutputFiles files;
  EXPECT_THROW(files.Add(At("no/a")), Error);
}

}  // namespace
}  // namespace xslim
