#include "report/measure.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>

#include "base/random.h"
#include "data/readers.h"
#include "ops/operator.h"
#include "runtime/buffer_pool.h"
#include "runtime/executor.h"
#include "runtime/sample_lanes.h"

namespace xslim {
namespace {

constexpr int64_t kElements = 2048;  // drawn from each tensor; the same places in every sample
constexpr int64_t kShown = 256;      // of which this many per sample go into the histogram
constexpr size_t kBins = 32;

using Picked = std::map<std::string, std::vector<float>>;

// Which elements of a tensor are drawn. Depends on its size alone, so it is drawn once per size.
class Places {
 public:
  // From any thread.
  const std::vector<int64_t>& Of(int64_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto [found, fresh] = by_size_.try_emplace(size);
    if (fresh) {
      Random random(static_cast<uint64_t>(size));
      found->second = Choose(random, size, kElements);
    }
    return found->second;
  }

 private:
  std::mutex mutex_;
  std::map<int64_t, std::vector<int64_t>> by_size_;
};

// Runs samples and keeps the drawn elements of the watched tensors, by tensor name.
class Sampler {
 public:
  Sampler(const Graph& graph, const std::vector<std::string>& names, Places* places, ThreadPool& pool,
          const ExecutorOptions& options)
      : executor_(std::make_unique<Executor>(graph, pool, options)), graph_(graph), places_(places) {
    std::vector<ValueId> watched;
    for (const std::string& name : names) {
      const ValueId id = graph.Find(name);
      if (id != kNone && !graph.value(id).constant.defined()) watched.push_back(id);
    }
    executor_->SetTaps(watched, Tap());
  }
  // Shares the weights of `first`, which has run.
  Sampler(const Sampler& first, ThreadPool& pool, const std::shared_ptr<BufferPool>& buffers)
      : executor_(first.executor_->Clone(pool, Tap(), buffers)),
        graph_(first.graph_),
        places_(first.places_) {}
  Sampler(const Sampler&) = delete;
  int64_t buffer_bytes() const { return executor_->buffer_bytes(); }

  // The outputs; the drawn elements in `picked`.
  std::vector<Tensor> Run(const Sample& sample, Picked* picked) {
    picked_.clear();
    std::vector<Tensor> outputs = executor_->Run(sample);
    *picked = std::move(picked_);
    return outputs;
  }

 private:
  TapFn Tap() {
    return [this](ValueId id, const Tensor& tensor) {
      if (tensor.dtype() != DType::kFloat) return;
      const std::vector<int64_t>& places = places_->Of(tensor.size());
      std::vector<float>& out = picked_[graph_.value(id).name];
      out.resize(places.size());
      const float* const from = tensor.data<float>();
      for (size_t i = 0; i < places.size(); ++i) out[i] = from[places[i]];
    };
  }

