// The node tests of ONNX's backend test data: names, inputs, outputs, comparison.
#ifndef TESTS_CONFORMANCE_CASES_H_
#define TESTS_CONFORMANCE_CASES_H_

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "onnx/model_io.h"
#include "tensor/tensor.h"
#include "xslim/error.h"

namespace xslim {

namespace fs = std::filesystem;

// The first word of each line; lines that start with '#' are comments.
inline std::vector<std::string> ReadNames(const std::string& path) {
  std::istringstream lines(ReadFile(path));
  std::vector<std::string> names;
  for (std::string line, name; std::getline(lines, line);) {
    if (std::istringstream(line) >> name && name[0] != '#') names.push_back(name);
  }
  return names;
}

// prefix_0.pb, prefix_1.pb ... as long as there are any, for the values of `ids` in order.
inline std::vector<Tensor> ReadValues(const fs::path& folder, const std::string& prefix, const Graph& graph,
                                      const std::vector<ValueId>& ids) {
  std::vector<Tensor> tensors;
  for (;;) {
    const fs::path path = folder / (prefix + "_" + std::to_string(tensors.size()) + ".pb");
    if (!fs::exists(path)) return tensors;
    if (tensors.size() == ids.size()) throw Error("there are more files than values", path.string());
    tensors.push_back(ParseValueProto(ReadFile(path.string()), graph.value(ids[tensors.size()])));
  }
}

inline double ElementOf(const Tensor& tensor, int64_t i) {
  return tensor.dtype() == DType::kDouble ? tensor.data<double>()[i] : tensor.data<float>()[i];
}

// "" when they agree: same type and shape, |a-b| <= 1e-5 + 1e-3*|b| for floats (float16: 1e-2), equality for
// others.
inline std::string Difference(const Tensor& got, const Tensor& want) {
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

// Names of cases that are known to fail; one that ends in * stands for all that begin like it.
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

}  // namespace xslim

#endif  // TESTS_CONFORMANCE_CASES_H_
