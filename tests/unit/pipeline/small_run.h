// A small model with data in a folder of its own, for whole runs.
#ifndef XSLIM_TESTS_UNIT_PIPELINE_SMALL_RUN_H_
#define XSLIM_TESTS_UNIT_PIPELINE_SMALL_RUN_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "noise.h"
#include "onnx/model_io.h"
#include "xslim/xslim.h"

namespace xslim {

class SmallRun : public testing::Test {
 protected:
  SmallRun()
      : folder_(std::filesystem::path(testing::TempDir()) / ("xslim_small_run_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    SaveModel(MakeGraph(), At("m.onnx"));
    std::string list;
    for (uint64_t i = 0; i < 6; ++i) {
      const Tensor sample = Noise({2, 8}, 10 + i);
      const std::string name = std::to_string(i) + ".raw";
      Write(name, {reinterpret_cast<const char*>(sample.raw()), sample.bytes()});
      list += name + "\n";
    }
    Write("list.txt", list);
    config_.model.onnx_model = At("m.onnx");
    config_.model.output_prefix = "out";
    config_.quantization.finetune_level = 0;
    config_.source = At("c.json");
    Write("c.json", "{}");
    InputParameters input;
    input.file_type = FileType::kRaw;
    input.data_list_path = At("list.txt");
    config_.calibration.input_parameters = {input};
    options_.threads = 2;
  }
  ~SmallRun() override { std::filesystem::remove_all(folder_); }

  // A float value of the samples' shape.
  static ValueId AddRows(Graph* graph, const std::string& name) {
    const ValueId id = graph->AddValue(name, DType::kFloat);
    graph->value(id).has_shape = true;
    graph->value(id).dims = {{2, ""}, {8, ""}};
    return id;
  }

  // y = Gemm(Relu(Gemm(x)))
  static Graph MakeGraph() {
    Graph graph;
    graph.opset_imports[""] = 13;
    const auto value = [&](const std::string& name) { return AddRows(&graph, name); };
    const ValueId x = value("x"), a = value("a"), r = value("r"), y = value("y");
    graph.AddInput(x);
    graph.AddNode("Gemm", "first", {x, graph.AddConstant("w1", Noise({8, 8}, 1))}, {a});
    graph.AddNode("Relu", "relu", {a}, {r});
    graph.AddNode("Gemm", "second", {r, graph.AddConstant("w2", Noise({8, 8}, 2))}, {y});
    graph.AddOutput(y);
    return graph;
  }

  std::string At(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& bytes) const {
    OutputFile file(At(name));
    file.Write(bytes);
    file.Commit();
  }
  // Files whose names begin with "out".
  std::vector<std::string> Outputs() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("out")) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string ErrorOf() const {
    try {
      xslim::Run(config_, options_);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  const std::filesystem::path folder_;
  Config config_;
  RunOptions options_;
};

}  // namespace xslim

#endif  // XSLIM_TESTS_UNIT_PIPELINE_SMALL_RUN_H_
