#include "quant/ignore_list.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "base/file.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

Node Named(const std::string& name, const std::string& type) {
  Node node;
  node.name = name;
  node.op_type = type;
  return node;
}

bool Takes(const std::string& pattern, const std::string& name) {
  QuantizationParameters options;
  options.ignore_op_names = {pattern};
  return IgnoreList(options).Reason(Named(name, "Add")) != nullptr;
}

TEST(IgnoreListTest, AStarMatchesAnyRunOfCharacters) {
  EXPECT_TRUE(Takes("head", "head"));
  EXPECT_FALSE(Takes("head", "head1"));
  EXPECT_FALSE(Takes("head", "a_head"));
  EXPECT_FALSE(Takes("head", ""));
  EXPECT_TRUE(Takes("*", ""));
  EXPECT_TRUE(Takes("/head/*", "/head/Conv_1"));
  EXPECT_TRUE(Takes("/head/*", "/head/"));
  EXPECT_FALSE(Takes("/head/*", "/head"));
  EXPECT_TRUE(Takes("*Conv", "/Conv/Conv"));
  EXPECT_FALSE(Takes("*Conv", "/Conv/Conv_1"));
  EXPECT_TRUE(Takes("a*b**c", "a_b_bc"));
  EXPECT_TRUE(Takes("*aab", "aaaab"));  // the star has to give back what it took
  EXPECT_FALSE(Takes("a*b*c", "a_c_b"));
}

TEST(IgnoreListTest, TheReasonIsTheListThatHoldsTheNode) {
  QuantizationParameters options;
  options.ignore_op_types = {"Soft*", "Add"};
  options.ignore_op_names = {"head"};
  IgnoreList list(options);
  EXPECT_STREQ(list.Reason(Named("head", "Softmax")), "ignore_op_types");
  EXPECT_STREQ(list.Reason(Named("head", "Conv")), "ignore_op_names");
  EXPECT_EQ(list.Reason(Named("Add", "Conv")), nullptr);
  for (const char* reason : {"ignore_op_types", "ignore_op_names"}) EXPECT_TRUE(IgnoreList::IsReason(reason));
  EXPECT_FALSE(IgnoreList::IsReason("output protected"));
}

TEST(IgnoreListTest, NamesOfThePartsAndOfTheFileCount) {
  QuantizationParameters options;
  options.ignore_op_names = {"erf", "twice"};
  IgnoreList list(options);
  Node gelu = Named("Gelu_1", "Gelu"), second = Named("twice_3", "Conv");
  EXPECT_EQ(list.Reason(gelu), nullptr);
  EXPECT_EQ(list.Reason(second), nullptr);
  gelu.parts = {"div", "erf"};
  second.shared_name = "twice";
  EXPECT_NE(list.Reason(gelu), nullptr);
  EXPECT_NE(list.Reason(second), nullptr);
}

class IgnoreListWarnings : public testing::Test {
 protected:
  ~IgnoreListWarnings() override {
    SetupLogging(LogLevel::kError, "");
    std::filesystem::remove(path_);
  }

  static Attribute Body(const std::string& name) {
    Attribute body;
    body.kind = Attribute::Kind::kGraph;
    body.graph = std::make_shared<Graph>();
    body.graph->AddNode("Conv", name, {}, {});
    return body;
  }

  std::string LogOf(const IgnoreList& list, const Graph& graph) {
    SetupLogging(LogLevel::kError, path_);
    list.WarnUnmatched(graph);
    SetupLogging(LogLevel::kError, "");
    return ReadFile(path_);
  }

  const std::string path_ = testing::TempDir() + "ignore_list_log.txt";
};

// One that was met, one of an operator that nobody asked about, one with a slip of the pen, and those inside
// bodies: branches are asked about later, loops never.
TEST_F(IgnoreListWarnings, SayWhichEntriesMatchNothing) {
  Graph graph;
  graph.AddNode("Conv", "first", {}, {});
  graph.AddNode("Relu", "second", {}, {});
  graph.AddNode("If", "choice", {}, {}, {{"then_branch", Body("in_branch")}});
  graph.AddNode("Loop", "loop", {}, {}, {{"body", Body("in_loop")}});
  QuantizationParameters options;
  options.ignore_op_names = {"first", "second", "secnd", "in_branch", "in_loop"};
  options.ignore_op_types = {"Sigmoidal"};
  IgnoreList list(options);
  ASSERT_NE(list.Reason(graph.node(0)), nullptr);
  const std::string log = LogOf(list, graph);
  const auto holds = [&](const char* text) { return log.find(text) != std::string::npos; };
  EXPECT_FALSE(holds("\"first\""));
  EXPECT_TRUE(holds("ignore_op_names: \"second\" matches only operators that stay float anyway"));
  EXPECT_TRUE(
      holds("ignore_op_names: \"secnd\" matches no operator of the simplified model (did you mean second?)"));
  EXPECT_FALSE(holds("\"in_branch\""));
  EXPECT_TRUE(holds("ignore_op_names: \"in_loop\" matches only operators that stay float anyway"));
  EXPECT_TRUE(holds("ignore_op_types: \"Sigmoidal\" matches no operator of the simplified model"));
}

TEST_F(IgnoreListWarnings, SayWhereTheSimplifierHasPutAnEntrysOperators) {
  Graph graph;
  graph.AddNode("Conv", "layer", {}, {});
  graph.gone = {{"norm1", {"BatchNormalization", "layer[Conv]"}}, {"norm2", {"BatchNormalization", ""}}};
  QuantizationParameters options;
  options.ignore_op_names = {"norm1", "norm2", "norm3"};
  options.ignore_op_types = {"Batch*"};
  const std::string log = LogOf(IgnoreList(options), graph);
  const auto holds = [&](const char* text) { return log.find(text) != std::string::npos; };
  EXPECT_TRUE(
      holds("\"norm1\" matches no operator of the simplified model: norm1 was folded into layer[Conv]\n"));
  EXPECT_TRUE(holds("\"norm2\" matches no operator of the simplified model: norm2 is not needed any more\n"));
  EXPECT_TRUE(holds("\"norm3\" matches no operator of the simplified model\n"));
  EXPECT_TRUE(
      holds("ignore_op_types: \"Batch*\" matches no operator of the simplified model: norm1 was folded "
            "into layer[Conv] (1 more as well)"));
}

}  // namespace
}  // namespace xslim
