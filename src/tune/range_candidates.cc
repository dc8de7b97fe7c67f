#include "tune/range_candidates.h"

#include <algorithm>

#include "quant/shown_ends.h"

namespace xslim {
namespace {

// Of a tensor, per sample: of less, the tuning samples hold too few numbers to tell what of its range the
// next one needs, and it is never narrowed.
constexpr int64_t kFewElements = 1024;

}  // namespace

RangeProposals RangeCandidates(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                               const RangeProposals& proposals) {
  const std::map<ValueId, ShownEnds> shown = FindShownEnds(graph, facts);
  RangeProposals candidates;
  for (const auto& [id, quant] : plan.activations) {
    // The range of an input is that of the data, and that of an output what the next data may need: the
    // tuning samples are few for its extremes.
    const Value& value = graph.value(id);
    if (!facts.is_float(id) || value.producer == kNone || value.is_output || quant.fixed) continue;
    std::vector<ChosenRange>& ranges = candidates[id];
    ranges.push_back({quant.lo, quant.hi, quant.why});
    const auto proposed = proposals.find(id);
    if (proposed == proposals.end()) continue;
    float lo = quant.lo, hi = quant.hi;
    for (const ChosenRange& range : proposed->second) {
      ranges.push_back(range);
      lo = std::min(lo, range.lo);
      hi = std::max(hi, range.hi);
    }
    for (float factor : {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f, 0.2f}) {
      ranges.push_back({lo * factor, hi * factor, "part of the extremes"});
      if (lo < 0 && hi > 0 && factor < 1) {
        ranges.push_back({lo, hi * factor, "part of the extremes"});
        ranges.push_back({lo * factor, hi, "part of the extremes"});
      }
    }
    const auto ends = shown.find(id);
    const ShownEnds keeps = facts.elements(id) < kFewElements ? ShownEnds{true, true}
                            : ends == shown.end()             ? ShownEnds{}
                                                              : ends->second;
    std::erase_if(ranges, [&, &quant = quant](const ChosenRange& range) {
      return (keeps.lo && range.lo > quant.lo) || (keeps.hi && range.hi < quant.hi);
    });
  }
  return candidates;
}

}  // namespace xslim
