// top1 CONFIG LABELS MODEL...: share of images whose largest output is the labelled class, per model, on our
// executor. CONFIG gives the preprocessing (first input); LABELS holds one "path label" per line.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "data/samples.h"
#include "onnx/model_io.h"
#include "pipeline/model_inputs.h"
#include "runtime/executor.h"
#include "xslim/xslim.h"

namespace {

std::vector<int> ReadLabels(const std::string& path) {
  std::ifstream file(path);
  std::vector<int> labels;
  std::string image;
  for (int label; file >> image >> label;) labels.push_back(label);
  if (labels.empty()) throw xslim::Error("no \"path label\" lines", path);
  return labels;
}

double Top1(const std::string& model_path, const xslim::Config& config, const std::vector<int>& labels,
            xslim::ThreadPool& pool) {
  const xslim::Graph graph = xslim::LoadModel(model_path);
  const auto samples = xslim::OpenSamples(config, xslim::InputsOf(graph), 0);
  if (samples->size() != static_cast<int64_t>(labels.size()))
    throw xslim::Error("labels and images differ in number");
  xslim::Executor executor(graph, pool);
  int64_t right = 0;
  for (int64_t i = 0; i < samples->size(); ++i) {
    const xslim::Tensor output = executor.Run(samples->at(i))[0];
    const float* x = output.data<float>();
    int64_t best = 0;
    for (int64_t c = 1; c < output.size(); ++c) best = x[c] > x[best] ? c : best;
    right += best == labels[static_cast<size_t>(i)];
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: top1 CONFIG LABELS MODEL...\n");
    return 2;
  }
  try {
    xslim::Config config = xslim::ReadConfig(argv[1]);
    config.calibration.input_parameters.at(0).data_list_path = argv[2];
    const std::vector<int> labels = ReadLabels(argv[2]);
    xslim::ThreadPool pool(2);
    for (int i = 3; i < argc; ++i)
      std::printf("top-1 %6.2f %%  %s\n", Top1(argv[i], config, labels, pool), argv[i]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "top1: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
