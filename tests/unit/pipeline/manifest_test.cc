// What a verdict says its model was made from, and the first sample, in whole runs.
#include "pipeline/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/read_verdict.h"
#include "small_run.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
namespace fs = std::filesystem;

class ManifestTest : public SmallRun {
 protected:
  std::map<std::string, std::vector<std::string>> Made() const {
    return ReadVerdict(xslim::Run(config_, options_).verdict_path).manifest;
  }
};

TEST_F(ManifestTest, IsWhatSha256SumSays) {
  options_.settings = {"--opset 13"};
  config_.hash = "c0";
  const auto manifest = Made();
  EXPECT_THAT(manifest.at("xslim"), ElementsAre(Version()));
  EXPECT_THAT(manifest.at("model"), ElementsAre(Sha256OfFile(At("m.onnx"))));
  EXPECT_THAT(manifest.at("config"), ElementsAre("c0"));
  EXPECT_THAT(manifest.at("options"), ElementsAre("--opset 13"));
  std::string sums;
  for (int i = 0; i < 6; ++i) sums += Sha256OfFile(At(std::to_string(i) + ".raw")) + "\n";
  EXPECT_THAT(manifest.at("data"), ElementsAre(Sha256Of(sums)));
  EXPECT_THAT(manifest.at("output"), ElementsAre(Sha256OfFile(At("out.onnx"))));
  for (const char* none : {"model_data", "scripts", "op_libraries", "statistics", "output_data"})
    EXPECT_THAT(manifest.at(none), IsEmpty()) << none;
}

TEST_F(ManifestTest, ExternalDataOnBothSides) {
  Graph graph = MakeGraph();
  SaveModel(graph, At("m.onnx"), {.external_data = true});  // too small for it
  EXPECT_THAT(Made().at("model_data"), IsEmpty());
  graph.value(graph.Find("w1")).constant = Noise({8, 64}, 1);
  graph.value(graph.Find("w2")).constant = Noise({64, 8}, 2);
  for (const char* name : {"a", "r"}) graph.value(graph.Find(name)).dims = {{2, ""}, {64, ""}};
  SaveModel(graph, At("m.onnx"), {.external_data = true});
  EXPECT_THAT(Made().at("model_data"), ElementsAre(Sha256OfFile(At("m.onnx.data"))));
}

TEST_F(ManifestTest, NamesDoNotCountAndBytesDo) {
  const auto manifest = Made();
  fs::create_directory(At("moved"));
  std::string list;
  for (int i = 0; i < 6; ++i) {
    fs::rename(At(std::to_string(i) + ".raw"), At("moved/s" + std::to_string(i)));
    list += "\nmoved/s" + std::to_string(i) + " label";
  }
  Write("list.txt", list);
  fs::rename(At("m.onnx"), At("n.onnx"));
  config_.model.onnx_model = At("n.onnx");
  EXPECT_EQ(Made(), manifest);
  config_.calibration.calibration_step = 5;  // and the sixth measures nothing
  EXPECT_NE(Made().at("data"), manifest.at("data"));
  config_.calibration.calibration_step = 500;
  std::string bytes = ReadFile(At("moved/s3"));
  bytes[1] = static_cast<char>(bytes[1] ^ 1);
  Write("moved/s3", bytes);
  const auto other = Made();
  EXPECT_NE(other.at("data"), manifest.at("data"));
  EXPECT_EQ(other.at("model"), manifest.at("model"));
}

TEST_F(ManifestTest, WithoutData) {
  config_.calibration.input_parameters[0] = InputParameters();
  EXPECT_THAT(Made().at("data"), IsEmpty());
}

TEST_F(ManifestTest, LinesOfAFunctionCountWithTheirTexts) {
  Write("pre.py",
        "import numpy as np\ndef f(paths, entry):\n"
        "    return np.zeros((len(paths), 8), np.float32) + len(paths[0]) % 7 + 1\n");
  InputParameters& input = config_.calibration.input_parameters[0];
  input.preprocess_file = At("pre.py") + ":f";
  const auto items = [&](const std::string& list) {
    Write("list.txt", list);
    const auto samples = OpenSamples(config_, {{"x", DType::kFloat, {2, 8}, true}}, 0);
    return samples->ItemsOf(0);
  };
  const std::vector<SampleItem> found = items("0.raw 7\nno file 3\n");
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].file, At("0.raw"));
  EXPECT_EQ(found[0].text, "7");
  EXPECT_EQ(found[1].file, "");
  EXPECT_EQ(found[1].text, "no file 3");
  EXPECT_THAT(Made().at("scripts"), ElementsAre(Sha256OfFile(At("pre.py"))));
}

TEST_F(ManifestTest, TheReportShowsTheFirstSample) {
  options_.preview = At("p.png");  // of nothing that looks like pictures
  const RunResult result = xslim::Run(config_, options_);
  EXPECT_THAT(ReadFile(result.report_path),
              AllOf(HasSubstr("## First sample as fed"), HasSubstr("| x | float32[2,8] |  | ")));
  EXPECT_FALSE(fs::exists(At("p.png")));
}

TEST_F(ManifestTest, ABaselineIsAGate) {
  xslim::Run(config_, options_);
  fs::rename(At("out_verdict.json"), At("base.json"));
  config_.quantization.analysis_enable = false;
  config_.quantization.baseline = At("base.json");
  RunResult result = xslim::Run(config_, options_);
  EXPECT_THAT(result.missed, IsEmpty());
  EXPECT_THAT(result.baseline, ElementsAre(HasSubstr("1 output or part has the noise")));
  std::string text = ReadFile(At("base.json"));
  const size_t at = text.find("\"snr\": ") + 7;
  Write("base.json", text.replace(at, text.find(',', at) - at, "1e-5"));
  result = xslim::Run(config_, options_);
  EXPECT_THAT(result.missed,
              ElementsAre(HasSubstr("baseline: output y is worse than in the baseline: SNR 1e-05")));
  EXPECT_THAT(ReadFile(result.verdict_path),
              AllOf(HasSubstr("\"gate\": \"baseline\", \"bound\": 0.1, \"pass\": false"),
                    HasSubstr("\"change\": \"worse\"")));
}

}  // namespace
}  // namespace xslim
