#include "report/markdown.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "base/log.h"
#include "ops/operator.h"
#include "report/markdown_text.h"

namespace xslim {
namespace {

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, WithoutSignOfNan(value));
  return text;
}

std::string Red(const std::string& text, bool bad) {
  return bad ? "<font color=\"red\">" + text + "</font>" : text;
}

// Red from where little is left of the signal, and where the figure is NaN.
std::string Snr(double snr, int digits) { return Red(Fixed(snr, digits), !(snr <= 0.1)); }
std::string Cosine(double cosine, int digits) { return Red(Fixed(cosine, digits), !(cosine >= 0.99)); }

std::string MinMax(float lo, float hi) { return Fixed(lo, 3) + ", " + Fixed(hi, 3); }

// Of the outputs that are joined of several tensors; "" when there is none.
std::string PartsTable(const std::vector<OutputMeasure>& outputs) {
  std::string rows;
  for (const OutputMeasure& output : outputs) {
    if (output.parts.size() < 2) continue;
    for (const PartMeasure& part : output.parts) {
      rows += "| " + MarkdownText(output.name) + " | " + MarkdownText(part.tensor) + " | " +
              Snr(part.snr, 6) + " | " + Cosine(part.cosine, 6) + " | " + Fixed(part.saturated, 4) + " |\n";
    }
  }
  if (rows.empty()) return "";
  return "\nParts of outputs, over all samples together:\n\n"
         "| Output | Part | SNR | Cosine | Saturated |\n|---|---|---|---|---|\n" +
         rows;
}

std::string Section(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string text = StrCat("\n## ", title, "\n\n");
  for (const std::string& line : lines) text += "- " + MarkdownText(line) + "\n";
  return text;
}

bool IsPassive(const Graph& graph, const Node& node) {
  const OperatorRow* row = FindOperator(node.domain, node.op_type, graph.opset());
  return row != nullptr && row->role == QuantRole::kPassive;
}

}  // namespace

std::string MarkdownReport(const Graph& graph, const ReportHead& head, const Measures& measures) {
  std::string text = "# Quantization report\n\n";
  for (const auto& [label, value] : head.lines) text += "- " + label + ": " + MarkdownText(value) + "\n";
  text += "\n## Outputs\n\nThe written int8 model against the original float model, " +
          Counted(measures.samples, "sample") +
          ". SNR is noise power / signal power: lower is better.\n\n"
          "| Output | SNR | SNR worst sample | Cosine | Cosine worst sample |\n|---|---|---|---|---|\n";
  for (const OutputMeasure& output : measures.outputs) {
    if (output.samples == 0) {
      text += "| " + MarkdownText(output.name) + " | " + MarkdownText(output.note) + " | | | |\n";
      continue;
    }
    text += "| " + MarkdownText(output.name) + " | " + Snr(output.snr, 6) + " | " +
            Fixed(output.snr_worst, 6) + " | " + Cosine(output.cosine, 6) + " | " +
            Fixed(output.cosine_worst, 6) + " |\n";
  }
  for (const OutputMeasure& output : measures.outputs) {
    if (output.samples > 0 && !output.note.empty())
      text += "\n" + MarkdownText(output.name + ": " + output.note) + "\n";
  }
  text += PartsTable(measures.outputs);
  for (const OutputMeasure& output : measures.outputs) {
    for (const std::string& line : Collapses(output)) text += "\n" + Red(MarkdownText(line), true) + "\n";
  }
  text += head.sections;
  text += Section("Notes", head.notes) + Section("Tuning", head.tuning) +
          Section("SpacemiT's provider", head.provider);

  // Operators by their worst output SNR, descending; passive ones have no error of their own.
  std::map<NodeId, double> worst;
  std::map<NodeId, std::vector<const TensorMeasure*>> rows;
  for (const TensorMeasure& tensor : measures.tensors) {
    rows[tensor.node].push_back(&tensor);
    const ValueId id = graph.Find(tensor.tensor);
    const bool output = id != kNone && graph.value(id).producer == tensor.node;
    double& snr = worst[tensor.node];
    if (output)
      snr = std::max(snr, std::isnan(tensor.snr) ? std::numeric_limits<double>::infinity() : tensor.snr);
  }
  std::vector<NodeId> order;
  for (NodeId id : graph.Order()) {
    if (worst.count(id) && !IsPassive(graph, graph.node(id))) order.push_back(id);
  }
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) { return worst[a] > worst[b]; });

  text += "\n## Operators\n\nInner tensors against the float graph" + head.prepared +
          "; 2048 elements of each.\n\n"
          "| | Op | Var | SNR | MSE | Cosine | Q.MinMax | F.MinMax | F.Hist "
          "|\n|---|---|---|---|---|---|---|---|---|\n";
  int row = 0;
  for (NodeId id : order) {
    for (const TensorMeasure* each : rows[id]) {
      const TensorMeasure& tensor = *each;
      text += "| " + std::to_string(row++) + " | " + MarkdownText(graph.node(id).Title()) + " | " +
              MarkdownText(tensor.tensor) + (tensor.constant ? "[Constant]" : "") + " | " +
              Snr(tensor.snr, 4) + " | " + Fixed(tensor.mse, 4) + " | " + Cosine(tensor.cosine, 4) + " | " +
              MinMax(tensor.q_min, tensor.q_max) + " | " + MinMax(tensor.f_min, tensor.f_max) + " | " +
              StrJoin(tensor.histogram, ",") + " |\n";
    }
  }
  return text;
}

}  // namespace xslim
