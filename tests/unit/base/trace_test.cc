#include "base/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class TraceTest : public testing::Test {
 protected:
  TraceTest() { fs::remove(path_); }
  ~TraceTest() override { fs::remove(path_); }
  const std::string path_ =
      (fs::path(testing::TempDir()) / ("xslim_trace_" + std::to_string(getpid()) + ".json")).string();
};

TEST_F(TraceTest, WritesStagesAndOperatorsOfEachThread) {
  TraceEvent("before", "stage", "", TraceClock::now());
  {
    const TraceSession session(path_);
    EXPECT_TRUE(TraceIsOn());
    {
      TraceStage stage("first");
      stage.Next("second");
    }
    const TraceClock::time_point begin = TraceClock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    TraceEvent("a \"quoted\" node", "operator", "Conv", begin);
    std::thread([] { TraceEvent("elsewhere", "operator", "Relu", TraceClock::now()); }).join();
    session.Save();
  }
  EXPECT_FALSE(TraceIsOn());
  const std::string text = ReadFile(path_);
  EXPECT_THAT(text, AllOf(HasSubstr("{\"name\":\"first\",\"cat\":\"stage\",\"ph\":\"X\",\"ts\":"),
                          HasSubstr("{\"name\":\"second\",\"cat\":\"stage\""), Not(HasSubstr("before"))));
  EXPECT_THAT(text,
              ContainsRegex("\"name\":\"a \\\\\"quoted\\\\\" node\",\"cat\":\"operator\",\"ph\":\"X\","
                            "\"ts\":[0-9]+\\.[0-9][0-9][0-9],\"dur\":[0-9]+\\.[0-9][0-9][0-9],\"pid\":1,"
                            "\"tid\":[0-9]+,\"args\":.\"type\":\"Conv\""));
  const size_t node = text.find("quoted");  // its times are microseconds
  EXPECT_GE(std::stod(text.substr(text.find("\"dur\":", node) + 6)), 2000);
  const auto thread_of = [&](const std::string& name) {
    const size_t at = text.find("\"tid\":", text.find("\"name\":\"" + name));
    return std::stoi(text.substr(at + 6));
  };
  EXPECT_EQ(thread_of("first"), thread_of("second"));
  EXPECT_NE(thread_of("first"), thread_of("elsewhere"));
}

TEST_F(TraceTest, EachRecordBeginsEmpty) {
  {
    const TraceSession session(path_);
    TraceStage stage("of the first");
  }
  EXPECT_FALSE(fs::exists(path_));  // never saved
  const TraceSession session(path_);
  session.Save();
  EXPECT_EQ(ReadFile(path_), "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n]}\n");
}

TEST_F(TraceTest, WhatBeganEarlierBeginsWithTheRecord) {
  const TraceClock::time_point earlier = TraceClock::now() - std::chrono::hours(1);
  const TraceSession session(path_);
  TraceEvent("long", "stage", "", earlier);
  session.Save();
  EXPECT_THAT(ReadFile(path_), ContainsRegex("\"ts\":0\\.000,\"dur\":[0-9]+\\.[0-9][0-9][0-9],"));
}

TEST_F(TraceTest, NoPathIsNoRecord) {
  const TraceSession session("");
  EXPECT_FALSE(TraceIsOn());
  session.Save();
}

TEST_F(TraceTest, AFileThatCannotBeWrittenIsAnError) {
  const TraceSession session((fs::path(testing::TempDir()) / "no_such_folder" / "trace.json").string());
  EXPECT_THROW(session.Save(), Error);
}

}  // namespace
}  // namespace xslim
