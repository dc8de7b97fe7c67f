#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/temporary_files.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OutputFilesTest : public testing::Test {
 protected:
  OutputFilesTest()
      : folder_(fs::path(testing::TempDir()) / ("xslim_output_files_" + std::to_string(getpid()))) {
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

// As long as the system takes: the temporary names must not be longer.
TEST_F(OutputFilesTest, ALongNameIsPutBackToo) {
  const std::string longest(255, 'b');
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

// Two runs of one process, or of processes with the same number in two containers.
TEST_F(OutputFilesTest, TwoOfOneNameDoNotMix) {
  OutputFile first(At("a"));
  OutputFile second(At("a"));
  first.Write("one");
  second.Write("and two");
  EXPECT_EQ(Names().size(), 2u);
  first.Commit();
  EXPECT_EQ(ReadFile(At("a")), "one");
  second.Commit();
  EXPECT_EQ(ReadFile(At("a")), "and two");
  EXPECT_THAT(Names(), ElementsAre("a"));
}

// Names that a process of the same number has taken are passed over, and what is in them is left alone.
TEST_F(OutputFilesTest, NamesThatAreTakenAreLeftAlone) {
  Put("a", "old");
  std::string number;
  {
    const OutputFile file(At("a"));
    const std::string name = Names()[0];  // .xslim<process>.<number>.tmp
    number = name.substr(0, name.rfind('.'));
  }
  const size_t dot = number.rfind('.') + 1;
  const int next = std::stoi(number.substr(dot)) + 1;
  std::vector<std::string> taken;
  for (int i = next; i < next + 9; ++i) {
    for (const char* ending : {".tmp", ".before"}) {
      taken.push_back(number.substr(0, dot) + std::to_string(i) + ending);
      std::ofstream(At(taken.back())) << "another's";
    }
  }
  OutputFiles files;
  files.Add(At("a"))->Write("new");
  files.Commit();
  EXPECT_EQ(ReadFile(At("a")), "new");
  for (const std::string& name : taken) EXPECT_EQ(ReadFile(At(name)), "another's");
  EXPECT_EQ(Names().size(), taken.size() + 1);
}

using OutputFilesDeathTest = OutputFilesTest;

TEST_F(OutputFilesDeathTest, ASignalLeavesNoTemporaryFile) {
  Put("b", "old");
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    EXPECT_EXIT(
        {
          RemoveTemporaryFilesOnSignals();
          OutputFiles files;
          for (const char* name : {"a", "b", "c"}) files.Add(At(name))->Write("new");
          raise(number);
        },
        testing::KilledBySignal(number), "");
    EXPECT_THAT(Names(), ElementsAre("b"));
    EXPECT_EQ(ReadFile(At("b")), "old");
  }
}

TEST_F(OutputFilesDeathTest, ASignalRemovesFoldersThatAreStillEmpty) {
  fs::create_directories(folder_ / "outer" / "inner");
  fs::create_directories(folder_ / "full");
  Put("full/b", "old");
  EXPECT_EXIT(
      {
        RemoveTemporaryFilesOnSignals();
        const TemporaryName full(At("full"));
        const TemporaryName outer(At("outer"));
        const TemporaryName inner(At("outer/inner"));
        OutputFile file(At("outer/inner/a"));
        file.Write("new");
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
  EXPECT_FALSE(fs::exists(folder_ / "outer"));
  EXPECT_EQ(ReadFile(At("full/b")), "old");
}

TEST_F(OutputFilesDeathTest, ASignalWaitsForFilesToTakeTheirPlaces) {
  EXPECT_EXIT(
      {
        RemoveTemporaryFilesOnSignals();
        OutputFile other(At("other"));
        {
          const SignalsWait wait;
          raise(SIGTERM);
          OutputFile file(At("a"));
          file.Write("whole");
          file.Commit();
        }
        std::_Exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
  EXPECT_THAT(Names(), ElementsAre("a"));
  EXPECT_EQ(ReadFile(At("a")), "whole");
}

TEST_F(OutputFilesDeathTest, ASignalThatTheProgramIgnoresStaysIgnored) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);  // as under nohup
        RemoveTemporaryFilesOnSignals();
        OutputFile file(At("a"));
        raise(SIGHUP);
        file.Write("whole");
        file.Commit();
        std::_Exit(0);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(ReadFile(At("a")), "whole");
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
  EXPECT_THAT(Complaint(At("no/new")), HasSubstr("there is no folder " + At("no") + " ("));
  EXPECT_THAT(Complaint(At("old/new")), HasSubstr("there is no folder " + At("old") + " ("));
  EXPECT_THAT(Complaint(folder_.string()), HasSubstr("a folder of that name is there"));
  EXPECT_THAT(Complaint("/dev/null"), HasSubstr("is a pipe or a device"));
  EXPECT_THAT(Complaint(At(std::string(300, 'n'))), HasSubstr("File name too long"));
}

TEST_F(OutputFilesTest, AFolderThatIsNotThereIsAnError) {
  OutputFiles files;
  EXPECT_THROW(files.Add(At("no/a")), Error);
}

TEST(IsBelow, TakesWholeNames) {
  EXPECT_TRUE(IsBelow("/a/b/c.onnx", "/a"));
  EXPECT_TRUE(IsBelow("/a/c.onnx", "/a"));
  EXPECT_FALSE(IsBelow("/ab/c.onnx", "/a"));
  EXPECT_FALSE(IsBelow("/c.onnx", "/a"));
}

}  // namespace
}  // namespace xslim
