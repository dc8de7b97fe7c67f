#include "tune/learned.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "ops/precise_math.h"
#include "tune/rounding.h"
#include "tune/weight_rows.h"

namespace xslim {
namespace {

// Places of an operator's input that a sample's derivative is taken from; with groups (depthwise) fewer, as
// there are fewer weights and each place costs more.
constexpr int64_t kPlaces = 256, kGroupedPlaces = 64;
constexpr float kMeanDecay = 0.9f, kPowerDecay = 0.99f;

// sum, as the weight lies in memory, += g' patches; g: places x rows, patches: places x depth.
void AddGradient(const std::vector<float>& g, const std::vector<float>& patches, const WeightRows& rows,
                 int64_t places, ThreadPool& pool, float* sum) {
  if (rows.rows * rows.depth <= 64) {  // depthwise: too small for packed products
    for (int64_t p = 0; p < places; ++p) {
      for (int64_t r = 0; r < rows.rows; ++r) {
        const float feel = g[static_cast<size_t>(p * rows.rows + r)];
        for (int64_t d = 0; d < rows.depth; ++d)
          sum[r * rows.row_stride + d * rows.depth_stride] +=
              feel * patches[static_cast<size_t>(p * rows.depth + d)];
      }
    }
  } else if (rows.depth_stride == 1) {
    AddProduct(pool, rows.rows, rows.depth, places, g.data(), 1, rows.rows, patches.data(), rows.depth, 1,
               sum, rows.row_stride);
  } else {
    AddProduct(pool, rows.depth, rows.rows, places, patches.data(), 1, rows.depth, g.data(), rows.rows, 1,
               sum, rows.depth_stride);
  }
}

}  // namespace

void Numbers::Start(std::vector<float> values) {
  value = std::move(values);
  mean.assign(value.size(), 0.0f);
  power = sum = mean;
}

double Numbers::Direct(int turn, ThreadPool& pool) {
  const float mean_share = 1 / static_cast<float>(1 - precise::Pow(kMeanDecay, turn)),
              power_share = 1 / static_cast<float>(1 - precise::Pow(kPowerDecay, turn));
  constexpr int64_t kPiece = 4096;
  const int64_t size = static_cast<int64_t>(sum.size()), pieces = (size + kPiece - 1) / kPiece;
  std::vector<double> gains(static_cast<size_t>(pieces), 0.0);
  pool.ParallelFor(pieces, 4, [&](int64_t first, int64_t last, int) {
    for (int64_t p = first; p < last; ++p) {
      double gain = 0;
      for (int64_t at = p * kPiece; at < std::min(size, (p + 1) * kPiece); ++at) {
        const size_t i = static_cast<size_t>(at);
        const float g = std::isfinite(sum[i]) ? sum[i] : 0.0f;
        mean[i] = kMeanDecay * mean[i] + (1 - kMeanDecay) * g;
        power[i] = kPowerDecay * power[i] + (1 - kPowerDecay) * g * g;
        sum[i] = -mean[i] * mean_share / (std::sqrt(power[i] * power_share) + 1e-18f);
        gain += std::fabs(g * sum[i]);
      }
      gains[static_cast<size_t>(p)] = gain;
    }
  });
  double gain = 0;
  for (double part : gains) gain += part;
  return gain;
}

void Numbers::Move(float length, float lo, float hi, ThreadPool& pool) {
  pool.ParallelFor(static_cast<int64_t>(value.size()), 1 << 14, [&](int64_t begin, int64_t end, int) {
    for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      value[i] = std::clamp(value[i] + length * sum[i], lo, hi);
      sum[i] = 0;
    }
  });
}

std::vector<float> InitialWeights(const WeightQuant& quant, const Tensor& weight) {
  const float* floats = weight.data<float>();
  const int8_t* codes = quant.codes.data<int8_t>();
  std::vector<float> values(static_cast<size_t>(quant.codes.size()));
  ForScales(quant, [&](int64_t begin, int64_t end, float scale) {
    for (int64_t i = begin; i < end; ++i) {
      const float code = codes[i], exact = floats[i] / scale;
      values[static_cast<size_t>(i)] = code + std::clamp(exact - code, -0.45f, 0.45f);
    }
  });
  return values;
}

