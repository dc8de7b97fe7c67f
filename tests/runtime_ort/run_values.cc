// Runs models on serialized tensors, for comparison with other runtimes.
//   run_values FOLDER...
// Each FOLDER holds model.onnx and input_0.pb, input_1.pb ... (TensorProto) for the graph's inputs in order;
// output_0.raw, output_1.raw ... are written, and outputs.txt with "dtype dims..." of each. What fails leaves
// its message in error.txt.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "onnx/model_io.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace {

namespace fs = std::filesystem;

void RunOne(const fs::path& folder, xslim::ThreadPool& pool) {
  const xslim::Graph graph = xslim::LoadModel((folder / "model.onnx").string());
  std::vector<xslim::Tensor> inputs;
  for (size_t i = 0; i < graph.FreeInputs().size(); ++i) {
    const fs::path path = folder / ("input_" + std::to_string(i) + ".pb");
    inputs.push_back(xslim::ParseTensorProto(xslim::ReadFile(path.string())));
  }
  xslim::Executor executor(graph, pool);
  const std::vector<xslim::Tensor> outputs = executor.Run(inputs);
  std::ofstream list(folder / "outputs.txt");
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].is_tensor()) throw xslim::Error("is no tensor", "output " + std::to_string(i));
    std::ofstream file(folder / ("output_" + std::to_string(i) + ".raw"), std::ios::binary);
    file.write(reinterpret_cast<const char*>(outputs[i].raw()),
               static_cast<std::streamsize>(outputs[i].bytes()));
    list << xslim::NameOf(outputs[i].dtype());
    for (const int64_t dim : outputs[i].shape()) list << " " << dim;
    list << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: run_values FOLDER...\n");
    return 2;
  }
  xslim::ThreadPool pool(2);
  for (int i = 1; i < argc; ++i) {
    try {
      RunOne(argv[i], pool);
    } catch (const std::exception& error) {
      std::ofstream(fs::path(argv[i]) / "error.txt") << error.what() << "\n";
    }
  }
  return 0;
}
