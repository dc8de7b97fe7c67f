// Runs ONNX backend node tests on our executor.
//   node_runner CASES_DIR LIST|all KNOWN_FAILURES [slim]
// CASES_DIR/<case>/model.onnx and test_data_set_0/{input,output}_N.pb; LIST and KNOWN_FAILURES name cases,
// one a line; "all" takes all of CASES_DIR. A name in KNOWN_FAILURES that ends in * stands for all cases that
// begin like it. With "slim" every model is simplified first. Exits 1 when a case fails that is not known to,
// or passes although it is known to fail; 2 on wrong arguments.
#include <algorithm>
#include <iostream>
#include <set>

#include "cases.h"
#include "runtime/executor.h"
#include "simplify/simplify.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// "" when the case passes, else the reason.
std::string RunCase(const fs::path& folder, bool slim, ThreadPool& pool) {
  if (!fs::exists(folder / "model.onnx")) return "there is no " + (folder / "model.onnx").string();
  try {
    Graph graph = LoadModel((folder / "model.onnx").string());
    if (slim) {
      SimplifyOptions options;
      options.highest_opset = graph.opset();
      Simplify(&graph, options);
      graph.Validate();
    }
    const std::vector<Tensor> inputs =
        ReadValues(folder / "test_data_set_0", "input", graph, graph.FreeInputs());
    const std::vector<Tensor> wanted =
        ReadValues(folder / "test_data_set_0", "output", graph, graph.outputs());
    if (wanted.empty()) return "there is no expected output";
    Executor executor(graph, pool, {.skip_unknown = false});
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

std::vector<std::string> AllCases(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (fs::exists(entry.path() / "model.onnx")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

int RunAll(const fs::path& folder, const std::string& list, const std::string& known_path, bool slim) {
  const std::vector<std::string> names = list == "all" ? AllCases(folder) : ReadNames(list);
  const KnownFailures known(known_path);
  ThreadPool pool(2);
  size_t passed = 0, unexpected = 0;
  for (const std::string& name : names) {
    const std::string reason = RunCase(folder / name, slim, pool);
    const bool passes = reason.empty(), is_known = known.Has(name);
    passed += passes;
    unexpected += passes == is_known;
    if (!passes) std::cout << (is_known ? "known failure " : "FAIL ") << name << ": " << reason << "\n";
    if (passes && is_known) std::cout << "FAIL " << name << ": passes, but is listed as a known failure\n";
  }
  std::cout << "conformance: " << passed << " of " << names.size() << " cases pass" << std::endl;
  return names.empty() || unexpected != 0 ? 1 : 0;
}

}  // namespace
}  // namespace xslim

int main(int argc, char** argv) {
  const bool slim = argc == 5 && std::string(argv[4]) == "slim";
  if (argc != 4 && !slim) {
    std::cerr << "usage: node_runner CASES_DIR LIST|all KNOWN_FAILURES [slim]\n";
    return 2;
  }
  try {
    return xslim::RunAll(argv[1], argv[2], argv[3], slim);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
