#include "quant/ignore_list.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/nearest_name.h"

namespace xslim {
namespace {

constexpr char kTypes[] = "ignore_op_types", kNames[] = "ignore_op_names";

// In one pass: after a mismatch the last '*' takes one character more.
bool Matches(const std::string& pattern, const std::string& text) {
  size_t p = 0, t = 0, star = std::string::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool AnyMatches(const std::vector<std::string>& patterns, const std::string& text,
                std::set<std::string>* used) {
  bool found = false;
  for (const std::string& pattern : patterns) {
    if (Matches(pattern, text)) {
      used->insert(pattern);
      found = true;
    }
  }
  return found;
}

std::vector<std::string> NamesOf(const Node& node) {
  std::vector<std::string> names = node.parts;
  names.push_back(node.name);
  if (!node.shared_name.empty()) names.push_back(node.shared_name);
  return names;
}

struct Names {
  std::vector<std::string> types, names;
  std::map<std::string, GoneNode> gone;
  void Add(const Node& node) {
    types.push_back(node.op_type);
    for (const std::string& name : NamesOf(node)) names.push_back(name);
  }
};

enum class Where { kOutermost, kInBranch, kInLoop };

// later: of each If and what its branches hold, which are asked about when branches are quantized.
void CollectNames(const Graph& graph, Where where, Names* all, Names* later) {
  all->gone.insert(graph.gone.begin(), graph.gone.end());
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    const bool branches = node.Is("If") && where != Where::kInLoop;
    all->Add(node);
    if (branches || where == Where::kInBranch) later->Add(node);
    for (const auto& [key, attribute] : node.attributes) {
      if (attribute.graph)
        CollectNames(*attribute.graph, branches ? Where::kInBranch : Where::kInLoop, all, later);
    }
  }
}

// Where the simplifier has folded what the pattern matches, or has taken it out; "" where it is no operator
// of the file either.
std::string WhereGone(const std::string& pattern, bool by_type, const std::map<std::string, GoneNode>& gone) {
  std::string first;
  int more = -1;
  for (const auto& [name, node] : gone) {
    if (!Matches(pattern, by_type ? node.type : name)) continue;
    if (++more > 0) continue;
    first = name + (node.into.empty() ? " is not needed any more" : " was folded into " + node.into);
  }
  return more > 0 ? StrCat(first, " (", more, " more as well)") : first;
}

void WarnUnmatchedIn(const char* list, const std::vector<std::string>& patterns,
                     const std::set<std::string>& used, const std::vector<std::string>& known,
                     const std::vector<std::string>& later, const std::map<std::string, GoneNode>& gone) {
  for (const std::string& pattern : patterns) {
    const auto matches = [&](const std::string& name) { return Matches(pattern, name); };
    if (used.count(pattern) || std::any_of(later.begin(), later.end(), matches)) continue;
    if (std::any_of(known.begin(), known.end(), matches)) {
      LogInfo(list, ": \"", pattern, "\" matches only operators that stay float anyway");
      continue;
    }
    if (const std::string where = WhereGone(pattern, list == kTypes, gone); !where.empty()) {
      LogWarning(list, ": \"", pattern, "\" matches no operator of the simplified model: ", where);
      continue;
    }
    const std::string nearest = NearestName(pattern, known);
    LogWarning(list, ": \"", pattern, "\" matches no operator of the simplified model",
               nearest.empty() ? "" : " (did you mean " + nearest + "?)");
  }
}

}  // namespace

const char* IgnoreList::Reason(const Node& node) {
  if (AnyMatches(options_.ignore_op_types, node.op_type, &used_)) return kTypes;
  bool named = false;
  for (const std::string& name : NamesOf(node))
    named = AnyMatches(options_.ignore_op_names, name, &used_) || named;
  return named ? kNames : nullptr;
}

bool IgnoreList::IsReason(const std::string& why) { return why == kTypes || why == kNames; }

void IgnoreList::WarnUnmatched(const Graph& graph) const {
  Names all, later;
  CollectNames(graph, Where::kOutermost, &all, &later);
  WarnUnmatchedIn(kTypes, options_.ignore_op_types, used_, all.types, later.types, all.gone);
  WarnUnmatchedIn(kNames, options_.ignore_op_names, used_, all.names, later.names, all.gone);
}

}  // namespace xslim
