#include "pipeline/branches.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "calibrate/calibrate.h"
#include "pipeline/plan_int8.h"
#include "quant/bodies.h"
#include "quant/output_parts.h"
#include "runtime/executor.h"
#include "tune/equalize.h"

namespace xslim {
namespace {

constexpr size_t kHeldBytes = size_t{192} << 20;  // of what a branch reads, of all its samples together

// Samples that are at hand.
class HeldSamples : public SampleSource {
 public:
  HeldSamples(std::vector<Sample> samples, std::string what)
      : samples_(std::move(samples)), what_(std::move(what)) {}
  int64_t size() const override { return std::ssize(samples_); }
  Sample at(int64_t index) const override { return samples_[static_cast<size_t>(index)]; }
  std::string Describe() const override { return StrCat(samples_.size(), " samples of ", what_); }

 private:
  const std::vector<Sample> samples_;
  const std::string what_;
};

int64_t ProductsIn(const Graph& body) {
  Graph walked = body;
  int64_t count = 0;
  ForEachScope(&walked, [&](const Scope& scope) {
    for (NodeId id : scope.graph->Order()) count += IsComputing(scope.graph->node(id));
  });
  return count;
}

// A branch as a model: what it reads from outside are inputs, or constants.
struct Branch {
  NodeId node = kNone;  // the If
  std::string key;      // "then_branch" or "else_branch"
  Graph model;
  std::vector<ValueId> reads;       // by input of the model: the value outside
  std::vector<std::string> shared;  // constants of outside
  std::vector<Sample> samples;
  size_t bytes = 0;
  std::string Title(const Graph& graph) const { return graph.node(node).Title() + " " + key; }
};

// Nothing where the branch reads what the graph around it does not have (it is that of a body further out).
std::optional<Branch> AsModel(const Graph& outer, NodeId node, const std::string& key, const Graph& body) {
  Branch branch{node, key, body, {}, {}, {}};
  branch.model.opset_imports = outer.opset_imports;
  branch.model.functions = outer.functions;
  for (const std::string& name : body.FreeNames()) {
    const ValueId from = outer.Find(name);
    if (from == kNone || !IsDefined(outer.value(from))) return std::nullopt;
    ValueId to = branch.model.Find(name);
    if (to == kNone) to = branch.model.AddValue(name);
    if (const Tensor* constant = outer.Constant(from)) {
      branch.model.SetConstant(to, *constant);
      branch.shared.push_back(name);
      continue;
    }
    Value& value = branch.model.value(to);
    value.dtype = outer.value(from).dtype;
    value.has_shape = outer.value(from).has_shape;
    value.dims = outer.value(from).dims;
    branch.model.AddInput(to);
    branch.reads.push_back(from);
  }
  return branch;
}

std::vector<Branch> FindBranches(const Graph& graph) {
  std::vector<Branch> branches;
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (!node.Is("If")) continue;
    for (const char* key : {"then_branch", "else_branch"}) {
      const auto found = node.attributes.find(key);
      if (found == node.attributes.end() || !found->second.graph || ProductsIn(*found->second.graph) == 0)
        continue;
      if (std::optional<Branch> branch = AsModel(graph, id, key, *found->second.graph))
        branches.push_back(std::move(*branch));
    }
  }
  return branches;
}

// What the branches read in the samples that take them.
void Collect(const Graph& graph, const SampleSource& source, const std::vector<int64_t>& indices,
             ThreadPool& pool, std::vector<Branch>* branches) {
  std::set<ValueId> read;
  for (const Branch& branch : *branches) {
    read.insert(graph.node(branch.node).input(0));
    read.insert(branch.reads.begin(), branch.reads.end());
  }
  std::map<ValueId, Tensor> values;
  Executor executor(graph, pool);
  executor.SetTaps({read.begin(), read.end()},
                   [&](ValueId id, const Tensor& tensor) { values[id] = tensor.Clone(); });
  const std::vector<ValueId> inputs = graph.FreeInputs();
  SampleStream stream(source, indices);
  for (Sample sample; stream.Next(&sample);) {
    values.clear();
    for (size_t i = 0; i < inputs.size(); ++i) values[inputs[i]] = sample[i];
    executor.Run(sample);
    for (Branch& branch : *branches) {
      const auto condition = values.find(graph.node(branch.node).input(0));
      if (condition == values.end() || condition->second.size() != 1) continue;
      if (*condition->second.data<bool>() != (branch.key == "then_branch")) continue;
      Sample of_branch;
      size_t bytes = 0;
      for (ValueId id : branch.reads) {
        const auto value = values.find(id);
        if (value == values.end()) break;
        of_branch.push_back(value->second);
        bytes += value->second.bytes();
      }
      if (of_branch.size() < branch.reads.size() || branch.bytes + bytes > kHeldBytes) continue;
      branch.bytes += bytes;
      branch.samples.push_back(std::move(of_branch));
    }
  }
}

// The branch as a body again: inputs and constants of outside are read by their names. Names that int8 brings
// must not hide any of `taken`.
Graph AsBody(Graph model, const Branch& branch, TensorNames* taken) {
  std::map<std::string, std::string> names;
  for (size_t i = 0; i < model.value_slots(); ++i) {
    const Value& value = model.value(static_cast<ValueId>(i));
    if (value.id != kNone && branch.model.Find(value.name) == kNone)
      names[value.name] = taken->Fresh(value.name);
  }
  std::erase_if(names, [](const auto& name) { return name.first == name.second; });
  if (!names.empty()) model.RenameValues(names);
  for (ValueId id : model.FreeInputs()) model.RemoveInput(id);
  for (const std::string& name : branch.shared) {
    const ValueId id = model.Find(name), before = branch.model.Find(name);
    if (id != kNone && model.value(id).constant.defined() &&
        model.value(id).constant.SameBytes(branch.model.value(before).constant))
      model.value(id).constant = Tensor();
  }
  return model;
}

BranchResult Quantize(const Branch& branch, const std::string& title, const Config& config,
                      const RunOptions& options, ThreadPool& pool, Graph* result) {
  const HeldSamples samples(branch.samples, title);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < samples.size(); ++i) indices.push_back(i);
  Graph graph = branch.model;
  Choices choices;
  choices.quiet = true;
  if (config.quantization.equalization) Equalize(&graph, DrawForChannels(samples, indices, pool), {}, pool);
  const ValueFacts facts(graph, samples.at(0), pool);
  if (!facts.unknown().empty()) return {};
  QuantPlan plan = PlacePlan(graph, facts, config.quantization, choices);
  LogInfo(title, ": quantizing ", plan.nodes.size(), " of ", graph.Order().size(), " operators on ",
          samples.Describe());
  const auto observe = [&](const QuantPlan& of) {
    std::vector<ValueId> values;
    Percentiles percentiles{config.quantization.max_percentile, {}};
    for (const auto& [value, quant] : of.activations) values.push_back(value);
    return CollectStatistics(
        graph, values, InputChannels(graph), samples, indices, percentiles, pool, [](int64_t, int64_t) {},
        MemoryCeiling(options.max_memory));
  };
  TraceStage stage("quantize a branch");
  const std::vector<OutputParts> parts = FindOutputParts(graph, facts, pool);
  PlannedInt8 planned = PlanInt8(
      &graph, facts, parts, {config, options, samples, indices, config.quantization.finetune_level, pool},
      observe, &choices, std::move(plan), &stage);
  *result = ExportQdq(graph, planned.plan);
  BranchResult inner = QuantizeBranches(graph, facts, config, options, samples, indices, pool, result);
  inner.operators += std::ssize(planned.plan.nodes);
  for (std::string& sentence : planned.account) sentence = title + ": " + sentence;
  inner.account.insert(inner.account.begin(), planned.account.begin(), planned.account.end());
  return inner;
}

}  // namespace

