#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
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

// Its temporary name just fits into the system's 255 bytes.
TEST_F(OutputFilesTest, ALongNameIsPutBackToo) {
  const std::string longest(240, 'b');
  Put(longest, "old");
  fs::create_directories(folder_ / "c" / "inside");
  {
    OutputFiles files;
    for (const std::string& name : {longest, std::string("c")}) files.Add(At(name))->Write("new");
    EXPECT_THROW(files.Commit(), Error);
  }
  EXPECT_EQ(ReadFile(At(longest)), "old");
  EXPECT_THAT(Names(), ElementsAre(longest, "c"));
}

// A file of another user in a folder that all may write to: the system may refuse it a second name.
TEST_F(OutputFilesTest, AFileOfAnotherOwnerIsPutBackToo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make files of two owners";
  Put("b", "old");
  fs::permissions(folder_ / "b", fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  fs::permissions(folder_, fs::perms::all);
  fs::create_directories(folder_ / "c" / "inside");
  ASSERT_EQ(seteuid(65534), 0);
  EXPECT_THROW(
      {
        OutputFiles files;
        for (const char* name : {"b", "c"}) files.Add(At(name))->Write("new");
        files.Commit();
      },
      Error);
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_EQ(ReadFile(At("b")), "old");
  EXPECT_THAT(Names(), ElementsAre("b", "c"));
  ASSERT_EQ(seteuid(65534), 0);
  {
    OutputFiles files;
    files.Add(At("b"))->Write("new");
    files.Commit();
  }
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_EQ(ReadFile(At("b")), "new");
  EXPECT_THAT(Names(), ElementsAre("b", "c"));
}

std::string Complaint(const std::string& path) {
  try {
    CheckOutputPlace(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(OutputFilesTest, PlacesAreKnownBeforeThereIsSomethingToWrite) {
  Put("old", "kept");
  for (const char* name : {"old", "new"}) EXPECT_EQ(Complaint(At(name)), "") << name;
  EXPECT_THAT(Names(), ElementsAre("old"));
  EXPECT_EQ(ReadFile(At("old")), "kept");
  EXPECT_THAT(Complaint(At("no/new")), HasSubstr("(there is no folder " + At("no") + ")"));
  EXPECT_THAT(Complaint(At("old/new")), HasSubstr("(there is no folder " + At("old") + ")"));
  EXPECT_THAT(Complaint(folder_.string()), HasSubstr("a folder of that name is there"));
  EXPECT_THAT(Complaint("/dev/null"), HasSubstr("not a regular file"));
  EXPECT_THAT(Complaint(At(std::string(300, 'n'))), HasSubstr("File name too long"));
}

TEST_F(OutputFilesTest, AFolderThatIsNotThereIsAnError) {
  OutputFiles files;
  EXPECT_THROW(files.Add(At("no/a")), Error);
}

}  // namespace
}  // namespace xslim
