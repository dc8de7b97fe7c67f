#include "pipeline/half_transposes.h"

#include <optional>
#include <vector>

#include "simplify/shape_facts.h"

namespace xslim {
namespace {

// 1, 2 ... with axis 0 as the last axis of the batch, the last two axes in either order.
bool MovesBatch(const std::vector<int64_t>& perm) {
  const size_t rank = perm.size();
  if (rank < 3) return false;
  for (size_t i = 0; i + 2 < rank; ++i) {
    if (perm[i] != static_cast<int64_t>(i) + 1) return false;
  }
  return perm[rank - 2] == 0 || perm[rank - 1] == 0;
}

bool Multiplies(const Node& node) {
  return node.Is("MatMul") || (node.op_type == "FusedMatMul" && node.domain == "com.microsoft");
}

class Finder {
 public:
  explicit Finder(const Scope& scope) : scope_(scope), graph_(*scope.graph) {}

  std::map<NodeId, std::string> Find() {
    std::map<NodeId, std::string> kept;
    for (NodeId id : graph_.Order()) {
      const Node& node = graph_.node(id);
      const std::vector<int64_t> perm = node.Is("Transpose") ? node.Ints("perm") : std::vector<int64_t>{};
      if (!MovesBatch(perm)) continue;
      if (const Node* reader = Endangered(node.outputs[0], std::ssize(perm)))
        kept[id] = "ONNX Runtime may crash on a 16-bit one in front of " + reader->Title();
    }
    return kept;
  }

 private:
  // The MatMul that reads the value, of that rank, beside one of another rank or of none that is known. The
  // optimizer has taken a factor in between into the MatMul before (MatMulScaleFusion).
  const Node* Endangered(ValueId value, int64_t rank) {
    if (value == kNone) return nullptr;
    for (const Use& use : graph_.value(value).uses) {
      const Node& reader = graph_.node(use.node);
      const ValueId other = reader.input(use.slot == 0 ? 1 : 0);
      if (Multiplies(reader) && RankOf(other) != rank) return &reader;
      if (!reader.Is("Mul") && !reader.Is("Div")) continue;
      const Tensor* factor = ConstantIn(scope_, other);
      if (factor == nullptr || factor->size() != 1) continue;
      if (const Node* behind = Endangered(reader.outputs[0], rank)) return behind;
    }
    return nullptr;
  }

  int64_t RankOf(ValueId id) {
    if (const Tensor* constant = ConstantIn(scope_, id)) return static_cast<int64_t>(constant->rank());
    if (!facts_) facts_.emplace(graph_, scope_.outer != nullptr);
    return facts_->RankOf(id);
  }

  const Scope& scope_;
  const Graph& graph_;
  std::optional<ShapeFacts> facts_;  // made when first needed
};

}  // namespace

std::map<NodeId, std::string> TransposesToKeep(const Scope& scope) { return Finder(scope).Find(); }

}  // namespace xslim