BranchResult QuantizeBranches(const Graph& reference, const ValueFacts& facts, const Config& config,
                              const RunOptions& options, const SampleSource& samples,
                              const std::vector<int64_t>& indices, ThreadPool& pool, Graph* exported) {
  BranchResult all;
  std::vector<Branch> branches = FindBranches(reference);
  if (branches.empty() || !facts.unknown().empty()) return all;
  Collect(reference, samples, indices, pool, &branches);
  TensorNames taken(*exported);
  for (const Branch& branch : branches) {
    const std::string title = branch.Title(reference);
    if (branch.samples.empty()) {
      all.account.push_back(title + " stays float: no calibration sample takes it");
      LogWarning(all.account.back());
      continue;
    }
    Graph model;
    BranchResult of = Quantize(branch, title, config, options, pool, &model);
    if (of.operators == 0) continue;
    all.operators += of.operators;
    all.account.insert(all.account.end(), of.account.begin(), of.account.end());
    std::map<std::string, Attribute> attributes = exported->node(branch.node).attributes;
    attributes[branch.key].graph = std::make_shared<Graph>(AsBody(std::move(model), branch, &taken));
    attributes[branch.key].source.clear();
    exported->SetAttributes(branch.node, std::move(attributes));
  }
  return all;
}

}  // namespace xslim
