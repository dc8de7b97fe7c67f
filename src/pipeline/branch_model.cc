#include "pipeline/branch_model.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

constexpr size_t kHeldBytes = size_t{96} << 20;  // of what a branch reads, of all its samples together
constexpr const char* kKeys[] = {"then_branch", "else_branch"};

// What computes the values, and nothing else; ids are kept.
Graph PartFor(const Graph& graph, const std::set<ValueId>& values) {
  Graph part = graph;
  for (ValueId id : graph.outputs()) part.RemoveOutput(id);
  for (ValueId id : values) {
    if (part.value(id).producer != kNone) part.AddOutput(id);
  }
  part.RemoveDead();
  return part;
}

// Why the executor shows no tensor of that value.
std::string WhyUnseen(const Graph& graph, const ValueFacts& facts, ValueId id) {
  const std::string& name = graph.value(id).name;
  for (const UnknownOperator& unknown : facts.unknown()) {
    if (std::count(unknown.tensors.begin(), unknown.tensors.end(), name) != 0)
      return StrCat("it depends on ", name, ", which depends on operator ", unknown.name,
                    " that cannot be computed");
  }
  return StrCat("it depends on ", name, ", which is a sequence or an optional value");
}

// The samples of one branch, one after the other.
class Holder {
 public:
  Holder(const Graph& graph, const ValueFacts& facts, const MemoryCeiling& ceiling, Branch* branch)
      : graph_(graph), facts_(facts), ceiling_(ceiling), branch_(*branch) {
    branch_.why_float = "no calibration sample takes it";
  }

  // Whether a later sample may still be kept.
  bool Takes() const { return !full_; }

  void Take(const std::map<ValueId, Tensor>& values) {
    if (full_) return;
    const ValueId condition = graph_.node(branch_.node).input(0);
    const auto chosen = values.find(condition);
    if (chosen == values.end() || chosen->second.dtype() != DType::kBool || chosen->second.size() != 1) {
      Refuse(WhyUnseen(graph_, facts_, condition));
      return;
    }
    if (*chosen->second.data<bool>() != (branch_.key == kKeys[0])) return;
    Sample sample;
    size_t bytes = 0;
    for (ValueId id : branch_.reads) {
      const auto value = values.find(id);
      if (value == values.end()) return Refuse(WhyUnseen(graph_, facts_, id));
      sample.push_back(value->second);
      bytes += value->second.bytes();
    }
    if (bytes_ + bytes > kHeldBytes) {
      full_ = bytes_ > 0;
      if (full_)
        LogInfo(branch_.title, ": the first ", branch_.samples.size(),
                " samples that take it are used: more do not fit in ", kHeldBytes >> 20, " MB");
      return Refuse(StrCat("what it reads takes ", bytes >> 20, " MB in one sample, and at most ",
                           kHeldBytes >> 20, " MB are kept"));
    }
    ceiling_.Lanes(1, static_cast<int64_t>(bytes), "what " + branch_.title + " reads");
    bytes_ += bytes;
    branch_.samples.push_back(std::move(sample));
    branch_.why_float.clear();
  }

 private:
  void Refuse(const std::string& why) {
    if (branch_.samples.empty()) branch_.why_float = why;
  }

  const Graph& graph_;
  const ValueFacts& facts_;
  const MemoryCeiling& ceiling_;
  Branch& branch_;
  size_t bytes_ = 0;
  bool full_ = false;
};

}  // namespace

int64_t ProductsIn(const Graph& graph) {
  int64_t count = 0;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (!graph.alive(id)) continue;
    const Node& node = graph.node(id);
    count += IsComputing(node);
    if (!node.Is("If")) continue;
    for (const auto& [key, attribute] : node.attributes) {
      if (attribute.graph) count += ProductsIn(*attribute.graph);
    }
  }
  return count;
}

