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
#include "ops/own.h"
#include "simplify/opset/signature.h"
#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int kNewest = kHighestOpset + 1;  // that can be read

constexpr const char* kHead =
    "# Operators\n"
    "\n"
    "Made by `build/list_operators > docs/operators.md` from the registry in `src/ops`; do not edit.\n"
    "\n"
    "- Opsets: versions of the operator's domain. An open range ends with the newest that is read, opset 25 "
    "of ai.onnx.\n"
    "- Types: element types of the first input that the operator's text allows at its newest opset. float16, "
    "bfloat16\n"
    "  and float64 are mostly computed in float32.\n"
    "- Quantization: what int8 makes of the operator. *compute* starts an int8 region; *activation* takes "
    "over the scale\n"
    "  of the operator before it; *elementwise* has scales of its own at inputs and outputs; *passive* "
    "shares one scale\n"
    "  between its first input and its outputs; *norm* quantizes its first input only; others stay float.\n"
    "- File: of `src/ops`, where it is evaluated; the vector loops behind it are those of `src/kernels`.\n"
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
  const std::string first = std::to_string(row.first_opset);
  return row.last_opset >= kNewest ? first + "+" : first + " to " + std::to_string(row.last_opset);
}

std::string TypesText(const OperatorRow& row) {
  const opset::Signature* signature =
      *row.domain != '\0' ? nullptr : opset::FindSignature(row.op_type, std::min(row.last_opset, kNewest));
  if (signature == nullptr || signature->inputs.empty() || signature->inputs[0].variable < 0) return "";
  const uint32_t allowed = signature->variables[static_cast<size_t>(signature->inputs[0].variable)];
  // Runs of types that nearly all operators take together are named together.
  struct Group {
    const char* name;
    std::vector<DType> types;
  };
  static const Group groups[] = {
      {"floats", {DType::kFloat, DType::kDouble, DType::kFloat16, DType::kBFloat16}},
      {"floats but bfloat16", {DType::kFloat, DType::kDouble, DType::kFloat16}},
      {"ints", {DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64}},
      {"uints", {DType::kUint8, DType::kUint16, DType::kUint32, DType::kUint64}},
      {"complex", {DType::kComplex64, DType::kComplex128}},
      {"float8", {DType::kFloat8E4M3FN, DType::kFloat8E4M3FNUZ, DType::kFloat8E5M2, DType::kFloat8E5M2FNUZ}},
      {"int4 uint4", {DType::kInt4, DType::kUint4}},
      {"int2 uint2", {DType::kInt2, DType::kUint2}},
  };
  std::vector<std::string> names;
  uint32_t left = allowed;
  for (const Group& group : groups) {
    uint32_t bits = 0;
    for (DType type : group.types) bits |= 1u << static_cast<int>(type);
    if ((left & bits) != bits) continue;
    names.emplace_back(group.name);
    left &= ~bits;
  }
  for (int type = 1; type <= static_cast<int>(DType::kInt2); ++type)
    if ((left >> type & 1u) != 0) names.emplace_back(NameOf(static_cast<DType>(type)));
  if ((left & 1u) != 0) names.emplace_back("sequence or optional");
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string Document() {
  std::vector<const OperatorRow*> rows = AllOperators();
  std::erase_if(rows, [](const OperatorRow* row) { return std::string(row->domain) == kOwnDomain; });
  const auto key = [](const OperatorRow* row) {
    return std::make_tuple(std::string(row->domain), std::string(row->op_type), row->first_opset);
  };
  std::sort(rows.begin(), rows.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });
  std::string text = kHead, domain = "?";
  for (const OperatorRow* row : rows) {
    if (domain != row->domain) {
      domain = row->domain;
      text += "\n## " + (domain.empty() ? "ai.onnx" : domain) +
              "\n\n| operator | opsets | types | quantization | file | sees |\n|---|---|---|---|---|---|\n";
    }
    text += std::string("| ") + row->op_type + " | " + OpsetText(*row) + " | " + TypesText(*row) + " | " +
            RoleText(row->role) + " | " + FamilyOf(*row) + " | " + SeesText(*row) + " |\n";
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
