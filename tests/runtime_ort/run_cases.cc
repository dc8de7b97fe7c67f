// Runs many small models on our executor, for comparison with other runtimes.
//   run_cases FOLDER
// Every FOLDER/<case>.onnx runs on FOLDER/<case>.in<i>.pb (serialized TensorProtos, in the order of the
// graph's inputs). FOLDER/<case>.out gets, for each graph output, a line "<numpy type> <dims with commas>"
// and the bytes of its elements in the host's order; FOLDER/<case>.error gets the text when the model cannot
// be loaded or run. Each case runs twice, the second time on packed weights; "differs between runs" is an
// error. Standard output gets "<case> <seconds of the second run>" lines.
#include <algorithm>
#include <chrono>
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

std::string Dims(const xslim::Shape& shape) {
  const std::string text = xslim::ToString(shape);
  return text.substr(1, text.size() - 2);
}

std::vector<xslim::Tensor> Evaluate(const std::string& stem, xslim::ThreadPool& pool, double& seconds) {
  const xslim::Graph graph = xslim::LoadModel(stem + ".onnx");
  std::vector<xslim::Tensor> inputs;
  for (fs::path path; fs::exists(path = stem + ".in" + std::to_string(inputs.size()) + ".pb");) {
    inputs.push_back(xslim::ParseTensorProto(xslim::ReadFile(path.string())));
  }
  xslim::Executor executor(graph, pool);
  const std::vector<xslim::Tensor> outputs = executor.Run(inputs);
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<xslim::Tensor> again = executor.Run(inputs);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].SameBytes(again[i])) throw xslim::Error("output differs between runs", std::to_string(i));
  }
  return outputs;
}

void RunCase(const std::string& stem, xslim::ThreadPool& pool) {
  try {
    double seconds = 0;
    const std::vector<xslim::Tensor> outputs = Evaluate(stem, pool, seconds);
    std::ofstream file(stem + ".out", std::ios::binary);
    for (const xslim::Tensor& output : outputs) {
      file << xslim::NameOf(output.dtype()) << " " << Dims(output.shape()) << "\n";
      file.write(reinterpret_cast<const char*>(output.raw()), static_cast<std::streamsize>(output.bytes()));
    }
    std::printf("%s %.9f\n", fs::path(stem).filename().c_str(), seconds);
  } catch (const std::exception& error) {
    std::ofstream(stem + ".error") << error.what() << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_cases FOLDER\n");
    return 2;
  }
  try {
    std::vector<std::string> stems;
    for (const fs::directory_entry& entry : fs::directory_iterator(argv[1])) {
      if (entry.path().extension() == ".onnx")
        stems.push_back((entry.path().parent_path() / entry.path().stem()).string());
    }
    std::sort(stems.begin(), stems.end());
    xslim::ThreadPool pool(2);
    for (const std::string& stem : stems) {
      // Flushed before each case, so that a crash can be laid at its door.
      std::fflush(stdout);
      RunCase(stem, pool);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_cases: %s\n", error.what());
    return 1;
  }
  return 0;
}