std::vector<Branch> BranchesOf(const Graph& graph, NodeId node) {
  std::vector<Branch> branches;
  const Node& holder = graph.node(node);
  if (!holder.Is("If")) return branches;
  for (const char* key : kKeys) {
    const auto found = holder.attributes.find(key);
    if (found == holder.attributes.end() || !found->second.graph || ProductsIn(*found->second.graph) == 0)
      continue;
    Branch branch;
    branch.node = node;
    branch.key = key;
    branch.title = holder.Title() + " " + key;
    branch.body = found->second.graph;
    for (const std::string& name : branch.body->FreeNames()) {
      const ValueId from = graph.Find(name);
      if (from == kNone || !IsDefined(graph.value(from))) {
        branch.why_float = "it reads " + name + ", which the graph around it does not have";
      } else {
        (graph.Constant(from) != nullptr ? branch.constants : branch.reads).push_back(from);
      }
    }
    branches.push_back(std::move(branch));
  }
  return branches;
}

void HoldSamples(const Graph& graph, const ValueFacts& facts, const SampleSource& source,
                 const std::vector<int64_t>& indices, ThreadPool& pool, const MemoryCeiling& ceiling,
                 std::vector<Branch>* branches) {
  std::vector<Holder> holders;
  std::set<ValueId> read;
  for (Branch& branch : *branches) {
    if (!branch.why_float.empty()) continue;
    holders.emplace_back(graph, facts, ceiling, &branch);
    read.insert(graph.node(branch.node).input(0));
    read.insert(branch.reads.begin(), branch.reads.end());
  }
  if (holders.empty()) return;
  const Graph part = PartFor(graph, read);
  std::map<ValueId, Tensor> values;
  Executor executor(part, pool);
  executor.SetTaps({read.begin(), read.end()},
                   [&](ValueId id, const Tensor& tensor) { values[id] = tensor.Clone(); });
  const std::vector<ValueId> inputs = part.FreeInputs();
  SampleStream stream(source, indices);
  for (Sample sample; stream.Next(&sample);) {
    values.clear();
    for (ValueId id : read) {
      if (const Tensor* constant = graph.Constant(id)) values[id] = *constant;
    }
    for (size_t i = 0; i < inputs.size(); ++i) values[inputs[i]] = sample[i];
    executor.Run(sample);
    for (Holder& holder : holders) holder.Take(values);
    if (std::none_of(holders.begin(), holders.end(), [](const Holder& each) { return each.Takes(); })) break;
  }
}

Graph AsModel(const Graph& outer, const Branch& branch) {
  Graph model = *branch.body;
  model.opset_imports = outer.opset_imports;
  model.functions = outer.functions;
  const auto place = [&](ValueId from) {
    const ValueId found = model.Find(outer.value(from).name);
    return found == kNone ? model.AddValue(outer.value(from).name) : found;
  };
  for (ValueId from : branch.constants) model.SetConstant(place(from), *outer.Constant(from));
  for (ValueId from : branch.reads) {
    const ValueId to = place(from);
    Value& value = model.value(to);
    value.dtype = outer.value(from).dtype;
    value.has_shape = outer.value(from).has_shape;
    value.dims = outer.value(from).dims;
    model.AddInput(to);
  }
  return model;
}

Graph AsBody(Graph model, const Graph& before, const Graph& outer, TensorNames* taken) {
  std::map<std::string, std::string> names;
  std::vector<ValueId> shared;  // constants of the outer graph
  for (ValueId id = 0; id < static_cast<ValueId>(model.value_slots()); ++id) {
    const Value& value = model.value(id);
    if (value.id == kNone) continue;
    if (before.Find(value.name) == kNone) {
      names[value.name] = taken->Fresh(value.name);
    } else if (value.constant.defined() && outer.Find(value.name) != kNone) {
      shared.push_back(id);
    }
  }
  std::erase_if(names, [](const auto& name) { return name.first == name.second; });
  if (!names.empty()) model.RenameValues(names);
  for (ValueId id : model.FreeInputs()) model.RemoveInput(id);
  for (ValueId id : shared) {
    const Tensor* outside = outer.Constant(outer.Find(model.value(id).name));
    if (outside != nullptr && outside->SameBytes(model.value(id).constant)) {
      model.value(id).constant = Tensor();
    } else {  // bodies further in follow it
      model.Rename(id, taken->Fresh(model.value(id).name));
    }
  }
  model.functions.clear();
  return model;
}

}  // namespace xslim
