#include "pipeline/dry_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_run.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class DryRun : public SmallRun {
 protected:
  std::vector<std::string> Lines() {
    options_.dry_run = true;
    return xslim::Run(config_, options_).plan;
  }
};

TEST_F(DryRun, SaysWhatIsInt8AndWritesNothing) {
  config_.model.working_dir = At("new");
  EXPECT_THAT(
      Lines(),
      ElementsAre("int8   input x: Q/DQ behind x", "int8   first[Gemm]: rounds once with what reads it",
                  "int8   relu[Relu]: Q/DQ behind r", "int8   second[Gemm]: Q/DQ behind y",
                  StartsWith("3 of 3 operators in int8, 100.0 % of 256 multiply-adds; 3 activations"),
                  HasSubstr("before calibration")));
  EXPECT_FALSE(fs::exists(At("new")));
  config_.model.working_dir.clear();
  Lines();
  EXPECT_THAT(Outputs(), IsEmpty());
}

// Each by its own rule, in the words of the report.
TEST_F(DryRun, SaysWhyTheRestStaysFloat) {
  Graph graph = MakeGraph();
  const ValueId y = graph.Find("y"), s = AddRows(&graph, "s"), e = AddRows(&graph, "e"),
                n = AddRows(&graph, "n");
  const ValueId shape = graph.AddValue("shape", DType::kInt64);
  graph.AddNode("Softmax", "soft", {y}, {s});
  graph.AddNode("Erf", "erf", {graph.Find("x")}, {e});
  graph.AddNode("Neg", "neg", {graph.Find("x")}, {n});
  graph.AddNode("Shape", "size", {y}, {shape});
  for (ValueId id : {s, e, n, shape}) graph.AddOutput(id);
  SaveModel(graph, At("m.onnx"));
  config_.quantization.ignore_op_names = {"second"};
  std::string text;
  for (const std::string& line : Lines()) text += line + "\n";
  EXPECT_THAT(text, AllOf(HasSubstr("int8   first[Gemm]"), HasSubstr("float  second[Gemm]: ignore_op_names"),
                          HasSubstr("float  soft[Softmax]: "), HasSubstr("float  erf[Erf]: no int8 "),
                          HasSubstr("2 of ")));
}

}  // namespace
}  // namespace xslim