  std::unique_ptr<Executor> executor_;
  const Graph& graph_;
  Places* const places_;
  Picked picked_;
};

// What the drawn elements of one tensor give: of one sample or, added up, of all.
struct TensorResult {
  double snr = 0;  // sum over samples
  ErrorSums sums;
  float f_min = INFINITY, f_max = -INFINITY, q_min = INFINITY, q_max = -INFINITY;
  std::vector<float> shown;  // float elements for the histogram
};

TensorResult Summarize(const std::vector<float>& reference, const std::vector<float>& quantized) {
  TensorResult result;
  const size_t n = std::min(reference.size(), quantized.size());
  result.sums = Compare(reference.data(), quantized.data(), static_cast<int64_t>(n));
  result.snr = result.sums.Snr();
  for (size_t i = 0; i < n; ++i) {
    result.f_min = std::min(result.f_min, reference[i]);
    result.f_max = std::max(result.f_max, reference[i]);
    result.q_min = std::min(result.q_min, quantized[i]);
    result.q_max = std::max(result.q_max, quantized[i]);
  }
  const size_t step = std::max<size_t>(n / kShown, 1);
  for (size_t i = 0; i < n; i += step) result.shown.push_back(reference[i]);
  return result;
}

void Add(const TensorResult& one, TensorResult* all) {
  all->snr += one.snr;
  all->sums.Add(one.sums);
  all->f_min = std::min(all->f_min, one.f_min);
  all->f_max = std::max(all->f_max, one.f_max);
  all->q_min = std::min(all->q_min, one.q_min);
  all->q_max = std::max(all->q_max, one.q_max);
  all->shown.insert(all->shown.end(), one.shown.begin(), one.shown.end());
}

// What one sample gives.
struct SampleResult {
  std::vector<OutputResult> outputs;  // by the original graph's outputs
  std::map<std::string, TensorResult> tensors;
};

TensorMeasure Row(NodeId node, const std::string& tensor, bool constant, const TensorResult& all,
                  int64_t samples) {
  TensorMeasure row;
  row.node = node;
  row.tensor = tensor;
  row.constant = constant;
  row.snr = all.snr / static_cast<double>(std::max<int64_t>(samples, 1));
  row.mse = all.sums.Mse();
  row.cosine = all.sums.Cosine();
  row.q_min = all.q_min;
  row.q_max = all.q_max;
  row.histogram.assign(kBins, 0);
  if (all.shown.empty()) return row;
  row.f_min = all.f_min;
  row.f_max = all.f_max;
  const double width = (static_cast<double>(row.f_max) - row.f_min) / kBins;
  for (float value : all.shown) {
    const double place = width > 0 ? (static_cast<double>(value) - row.f_min) / width : 0;
    const size_t bin = place >= 0 ? std::min(static_cast<size_t>(place), kBins - 1) : 0;
    ++row.histogram[bin];
  }
  return row;
}

// What the report shows of a quantized operator: its data inputs and outputs that carry codes.
struct Watch {
  NodeId node;
  std::vector<std::string> tensors;
};

std::vector<Watch> Watches(const Graph& graph, const QuantPlan& plan) {
  std::vector<Watch> watches;
  for (NodeId id : graph.Order()) {
    if (!plan.nodes.count(id)) continue;
    const Node& node = graph.node(id);
    Watch watch{id, {}};
    for (ValueId input : node.inputs) {
      if (input != kNone && plan.activations.count(input)) watch.tensors.push_back(graph.value(input).name);
    }
    for (ValueId output : node.outputs) {
      if (output != kNone && plan.activations.count(output))
        watch.tensors.push_back(graph.value(output).name);
    }
    if (!watch.tensors.empty()) watches.push_back(std::move(watch));
  }
  return watches;
}

// The dequantized weight against the float one; elements drawn as for activations.
TensorMeasure WeightRow(const Graph& graph, const WeightQuant& weight) {
  const ValueId id = graph.node(weight.node).input(static_cast<size_t>(weight.slot));
  const Tensor& constant = *graph.Constant(id);
  const float* x = constant.data<float>();
  const int8_t* q = weight.codes.data<int8_t>();
  const int64_t inner = weight.params.axis < 0 ? 1 : InnerCount(constant.shape(), weight.params.axis);
  std::vector<float> reference, quantized;
  Random random(static_cast<uint64_t>(constant.size()));
  for (int64_t at : Choose(random, constant.size(), kElements)) {
    const size_t c =
        weight.params.axis < 0 ? 0 : static_cast<size_t>((at / inner) % constant.dim(weight.params.axis));
    reference.push_back(x[at]);
    quantized.push_back(static_cast<float>(q[at] - weight.params.zero_point[c]) * weight.params.scale[c]);
  }
  return Row(weight.node, graph.value(id).name, true, Summarize(reference, quantized), 1);
}

// Whether two graphs' outputs differ by no more than the rounding of reordered float operations.
bool Same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  constexpr double kRounding = 1e-9;  // noise power / signal power
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].dtype() != b[i].dtype() || a[i].shape() != b[i].shape()) return false;
    if (a[i].dtype() == DType::kFloat) {
      if (!(Compare(a[i].data<float>(), b[i].data<float>(), a[i].size()).Snr() <= kRounding)) return false;
    } else if (!a[i].SameBytes(b[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

Measures Measure(const Graph& original, const Graph& reference, const Graph& exported, const QuantPlan& plan,
                 const std::vector<OutputParts>& parts, const SampleSource& source,
                 const std::vector<int64_t>& indices, ThreadPool& pool,
                 const std::function<void(int64_t, int64_t)>& progress, const MemoryCeiling& ceiling) {
  const std::vector<Watch> watches = Watches(reference, plan);
  std::vector<std::string> names;
  std::set<std::string> watched;
  for (const Watch& watch : watches) {
    for (const std::string& tensor : watch.tensors) {
      if (watched.insert(tensor).second) names.push_back(tensor);
    }
  }
  // A graph input is read as it is; what is quantized of it is its dequantized copy.
  std::map<std::string, std::string> copy_of;
  std::vector<std::string> exported_names;
  for (const std::string& name : names) {
    const ValueId copy = FindPair(exported, name).dequantized;
    copy_of[name] = copy == kNone ? name : exported.value(copy).name;
    exported_names.push_back(copy_of[name]);
  }

  Measures measures;
  std::map<std::string, TensorResult> accumulators;
  const int64_t total = static_cast<int64_t>(indices.size());
  std::vector<SampleResult> results(indices.size());
  if (total == 0) {
    for (size_t i = 0; i < original.outputs().size(); ++i)
      measures.outputs.push_back(Summary(original.value(original.outputs()[i]).name, parts[i], {}));
    return measures;
  }
  std::vector<std::vector<CodeEnds>> ends;  // by output, by part
  for (const OutputParts& output : parts) {
    ends.emplace_back();
    for (const OutputPart& part : output.parts) ends.back().push_back(EndsOf(plan, part));
  }
  // A lane's executors run one after the other in one arena. Results are added up in the order of the
  // samples.
  struct Lane {
    std::unique_ptr<Executor> original;  // null where the reference graph's outputs are as good
    std::unique_ptr<Sampler> reference, exported;
  };
  // originals: the original graph's outputs, or null. Returns whether the reference graph's are as good.
  const auto run = [&](const Sample& sample, const Lane& lane, const std::vector<Tensor>* originals,
                       SampleResult* result) {
    Picked floats, quantized;
    std::vector<Tensor> expected = lane.reference->Run(sample, &floats);
    const bool interchangeable = originals && Same(*originals, expected);
    if (originals) expected = *originals;
    const std::vector<Tensor> actual = lane.exported->Run(sample, &quantized);
    const bool odd_data = std::any_of(sample.begin(), sample.end(), HasNonFinite);
    for (size_t i = 0; i < expected.size() && i < actual.size(); ++i) {
      result->outputs.push_back(CompareOutputs(expected[i], actual[i], parts[i], ends[i]));
      result->outputs.back().odd_data = odd_data;
    }
    for (const std::string& name : names) {
      const auto f = floats.find(name), q = quantized.find(copy_of[name]);
      if (f != floats.end() && q != quantized.end())
        result->tensors.emplace(name, Summarize(f->second, q->second));
    }
    return interchangeable;
  };
  Places places;
  Lane first;
  {
    ExecutorOptions together;
    together.buffers = std::make_shared<BufferPool>();
    const Sample sample = source.at(indices[0]);
    first.original = std::make_unique<Executor>(original, pool, together);
    const std::vector<Tensor> originals = first.original->Run(sample);
    first.reference = std::make_unique<Sampler>(reference, names, &places, pool, together);
    first.exported = std::make_unique<Sampler>(exported, exported_names, &places, pool, together);
    if (run(sample, first, &originals, &results[0])) first.original = nullptr;
  }
  measures.samples = 1;
  if (progress) progress(1, total);

  const auto clone = [](const Lane& lane, ThreadPool& one, size_t) {
    const auto buffers = std::make_shared<BufferPool>();
    return Lane{lane.original ? lane.original->Clone(one, nullptr, buffers) : nullptr,
                std::make_unique<Sampler>(*lane.reference, one, buffers),
                std::make_unique<Sampler>(*lane.exported, one, buffers)};
  };
  std::mutex mutex;
  SampleLanes(pool, ceiling)
      .Run("the report", 1, total, first.exported->buffer_bytes(), &first, clone,
           [&](const Lane& lane, int64_t begin, int64_t end) {
             SampleStream stream(source, {indices.begin() + begin, indices.begin() + end});
             int64_t at = begin;
             for (Sample sample; stream.Next(&sample); ++at) {
               std::vector<Tensor> originals;
               if (lane.original) originals = lane.original->Run(sample);
               run(sample, lane, lane.original ? &originals : nullptr, &results[static_cast<size_t>(at)]);
               std::lock_guard<std::mutex> lock(mutex);
               ++measures.samples;
               if (progress) progress(measures.samples, total);
             }
           });
  for (const SampleResult& result : results) {
    for (const auto& [name, tensor] : result.tensors) Add(tensor, &accumulators[name]);
  }
  for (size_t i = 0; i < original.outputs().size(); ++i) {
    std::vector<const OutputResult*> of_output;
    for (const SampleResult& result : results) {
      if (i < result.outputs.size()) of_output.push_back(&result.outputs[i]);
    }
    measures.outputs.push_back(Summary(original.value(original.outputs()[i]).name, parts[i], of_output));
  }
  const std::vector<WeightQuant>& weights = plan.weights;
  std::vector<TensorMeasure> weight_rows(weights.size());
  pool.ParallelFor(std::ssize(weights), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      weight_rows[at] = WeightRow(reference, weights[at]);
    }
  });
  std::multimap<NodeId, size_t> weights_of;
  for (size_t i = 0; i < weights.size(); ++i) weights_of.emplace(weights[i].node, i);
  std::map<std::string, bool> listed;
  for (const Watch& watch : watches) {
    for (const std::string& tensor : watch.tensors) {
      if (listed[tensor] || !accumulators.count(tensor)) continue;
      listed[tensor] = true;
      measures.tensors.push_back(Row(watch.node, tensor, false, accumulators[tensor], measures.samples));
    }
    const auto [begin, end] = weights_of.equal_range(watch.node);
    for (auto at = begin; at != end; ++at) measures.tensors.push_back(weight_rows[at->second]);
  }
  return measures;
}

}  // namespace xslim
