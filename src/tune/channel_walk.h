// A walk over the tensors that hang together with one: what a change of their channels has to reach.
#ifndef XSLIM_TUNE_CHANNEL_WALK_H_
#define XSLIM_TUNE_CHANNEL_WALK_H_

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// Who derives from it says, operator by operator, where the walk goes on and what it collects.
class ChannelWalk {
 public:
  // seen: tensors of this and earlier walks; no walk visits one twice.
  ChannelWalk(const Graph& graph, std::set<ValueId>* seen) : graph_(graph), seen_(seen) {}
  virtual ~ChannelWalk() = default;

 protected:
  // Visits all that hangs together with `start`. False where something there rules the change out; all of it
  // is `seen` then, too.
  bool WalkFrom(ValueId start) {
    Reach(start);
    while (!waiting_.empty()) {
      const Value& value = graph_.value(waiting_.back());
      waiting_.pop_back();
      const Node* producer = graph_.Producer(value.id);
      fits_ &= producer != nullptr && !value.is_output && !value.uses.empty() &&
               !graph_.CapturedBySubgraph(value.name);
      if (producer != nullptr) fits_ &= TakeProducer(*producer);
      for (const Use& use : value.uses) fits_ &= TakeUser(graph_.node(use.node), use.slot);
    }
    return fits_;
  }
  void Reach(ValueId id) {
    if (seen_->insert(id).second) waiting_.push_back(id);
  }

  // What makes a visited tensor, or reads it at input `slot`. False rules the change out.
  virtual bool TakeProducer(const Node& node) = 0;
  virtual bool TakeUser(const Node& node, size_t slot) = 0;

  const Graph& graph_;

 private:
  std::set<ValueId>* const seen_;
  std::vector<ValueId> waiting_;
  bool fits_ = true;
};

// Operators in the order of the graph, which walks do not keep to.
class GraphOrder {
 public:
  explicit GraphOrder(const Graph& graph) : nodes_(graph.Order()) {
    for (size_t i = 0; i < nodes_.size(); ++i) place_[nodes_[i]] = i;
  }
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // node_of: gives the operator by which an item is sorted.
  template <typename Item, typename NodeOf = std::identity>
  void Sort(std::vector<Item>* items, NodeOf node_of = {}) const {
    std::sort(items->begin(), items->end(), [&](const Item& a, const Item& b) {
      return place_.at(std::invoke(node_of, a)) < place_.at(std::invoke(node_of, b));
    });
  }

 private:
  std::vector<NodeId> nodes_;
  std::map<NodeId, size_t> place_;
};

}  // namespace xslim

#endif  // XSLIM_TUNE_CHANNEL_WALK_H_
