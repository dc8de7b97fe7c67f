#include "tune/derivatives.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/log.h"
#include "runtime/executor.h"
#include "tune/gradient.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// signs * sqrt(weight / (|value|^2 + floor)).
ValueId AddSeed(Graph* graph, const WeightedPoint& point, const Shape& shape, uint64_t seed) {
  const auto emit = [&](const char* type, std::vector<ValueId> inputs) {
    const ValueId out = graph->AddValue("xslim_seed", DType::kFloat);
    graph->AddNode(type, "xslim_seed", std::move(inputs), {out});
    return out;
  };
  const ValueId squares = emit("Mul", {point.value, point.value}),
                sum = graph->AddValue("xslim_seed", DType::kFloat);
  graph->AddNode("ReduceSum", "xslim_seed", {squares}, {sum}, {{"keepdims", Attribute::Int(0)}});
  const ValueId floor = graph->AddConstant("xslim_seed", Tensor::Scalar(static_cast<float>(point.floor)));
  const ValueId signs = graph->AddConstant("xslim_seed", RandomSigns(shape, std::sqrt(point.weight), seed));
  return emit("Div", {signs, emit("Sqrt", {emit("Add", {sum, floor})})});
}

// As RunsOf says.
void ChooseRuns(const Tensor& tensor, RunsOf* to) {
  constexpr int64_t kMostElements = 1 << 16;
  RunsOf& chosen = *to;
  chosen.elements.clear();
  chosen.every = std::max<int64_t>((tensor.size() + kMostElements - 1) / kMostElements, 1);
  const float* x = tensor.data<float>();
  if (chosen.every == 1) {
    chosen.elements.assign(x, x + tensor.size());
    return;
  }
  // The place within each group of runs moves on, so that no column of an image is preferred.
  const int64_t runs = tensor.size() / kRunElements;
  chosen.elements.reserve(static_cast<size_t>(kMostElements));
  for (int64_t first = 0, turn = 0; first < runs; first += chosen.every, ++turn) {
    const int64_t run = first + turn * 7 % chosen.every;
    if (run >= runs) break;
    chosen.elements.insert(chosen.elements.end(), x + run * kRunElements, x + (run + 1) * kRunElements);
  }
}

// The sample that a lane is at, and what is kept of it until its derivatives come.
struct Place {
  size_t sample = 0;
  std::map<ValueId, RunsOf> kept;
  std::vector<RunsOf> spare;  // taken again in the reverse order: mostly by tensors of their sizes
  RunsOf derivative;          // the one at hand
  RunsOf Choose(const Tensor& tensor);
};

struct Lane {
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Place> place;
};

RunsOf Place::Choose(const Tensor& tensor) {
  RunsOf runs;
  if (!spare.empty()) {
    runs = std::move(spare.back());
    spare.pop_back();
  }
  ChooseRuns(tensor, &runs);
  return runs;
}

// Runs the chosen samples, the first one that can be run by all threads together. Returns those that threw an
// Error, and its text. Throws OutOfMemory.
std::map<size_t, std::string> RunAll(const Graph& graph, const std::vector<ValueId>& taps,
                                     const std::function<TapFn(Place*)>& tap,
                                     const std::vector<Sample>& samples, const std::vector<size_t>& chosen,
                                     const SampleLanes& lanes) {
  std::map<size_t, std::string> failed;
  std::mutex mutex;
  const auto run = [&](const Lane& lane, size_t sample) {
    lane.place->sample = sample;
    lane.place->kept.clear();
    try {
      lane.executor->Run(samples[sample]);
      return true;
    } catch (const OutOfMemory&) {
      throw;
    } catch (const Error& error) {
      std::lock_guard<std::mutex> lock(mutex);
      failed[sample] = error.what();
      return false;
    }
  };
  const auto count = static_cast<int64_t>(chosen.size());
  Lane first;
  int64_t next = 0;
  for (bool ran = false; !ran;) {
    if (next == count) return failed;
    first = {std::make_unique<Executor>(graph, lanes.pool()), std::make_unique<Place>()};
    first.executor->SetTaps(taps, tap(first.place.get()));
    ran = run(first, chosen[static_cast<size_t>(next++)]);
  }
  lanes.Run(
      "tuning", next, count, first.executor->buffer_bytes(), &first,
      [&](const Lane& from, ThreadPool& one, size_t) {
        auto place = std::make_unique<Place>();
        return Lane{from.executor->Clone(one, tap(place.get())), std::move(place)};
      },
      [&](const Lane& lane, int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; ++s) run(lane, chosen[static_cast<size_t>(s)]);
      });
  return failed;
}

}  // namespace