std::vector<float> RoundedCodes(const LearnedWeight& weight, ThreadPool& pool) {
  const std::vector<float>& value = weight.numbers.value;
  std::vector<float> codes(value.size());
  pool.ParallelFor(static_cast<int64_t>(codes.size()), 1 << 14, [&](int64_t begin, int64_t end, int) {
    kernels::Active().fake_quantize(value.data() + begin, 1.0f, 0, -128, 127, codes.data() + begin,
                                    end - begin);
  });
  return codes;
}

void AddToBias(const Tensor& g, LearnedBias* bias, ThreadPool& pool) {
  std::vector<float>& sum = bias->numbers.sum;
  const int64_t channels = static_cast<int64_t>(sum.size()), inner = InnerCount(g.shape(), 1);
  const int64_t batch = channels * inner == 0 ? 0 : g.size() / (channels * inner);
  pool.ParallelFor(channels, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      constexpr int64_t kLanes = 8;  // sums of their own: none waits for the one before
      float sums[kLanes] = {};
      for (int64_t n = 0; n < batch; ++n) {
        const float* from = g.data<float>() + (n * channels + c) * inner;
        int64_t i = 0;
        for (; i + kLanes <= inner; i += kLanes) {
          for (int64_t l = 0; l < kLanes; ++l) sums[l] += from[i + l];
        }
        for (; i < inner; ++i) sums[0] += from[i];
      }
      for (float part : sums) sum[static_cast<size_t>(c)] += part;
    }
  });
}

void KeepPatches(const Graph& graph, const Tensor& input, uint64_t seed, LearnedWeight* weight,
                 ThreadPool& pool) {
  const WeightPlace& place = weight->place;
  const Node& node = graph.node(place.layer.node);
  const Tensor& constant = *graph.Constant(place.constant);
  weight->chosen =
      PatchPlaces(node, constant, input, place.layer.rows.groups == 1 ? kPlaces : kGroupedPlaces, seed);
  const PatchReader patches(node, constant, input, weight->chosen);
  weight->patches.resize(static_cast<size_t>(place.layer.rows.groups));
  pool.ParallelFor(place.layer.rows.groups, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t g = begin; g < end; ++g) weight->patches[static_cast<size_t>(g)] = patches.Of(g, pool);
  });
}

void AddToWeight(const Graph& graph, const Tensor& tensor, LearnedWeight* weight, ThreadPool& pool) {
  const WeightRows& rows = weight->place.layer.rows;
  const int64_t chosen = static_cast<int64_t>(weight->chosen.size()), outputs = rows.groups * rows.rows;
  if (chosen == 0 || weight->patches.empty()) return;
  const bool conv = graph.node(weight->place.layer.node).Is("Conv");
  const int64_t inner = conv ? InnerCount(tensor.shape(), 1) : 1;
  const float each =
      static_cast<float>(static_cast<double>(tensor.size() / outputs) / static_cast<double>(chosen));
  const float* from = tensor.data<float>();
  const bool many = rows.groups >= 4;  // one to a thread; else threads within the products
  ThreadPool one(1);
  pool.ParallelFor(many ? rows.groups : 1, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> g(static_cast<size_t>(chosen * rows.rows));
    for (int64_t group = many ? begin : 0; group < (many ? end : rows.groups); ++group) {
      for (int64_t p = 0; p < chosen; ++p) {
        const int64_t place = weight->chosen[static_cast<size_t>(p)];
        const float* at = from + (place / inner * outputs + group * rows.rows) * inner + place % inner;
        for (int64_t r = 0; r < rows.rows; ++r)
          g[static_cast<size_t>(p * rows.rows + r)] = at[r * inner] * each;
      }
      AddGradient(g, weight->patches[static_cast<size_t>(group)], rows, chosen, many ? one : pool,
                  weight->numbers.sum.data() + group * rows.group_stride);
    }
  });
  weight->patches.clear();
}

}  // namespace xslim
