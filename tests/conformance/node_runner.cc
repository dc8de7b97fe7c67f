// Runs ONNX backend node tests on our executor.
//   node_runner CASES_DIR LIST|all KNOWN_FAILURES [slim]
// CASES_DIR/<case>/model.onnx and test_data_set_0/{input,output}_N.pb; LIST and KNOWN_FAILURES name cases,
// one a line; "all" takes all of CASES_DIR. A name in KNOWN_FAILURES that ends in * stands for all cases that
// begin like it. With "slim" every model is simplified first. Exits 1 when a case fails that is not known to,
// or passes although it is known to fail; 2 on wrong arguments.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>

#include "base/file.h"
#include "onnx/model_io.h"
#include "runtime/executor.h"
#include "simplify/simplify.h"
#include "xslim/error.h"

namespace xslim {
namespace {

namespace fs = std::filesystem;

// The first word of each line; lines that start with '#' are comments.
std::vector<std::string> ReadNames(const std::string& path) {
  std::istringstream lines(ReadFile(path));
  std::vector<std::string> names;
  for (std::string line, name; std::getline(lines, line);) {
    if (std::istringstream(line) >> name && name[0] != '#') names.push_back(name);
  }
  return names;
}

// prefix_0.pb, prefix_1.pb ... as long as there are any, for the values of `ids` in order.
std::vector<Tensor> ReadValues(const fs::path& folder, const std::string& prefix, const Graph& graph,
                               const std::vector<ValueId>& ids) {
  std::vector<Tensor> tensors;
  for (;;) {
    const fs::path path = folder / (prefix + "_" + std::to_string(tensors.size()) + ".pb");
    if (!fs::exists(path)) return tensors;
    if (tensors.size() == ids.size()) throw Error("there are more files than values", path.string());
    tensors.push_back(ParseValueProto(ReadFile(path.string()), graph.value(ids[tensors.size()])));
  }
}

double ElementOf(const Tensor& tensor, int64_t i) {
  return tensor.dtype() == DType::kDouble ? tensor.data<double>()[i] : tensor.data<float>()[i];
}

// "" when they agree: same type and shape, |a-b| <= 1e-5 + 1e-3*|b| for floats (float16: 1e-2), equality for
// others.
std::string Difference(const Tensor& got, const Tensor& want) {
  if (got.dtype() != want.dtype()) {
    return std::string("element type ") + NameOf(got.dtype()) + ", expected " + NameOf(want.dtype());
  }
  if (got.shape() != want.shape())
    return "shape " + ToString(got.shape()) + ", expected " + ToString(want.shape());
  if (want.dtype() == DType::kSequence) {
    for (size_t i = 0; i < want.items().size(); ++i) {
      const std::string difference = Difference(got.items()[i], want.items()[i]);
      if (!difference.empty()) return "item " + std::to_string(i) + ": " + difference;
    }
    return "";
  }
  const bool half = want.dtype() == DType::kFloat16 || want.dtype() == DType::kBFloat16;
  if (!half && want.dtype() != DType::kFloat && want.dtype() != DType::kDouble) {
    return got.SameBytes(want) ? "" : "values differ";
  }
  const double tolerance = half ? 1e-2 : 1e-3;
  const bool is_double = want.dtype() == DType::kDouble;
  const Tensor got_float = is_double ? got : got.ToFloat32(),
               want_float = is_double ? want : want.ToFloat32();
  for (int64_t i = 0; i < want.size(); ++i) {
    const double a = ElementOf(got_float, i), b = ElementOf(want_float, i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b) || std::fabs(a - b) > 1e-5 + tolerance * std::fabs(b)) {
      return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(b);
    }
  }
  return "";
}

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

class KnownFailures {
 public:
  explicit KnownFailures(const std::string& path) {
    for (const std::string& name : ReadNames(path)) {
      if (name.back() == '*') {
        prefixes_.push_back(name.substr(0, name.size() - 1));
      } else {
        names_.insert(name);
      }
    }
  }
  bool Has(const std::string& name) const {
    return names_.count(name) != 0 ||
           std::any_of(prefixes_.begin(), prefixes_.end(),
                       [&](const auto& prefix) { return name.starts_with(prefix); });
  }

 private:
  std::set<std::string> names_;
  std::vector<std::string> prefixes_;
};

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