Visit VisitSensitivities(const Graph& graph, const ValueFacts& facts,
                         const std::vector<WeightedPoint>& points, const std::vector<Sample>& samples,
                         const SampleLanes& lanes, const std::set<ValueId>& seen, const SeeValue& see,
                         const std::set<ValueId>& felt, const FeelValue& feel) {
  if (samples.empty()) return {};
  Graph both = graph;
  std::map<ValueId, ValueId> seeds;
  for (size_t p = 0; p < points.size(); ++p)
    seeds[points[p].value] = AddSeed(&both, points[p], facts.of(points[p].value).shape, 20260404 + p);
  const Gradient gradient = AddGradient(&both, facts, seeds, felt, lanes.pool(), WithoutRule::kEstimate);
  std::map<ValueId, std::vector<ValueId>> owners;  // by derivative: the values that it belongs to
  std::set<ValueId> taps;
  for (ValueId value : seen) {
    if (facts.is_float(value)) taps.insert(value);
  }
  for (const auto& [value, derivative] : gradient.of) {
    owners[derivative].push_back(value);
    taps.insert(value);
    taps.insert(derivative);
  }
  const auto tap = [&](Place* place) {
    return [&, place](ValueId id, const Tensor& tensor) {
      if (seen.count(id)) see(place->sample, id, tensor);
      if (gradient.of.count(id)) place->kept[id] = place->Choose(tensor);
      const auto found = owners.find(id);
      if (found == owners.end()) return;
      RunsOf& g = place->derivative;
      ChooseRuns(tensor, &g);
      for (ValueId value : found->second) {
        const auto x = place->kept.find(value);
        if (x != place->kept.end() && x->second.elements.size() == g.elements.size())
          feel(place->sample, value, x->second, g);
        if (x != place->kept.end()) {
          place->spare.push_back(std::move(x->second));
          place->kept.erase(x);
        }
      }
    };
  };

  // Derivatives hold for the shapes of `facts` alone. A sample that has others, at its inputs or on the way,
  // is only seen.
  const std::vector<ValueId> inputs = graph.FreeInputs();
  std::vector<size_t> regular;
  std::map<size_t, std::string> odd;
  for (size_t s = 0; s < samples.size(); ++s) {
    bool fits = true;
    for (size_t i = 0; i < inputs.size(); ++i) fits &= samples[s][i].shape() == facts.of(inputs[i]).shape;
    if (fits) {
      regular.push_back(s);
    } else {
      odd[s] = "its inputs have shapes of their own";
    }
  }
  odd.merge(RunAll(both, {taps.begin(), taps.end()}, tap, samples, regular, lanes));
  if (odd.empty()) return {gradient.stopped, {}};
  LogInfo("ranges are not chosen by ", odd.size(), " of ", samples.size(),
          " tuning samples, which derivatives cannot be had for; the first one: ", odd.begin()->second);
  std::vector<ValueId> plain;
  for (ValueId value : seen) {
    if (facts.is_float(value)) plain.push_back(value);
  }
  const auto only_see = [&](Place* place) {
    return [&, place](ValueId id, const Tensor& tensor) { see(place->sample, id, tensor); };
  };
  std::vector<size_t> left;
  for (const auto& [sample, why] : odd) left.push_back(sample);
  const std::map<size_t, std::string> failed = RunAll(graph, plain, only_see, samples, left, lanes);
  if (!failed.empty()) throw Error(failed.begin()->second, "a tuning sample");
  return {gradient.stopped, left};
}

}  // namespace xslim
