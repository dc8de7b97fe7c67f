// Converts ONNX backend node tests to other opsets and runs them on our executor.
//   opset_runner CASES_DIR LIST KNOWN_FAILURES [-v]
// Every listed case that passes as it is gets converted to each of kTargets; what is not refused must still
// give the expected outputs, and going back to its own opset must, too. No fault may be found in a case that
// passes. Exits 1 when one does not, or when fewer than kLeast conversions were made.
#include <array>
#include <iostream>
#include <map>

#include "cases.h"
#include "runtime/executor.h"
#include "simplify/check_model.h"
#include "simplify/opset/convert.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr std::array<int, 9> kTargets = {7, 9, 11, 13, 15, 17, 18, 21, 24};
constexpr int kLeast = 1000;

struct Counts {
  int converted = 0, refused = 0, failed = 0;
};

// "" when the graph gives the expected outputs.
std::string Run(const Graph& graph, const std::vector<Tensor>& inputs, const std::vector<Tensor>& wanted,
                ThreadPool& pool) {
  try {
    graph.Validate();
    const std::vector<Tensor> outputs = Executor(graph, pool, {.skip_unknown = false}).Run(inputs);
    if (outputs.size() != wanted.size()) return "other number of outputs";
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string difference = Difference(outputs[i], wanted[i]);
      if (!difference.empty()) return "output " + std::to_string(i) + ": " + difference;
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void RunCase(const fs::path& folder, bool verbose, ThreadPool& pool, std::map<int, Counts>* counts) {
  const Graph graph = LoadModel((folder / "model.onnx").string());
  const std::vector<Tensor> inputs =
      ReadValues(folder / "test_data_set_0", "input", graph, graph.FreeInputs());
  const std::vector<Tensor> wanted = ReadValues(folder / "test_data_set_0", "output", graph, graph.outputs());
  if (!Run(graph, inputs, wanted, pool).empty()) return;  // node_runner says so
  for (const ModelFault& fault : FindFaults(graph)) {
    ++(*counts)[static_cast<int>(graph.opset())].failed;
    std::cout << "FAIL " << folder.filename().string() << " has a fault: " << fault.node << ": " << fault.why
              << "\n";
  }
  for (const int target : kTargets) {
    if (target == graph.opset()) continue;
    Counts& count = (*counts)[target];
    Graph converted = graph;
    std::string reason;
    try {
      const auto obstacles = ConvertOpset(&converted, target);
      if (!obstacles.empty()) {
        ++count.refused;
        if (verbose) {
          std::cout << "refused " << folder.filename().string() << " " << graph.opset() << " to " << target
                    << ": " << Describe(obstacles, target < graph.opset()) << "\n";
        }
        continue;
      }
      reason = Run(converted, inputs, wanted, pool);
      const bool returns = ConvertOpset(&converted, graph.opset()).empty();
      if (reason.empty() && returns) reason = Run(converted, inputs, wanted, pool);
    } catch (const std::exception& error) {
      reason = error.what();
    }
    ++(reason.empty() ? count.converted : count.failed);
    if (!reason.empty()) {
      std::cout << "FAIL " << folder.filename().string() << " " << graph.opset() << " to " << target << ": "
                << reason << "\n";
    }
  }
}

int RunAll(const fs::path& folder, const std::string& list, const std::string& known_path, bool verbose) {
  const KnownFailures known(known_path);
  ThreadPool pool(2);
  std::map<int, Counts> counts;
  for (const std::string& name : ReadNames(list)) {
    if (!known.Has(name)) RunCase(folder / name, verbose, pool, &counts);
  }
  Counts all;
  for (const auto& [target, count] : counts) {
    std::cout << "to opset " << target << ": " << count.converted << " converted and equal, " << count.refused
              << " refused, " << count.failed << " wrong\n";
    all.converted += count.converted;
    all.failed += count.failed;
  }
  std::cout << "opset conversion: " << all.converted << " equal, " << all.failed << " wrong" << std::endl;
  return all.failed != 0 || all.converted < kLeast ? 1 : 0;
}

}  // namespace
}  // namespace xslim

int main(int argc, char** argv) {
  const bool verbose = argc == 5 && std::string(argv[4]) == "-v";
  if (argc != 4 && !verbose) {
    std::cerr << "usage: opset_runner CASES_DIR LIST KNOWN_FAILURES [-v]\n";
    return 2;
  }
  try {
    return xslim::RunAll(argv[1], argv[2], argv[3], verbose);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
