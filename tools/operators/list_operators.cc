// docs/operators.md from the operator registry.
//   list_operators         prints it
//   list_operators FILE    exits with 1 when FILE is not what would be printed
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr const char* kHead =
    "# Operators\n"
    "\n"
    "Made by `build/list_operators > docs/operators.md` from the registry in `src/ops`; do not edit.\n"
    "\n"
    "- Opsets: versions of the operator's domain. An open range ends with the newest that is read, opset 25 "
    "of ai.onnx.\n"
    "- Quantization: what int8 makes of the operator. *compute* starts an int8 region; *activation* takes "
    "over the scale\n"
    "  of the operator before it; *elementwise* has scales of its own at inputs and outputs; *passive* "
    "shares one scale\n"
    "  between its first input and its outputs; *norm* quantizes its first input only; others stay float.\n"
    "- Sees: the part of its input that can change the result, with default attributes; calibration ignores "
    "the rest.\n"
    "  *by its bounds*: given by attributes or inputs of the node. Empty: everything.\n";

const char* RoleText(QuantRole role) {
  switch (role) {
    case QuantRole::kNone:
      return "";
    case QuantRole::kCompute:
      return "compute";
    case QuantRole::kActivation:
      return "activation";
    case QuantRole::kElementwise:
      return "elementwise";
    case QuantRole::kPassive:
      return "passive";
    case QuantRole::kNorm:
      return "norm";
  }
  throw Error("unknown quantization role");
}

std::string BoundText(float bound) {
  if (std::isinf(bound)) return bound < 0 ? "-inf" : "inf";
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(bound));
  return text;
}

std::string SeesText(const OperatorRow& row) {
  if (row.interest == nullptr) return "";
  Graph graph;
  graph.opset_imports[row.domain] = row.first_opset;
  const ValueId x = graph.AddValue("x"), y = graph.AddValue("y");
  const NodeId node = graph.AddNode(row.op_type, "node", {x}, {y}, {}, row.domain);
  const InterestRange range = row.interest(graph, graph.node(node));
  if (std::isinf(range.lo) && std::isinf(range.hi)) return "by its bounds";
  return "[" + BoundText(range.lo) + ", " + BoundText(range.hi) + "]";
}

std::string OpsetText(const OperatorRow& row) {
  constexpr int kNewest = 25;
  const std::string first = std::to_string(row.first_opset);
  return row.last_opset >= kNewest ? first + "+" : first + " to " + std::to_string(row.last_opset);
}

std::string Document() {
  std::vector<const OperatorRow*> rows = AllOperators();
  const auto key = [](const OperatorRow* row) {
    return std::make_tuple(std::string(row->domain), std::string(row->op_type), row->first_opset);
  };
  std::sort(rows.begin(), rows.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });
  std::string text = kHead, domain = "?";
  for (const OperatorRow* row : rows) {
    if (domain != row->domain) {
      domain = row->domain;
      text += "\n## " + (domain.empty() ? "ai.onnx" : domain) +
              "\n\n| operator | opsets | quantization | sees |\n|---|---|---|---|\n";
    }
    text += std::string("| ") + row->op_type + " | " + OpsetText(*row) + " | " + RoleText(row->role) + " | " +
            SeesText(*row) + " |\n";
  }
  return text;
}

}  // namespace
}  // namespace xslim

int main(int argc, char** argv) {
  try {
    const std::string text = xslim::Document();
    if (argc == 1) return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
    if (xslim::ReadFile(argv[1]) == text) return 0;
    std::fprintf(stderr, "%s is not up to date: write it anew with list_operators\n", argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "list_operators: %s\n", error.what());
  }
  return 1;
}
