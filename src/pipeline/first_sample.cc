#include "pipeline/first_sample.h"

#include "base/file.h"
#include "base/log.h"
#include "report/markdown_text.h"

namespace xslim {
namespace {

void Log(const FedInput& input, const std::string& title, LogLevel level) {
  std::string text = StrCat("input ", input.name, " as fed in ", title, ": ", NameOf(input.dtype),
                            ToString(input.shape), input.channel_axis == 3 ? ", channels last" : "");
  for (size_t c = 0; c < input.channels.size(); ++c) {
    const ChannelFigures& channel = input.channels[c];
    text += StrCat(input.channel_axis < 0 ? ", " : StrCat("; channel ", c, " "), channel.min, " .. ",
                   channel.max, ", mean ", channel.mean);
  }
  if (input.not_finite > 0) text += StrCat("; ", input.not_finite, " elements are NaN or infinite");
  LogLine(level, text);
}

void WritePreview(const Sample& sample, const std::vector<FedInput>& inputs, const std::string& path) {
  const std::string png = PreviewPng(sample, inputs);
  if (png.empty()) {
    LogWarning("--preview: ", path,
               " is not written: no input looks like pictures ([N,C,H,W] or [N,H,W,C] of 1 or 3 "
               "channels)");
    return;
  }
  OutputFile file(path);
  file.Write(png);
  file.Commit();
  LogInfo("wrote ", path,
          ": the first sample as fed, smallest element black, largest white; channels 0, 1 and 2 are ",
          "shown as red, green and blue");
}

}  // namespace

FirstSample ShowFirstSample(const Graph& graph, const Sample& sample, const std::string& title,
                            const std::string& preview) {
  FirstSample first{title, {}};
  const std::vector<ValueId> inputs = graph.FreeInputs();
  for (size_t i = 0; i < sample.size(); ++i)
    first.inputs.push_back(FiguresOf(graph.value(inputs[i]).name, sample[i]));
  for (const FedInput& input : first.inputs)
    Log(input, title, preview.empty() ? LogLevel::kDebug : LogLevel::kInfo);
  if (!preview.empty()) WritePreview(sample, first.inputs, preview);
  return first;
}

std::string FirstSampleMarkdown(const FirstSample& first) {
  if (first.inputs.empty()) return "";
  std::string text = "\n## First sample as fed\n\n" + MarkdownText(first.title) +
                     "\n\n| Input | Type | Channel | Min | Mean | Max |\n|---|---|---|---|---|---|\n";
  for (const FedInput& input : first.inputs) {
    std::string name = MarkdownText(input.name), type = NameOf(input.dtype) + ToString(input.shape);
    if (input.not_finite > 0) type += StrCat(", ", input.not_finite, " NaN or infinite");
    for (size_t c = 0; c < input.channels.size(); ++c) {
      const ChannelFigures& channel = input.channels[c];
      text += StrCat("| ", name, " | ", type, " | ", input.channel_axis < 0 ? "" : std::to_string(c), " | ",
                     channel.min, " | ", channel.mean, " | ", channel.max, " |\n");
      name = type = "";
    }
  }
  return text;
}

}  // namespace xslim
