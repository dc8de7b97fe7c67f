#include "report/summary.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>
#include <utility>

#include "base/log.h"

namespace xslim {
namespace {

constexpr size_t kNamed = 3;  // operators that a line of `left` names

// 1234567 -> "1,234,567"
std::string Grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

void CountConstant(const Tensor& constant, ModelCounts* counts) {
  counts->parameters += constant.size();
  if (constant.dtype() == DType::kInt8 || constant.dtype() == DType::kUint8) counts->int8 += constant.size();
}

void Count(const Graph& graph, ModelCounts* counts) {
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id)
    CountConstant(graph.value(id).constant, counts);
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    ++counts->operators[node.domain.empty() ? node.op_type : node.domain + "." + node.op_type];
    for (const auto& [key, attribute] : node.attributes) {
      if (node.Is("Constant")) CountConstant(attribute.tensor, counts);
      if (attribute.graph) Count(*attribute.graph, counts);
    }
  }
}

// Bytes of a model with the files beside it that only it can own.
int64_t BytesOf(const std::string& path) {
  std::error_code error;
  int64_t bytes = 0;
  for (const std::string& file : {path, path + ".data"}) {
    const auto size = std::filesystem::file_size(file, error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

}  // namespace

ModelCounts CountModel(const Graph& graph, int64_t macs) {
  ModelCounts counts;
  Count(graph, &counts);
  counts.macs = macs;
  return counts;
}

void Summarize(const ModelCounts& before, const ModelCounts& after, const std::string& input_path,
               const LeftList& left, RunResult* result) {
  std::set<std::string> types;
  int64_t total_before = 0, total_after = 0;
  for (const auto& [type, count] : before.operators) {
    types.insert(type);
    total_before += count;
  }
  for (const auto& [type, count] : after.operators) {
    types.insert(type);
    total_after += count;
  }
  const auto add = [&](const std::string& what, int64_t from, int64_t to) {
    result->summary.push_back({what, Grouped(from), Grouped(to)});
  };
  const auto of = [](const ModelCounts& counts, const std::string& type) {
    const auto at = counts.operators.find(type);
    return at == counts.operators.end() ? 0 : at->second;
  };
  for (const std::string& type : types) {
    if (of(before, type) != of(after, type)) add(type, of(before, type), of(after, type));
  }
  add("all operators", total_before, total_after);
  add("parameters", before.parameters, after.parameters);
  if (before.int8 != after.int8) add("of these in 8 bits", before.int8, after.int8);
  const auto known = [](int64_t macs) { return macs < 0 ? std::string("sizes open") : Grouped(macs); };
  result->summary.push_back({"multiply-adds", known(before.macs), known(after.macs)});
  add("bytes", BytesOf(input_path), BytesOf(result->model_path));

  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;  // in order of appearance
  std::map<std::string, size_t> place;
  for (const LeftAsIs& item : left) {
    const auto [at, fresh] = place.try_emplace(item.why, reasons.size());
    if (fresh) reasons.push_back({item.why, {}});
    reasons[at->second].second.push_back(item.what);
  }
  for (const auto& [why, names] : reasons) {
    result->left.push_back(StrCat(names.size(), " left float: ", why, " (",
                                  StrJoin(std::span(names).first(std::min(names.size(), kNamed))),
                                  names.size() > kNamed ? ", ...)" : ")"));
  }
}

}  // namespace xslim
