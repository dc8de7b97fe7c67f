// Runs ONNX backend node tests on our executor.
//   node_runner CASES_DIR LIST KNOWN_FAILURES
// CASES_DIR/<case>/model.onnx and test_data_set_0/{input,output}_N.pb; LIST and KNOWN_FAILURES name cases,
// one a line. Exits 1 when a case fails that is not known to, or passes although it is known to fail; 2 on
// wrong arguments.
#include <iostream>
#include <set>

#include "cases.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// "" when the case passes, else the reason.
std::string RunCase(const fs::path& folder, ThreadPool& pool) {
  if (!fs::exists(folder / "model.onnx")) return "there is no " + (folder / "model.onnx").string();
  try {
    const Graph graph = LoadModel((folder / "model.onnx").string());
    const std::vector<Tensor> inputs = ReadTensors(folder / "test_data_set_0", "input");
    const std::vector<Tensor> wanted = ReadTensors(folder / "test_data_set_0", "output");
    if (wanted.empty()) return "there is no expected output";
    Executor executor(graph, pool);
    const std::vector<Tensor> outputs = executor.Run(inputs);
    if (outputs.size() != wanted.size()) {
      return std::to_string(outputs.size()) + " outputs, expected " + std::to_string(wanted.size());
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string difference = Difference(outputs[i], wanted[i]);
      if (!difference.empty()) return "output " + std::to_string(i) + ": " + difference;
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

int RunAll(const fs::path& folder, const std::string& list, const std::string& known_path) {
  const std::vector<std::string> names = ReadNames(list), known_names = ReadNames(known_path);
  const std::set<std::string> known(known_names.begin(), known_names.end());
  ThreadPool pool(2);
  size_t passed = 0, unexpected = 0;
  for (const std::string& name : names) {
    const std::string reason = RunCase(folder / name, pool);
    const bool passes = reason.empty(), is_known = known.count(name) != 0;
    passed += passes;
    unexpected += passes == is_known;
    if (!passes) std::cout << (is_known ? "known failure " : "FAIL ") << name << ": " << reason << "\n";
    if (passes && is_known) std::cout << "FAIL " << name << ": passes, but is listed as a known failure\n";
  }
  std::cout << "conformance: " << passed << " of " << names.size() << " listed cases pass" << std::endl;
  return names.empty() || unexpected != 0 ? 1 : 0;
}

}  // namespace
}  // namespace xslim

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: node_runner CASES_DIR LIST KNOWN_FAILURES\n";
    return 2;
  }
  try {
    return xslim::RunAll(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
