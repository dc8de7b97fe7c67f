// LSTM, GRU and RNN: products (that of the input for all steps at once) and activations on the kernels.
// Computed in float32 whatever the float type.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/matmul.h"

namespace xslim {
namespace {

struct Activation {
  std::string name;
  float alpha, beta;

  void operator()(float* x, int64_t n) const {
    const kernels::Table& table = kernels::Active();
    if (name == "Sigmoid") return table.unary(kernels::kSigmoid, x, x, n);
    if (name == "Tanh") return table.unary(kernels::kTanh, x, x, n);
    if (name == "Relu") return table.clamp(x, 0, std::numeric_limits<float>::infinity(), x, n);
    if (name == "Affine") return table.scale_shift(x, alpha, beta, x, n);
    if (name == "LeakyRelu") return table.leaky_relu(x, alpha, x, n);
    if (name == "HardSigmoid") return table.hard_sigmoid(x, alpha, beta, x, n);
    if (name == "Softplus") return table.unary(kernels::kSoftplus, x, x, n);
    if (name == "ScaledTanh") {
      table.binary_scalar(kernels::kMul, x, beta, x, n);
      table.unary(kernels::kTanh, x, x, n);
      return table.binary_scalar(kernels::kMul, x, alpha, x, n);
    }
    if (name == "ThresholdedRelu") {
      for (int64_t i = 0; i < n; ++i) x[i] = x[i] > alpha ? x[i] : 0;
      return;
    }
    if (name == "Softsign") {
      for (int64_t i = 0; i < n; ++i) x[i] = x[i] / (1 + (x[i] < 0 ? -x[i] : x[i]));
      return;
    }
    if (name == "Elu") {
      for (int64_t i = 0; i < n; ++i) {
        if (x[i] >= 0) continue;
        float e;
        table.unary(kernels::kExp, x + i, &e, 1);
        x[i] = alpha * (e - 1);
      }
      return;
    }
    throw Error(
        "unknown activation " + name, "",
        "expected Sigmoid, Tanh, Relu, Affine, LeakyRelu, ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, "
        "Softsign or Softplus");
  }
};

// The node's activations, `per_direction` for each direction; alphas and betas are listed only for functions
// that take them.
std::vector<Activation> ActivationsOf(const Node& node, size_t directions,
                                      const std::vector<std::string>& defaults) {
  std::vector<std::string> names;
  const auto at = node.attributes.find("activations");
  if (at != node.attributes.end()) {
    names = at->second.strings;
  } else {
    for (size_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  if (names.size() != directions * defaults.size()) {
    throw Error("got " + std::to_string(names.size()) + " activations, expected " +
                std::to_string(directions * defaults.size()));
  }
  struct Defaults {
    const char* name;
    bool has_alpha, has_beta;
    float alpha, beta;
  };
  static constexpr Defaults kDefaults[] = {
      {"Affine", true, true, 1, 0},
      {"LeakyRelu", true, false, 0.01f, 0},
      {"ThresholdedRelu", true, false, 1, 0},
      {"ScaledTanh", true, true, 1, 1},
      {"HardSigmoid", true, true, 0.2f, 0.5f},
      {"Elu", true, false, 1, 0},
  };
  const std::vector<float> alphas = node.Floats("activation_alpha"), betas = node.Floats("activation_beta");
  size_t next_alpha = 0, next_beta = 0;
  std::vector<Activation> result;
  for (const std::string& name : names) {
    Activation activation{name, 0, 0};
    for (const Defaults& entry : kDefaults) {
      if (name != entry.name) continue;
      activation.alpha = entry.has_alpha && next_alpha < alphas.size() ? alphas[next_alpha++] : entry.alpha;
      activation.beta = entry.has_beta && next_beta < betas.size() ? betas[next_beta++] : entry.beta;
    }
    result.push_back(activation);
  }
  return result;
}

enum class Cell { kRnn, kGru, kLstm };

// Rows [begin, begin + rows) of a matrix with `depth` columns, packed as the right side of a product.
struct PackedRows {
  int64_t rows = 0, depth = 0;
  Tensor panels;

  PackedRows() = default;
  // weights: the whole input that the matrix is in.
  PackedRows(const EvalContext& c, const Tensor& weights, const float* matrix, int64_t begin, int64_t rows,
             int64_t depth)
      : rows(rows), depth(depth) {
    const float* first = matrix + begin * depth;
    const PackLayout layout{PackLayout::kRecurrent, {first - weights.data<float>(), rows, depth}};
    panels = PackShared(c, weights.data<float>(), layout, PackedSizeB(depth, rows),
                        [&](float* packed) { PackBParallel(c.pool, depth, rows, first, 1, depth, packed); });
  }

  // to[r] += sum over k of matrix[r, k] * x[k]; left: scratch of PackedSizeA(1, depth).
  void AddProduct(const float* x, float* to, float* left) const {
    const kernels::Table& table = kernels::Active();
    table.pack_a(1, depth, x, depth, 1, left);
    table.gemm(1, rows, depth, left, panels.data<float>(), to, rows, nullptr, nullptr, true,
               {kernels::kNoActivation, 0, 0});
  }
};

// One direction's. GRU's candidate is not computed together with its gates.
struct PackedWeights {
  PackedRows input, recurrent, candidate;
};

// One direction's weights and the arithmetic of a step.
struct Step {
  Cell cell;
  int64_t hidden;
  const PackedWeights& weights;
  const float *bias, *peephole;  // bias (both halves) and peephole may be null
  const Activation* f;
  float clip;  // infinity = none
  bool linear_before_reset, input_forget;

  void Clip(float* x, int64_t n) const {
    if (clip < std::numeric_limits<float>::infinity()) kernels::Active().clamp(x, -clip, clip, x, n);
  }

  // The state h (and c) of one sequence after a step. projected: W x + the bias's first half. Scratch:
  // `gates` of 5 * hidden, `left` of PackedSizeA(1, hidden).
  void Run(const float* projected, float* h, float* c, float* gates, float* left) const {
    const int64_t n = hidden, count = cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
    std::copy_n(projected, count * n, gates);
    const float* recurrent_bias = bias ? bias + count * n : nullptr;
    auto add_bias = [&](float* to, int64_t from, int64_t length) {
      for (int64_t i = 0; recurrent_bias && i < length; ++i) to[i] += recurrent_bias[from + i];
    };
    if (cell == Cell::kGru) return RunGru(h, gates, left, add_bias);
    weights.recurrent.AddProduct(h, gates, left);
    add_bias(gates, 0, count * n);
    if (cell == Cell::kRnn) {
      Clip(gates, n);
      f[0](gates, n);
      std::copy_n(gates, n, h);
      return;
    }
    float *in = gates, *out = gates + n, *forget = gates + 2 * n, *candidate = gates + 3 * n;
    for (int64_t i = 0; peephole && i < n; ++i) {
      in[i] += peephole[i] * c[i];
      forget[i] += peephole[2 * n + i] * c[i];
    }
    Clip(in, n);
    Clip(forget, 2 * n);  // and the candidate behind it
    f[0](in, n);
    f[0](forget, n);
    f[1](candidate, n);
    for (int64_t i = 0; i < n; ++i) {
      const float kept = input_forget ? 1 - in[i] : forget[i];
      c[i] = kept * c[i] + in[i] * candidate[i];
    }
    for (int64_t i = 0; peephole && i < n; ++i) out[i] += peephole[n + i] * c[i];
    Clip(out, n);
    f[0](out, n);
    std::copy_n(c, n, candidate);
    f[2](candidate, n);
    for (int64_t i = 0; i < n; ++i) h[i] = out[i] * candidate[i];
  }

  template <typename AddBias>
  void RunGru(float* h, float* gates, float* left, const AddBias& add_bias) const {
    const int64_t n = hidden;
    float *update = gates, *reset = gates + n, *candidate = gates + 2 * n, *part = gates + 3 * n;
    weights.recurrent.AddProduct(h, gates, left);
    add_bias(gates, 0, 2 * n);
    Clip(gates, 2 * n);
    f[0](gates, 2 * n);
    std::fill_n(part, n, 0.0f);
    if (linear_before_reset) {
      weights.candidate.AddProduct(h, part, left);
      add_bias(part, 2 * n, n);
      for (int64_t i = 0; i < n; ++i) candidate[i] += reset[i] * part[i];
    } else {
      for (int64_t i = 0; i < n; ++i) part[i] = reset[i] * h[i];
      weights.candidate.AddProduct(part, candidate, left);
      add_bias(candidate, 2 * n, n);
    }
    Clip(candidate, n);
    f[1](candidate, n);
    for (int64_t i = 0; i < n; ++i) h[i] = (1 - update[i]) * candidate[i] + update[i] * h[i];
  }
};

std::vector<PackedWeights> Pack(const EvalContext& c, Cell cell, const Tensor& w, const Tensor& r) {
  const int64_t rows = w.dim(1), hidden = r.dim(2), together = cell == Cell::kGru ? 2 * hidden : rows;
  std::vector<PackedWeights> packed;
  for (int64_t d = 0; d < w.dim(0); ++d) {
    const float* recurrent = r.data<float>() + d * rows * hidden;
    packed.push_back({{c, w, w.data<float>() + d * rows * w.dim(2), 0, rows, w.dim(2)},
                      {c, r, recurrent, 0, together, hidden},
                      {c, r, recurrent, together, rows - together, hidden}});
  }
  return packed;
}

// W x + the bias's first half for all steps of all sequences: rows in the order of x.
Tensor Project(EvalContext& c, const Tensor& x, const PackedRows& w, const float* bias) {
  const int64_t rows = x.dim(0) * x.dim(1), depth = x.dim(2);
  Tensor projected = c.scratch(DType::kFloat, {rows, w.rows});
  Tensor left = c.scratch(DType::kFloat, {PackedSizeA(rows, depth)});
  kernels::Active().pack_a(rows, depth, x.data<float>(), depth, 1, left.data<float>());
  PackedProduct product{
      rows, w.rows, depth, left.data<float>(), w.panels.data<float>(), projected.data<float>(), w.rows};
  product.bias_n = bias;
  RunProduct(c.pool, product);
  return projected;
}

// Inputs X W R B sequence_lens initial_h (LSTM: initial_c P); outputs Y Y_h (LSTM: Y_c).
void Evaluate(EvalContext& c, Cell cell, const std::vector<std::string>& defaults) {
  const Tensor x = c.in(0).ToFloat32(), w = c.in(1).ToFloat32(), r = c.in(2).ToFloat32();
  const int64_t gates = cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) throw Error("X, W and R must have three dimensions");
  const bool by_batch = c.node.Int("layout", 0) != 0;
  const int64_t batch = x.dim(by_batch ? 0 : 1), length = x.dim(by_batch ? 1 : 0), input = x.dim(2),
                directions = w.dim(0), hidden = r.dim(2);
  const std::string direction = c.node.String("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
    throw Error("unknown direction " + direction, "", "expected forward, reverse or bidirectional");
  }
  auto require = [](const Tensor& tensor, const char* name, const Shape& shape) {
    if (tensor.shape() != shape) {
      throw Error(std::string(name) + " has shape " + ToString(tensor.shape()) + ", expected " +
                  ToString(shape));
    }
  };
  require(w, "W", {direction == "bidirectional" ? 2 : 1, gates * hidden, input});
  require(r, "R", {directions, gates * hidden, hidden});
  auto optional = [&](size_t slot, const char* name, const Shape& shape) {
    if (!c.has(slot)) return Tensor();
    Tensor tensor = c.in(slot).ToFloat32();
    require(tensor, name, shape);
    return tensor;
  };
  const Shape state_shape = by_batch ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  const Tensor bias = optional(3, "B", {directions, 2 * gates * hidden});
  const Tensor first_h = optional(5, "initial_h", state_shape);
  Tensor first_c, peephole;
  if (cell == Cell::kLstm) {
    first_c = optional(6, "initial_c", state_shape);
    peephole = optional(7, "P", {directions, 3 * hidden});
  }
  std::vector<int64_t> lengths(static_cast<size_t>(batch), length);
  if (c.has(4)) {
    lengths = c.in(4).ToInts();
    if (static_cast<int64_t>(lengths.size()) != batch)
      throw Error("sequence_lens must have one element per sequence");
    for (int64_t& own : lengths) own = std::clamp<int64_t>(own, 0, length);
  }
  const std::vector<Activation> activations =
      ActivationsOf(c.node, static_cast<size_t>(directions), defaults);
  Tensor y = c.scratch(DType::kFloat, by_batch ? Shape{batch, length, directions, hidden}
                                               : Shape{length, directions, batch, hidden});
  Tensor last_h = c.scratch(DType::kFloat, state_shape), last_c = c.scratch(DType::kFloat, state_shape);
  std::fill_n(y.data<float>(), y.size(), 0.0f);  // what lies behind a sequence's end stays zero
  std::vector<PackedWeights> unkept;
  const bool keep = c.is_constant(1) && c.is_constant(2);
  std::vector<PackedWeights>& weights = keep ? c.state<std::vector<PackedWeights>>() : unkept;
  if (weights.empty()) weights = Pack(c, cell, w, r);
  std::vector<Tensor> projected;
  for (int64_t d = 0; d < directions; ++d) {
    projected.push_back(Project(c, x, weights[static_cast<size_t>(d)].input,
                                bias.defined() ? bias.data<float>() + d * 2 * gates * hidden : nullptr));
  }
  c.pool.ParallelFor(directions * batch, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> scratch(static_cast<size_t>(5 * hidden)),
        left(static_cast<size_t>(PackedSizeA(1, hidden)));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t d = i / batch, b = i % batch, state = (by_batch ? b * directions + d : i) * hidden;
      Step step{cell,
                hidden,
                weights[static_cast<size_t>(d)],
                bias.defined() ? bias.data<float>() + d * 2 * gates * hidden : nullptr,
                peephole.defined() ? peephole.data<float>() + d * 3 * hidden : nullptr,
                activations.data() + static_cast<size_t>(d) * defaults.size(),
                c.node.Float("clip", std::numeric_limits<float>::infinity()),
                c.node.Int("linear_before_reset", 0) != 0,
                c.node.Int("input_forget", 0) != 0};
      float *h = last_h.data<float>() + state, *cell_state = last_c.data<float>() + state;
      std::fill_n(h, hidden, 0.0f);
      std::fill_n(cell_state, hidden, 0.0f);
      if (first_h.defined()) std::copy_n(first_h.data<float>() + state, hidden, h);
      if (first_c.defined()) std::copy_n(first_c.data<float>() + state, hidden, cell_state);
      const bool backward = direction == "reverse" || d == 1;
      const int64_t own = lengths[static_cast<size_t>(b)];
      for (int64_t s = 0; s < own; ++s) {
        const int64_t t = backward ? own - 1 - s : s;
        const int64_t at = by_batch ? b * length + t : t * batch + b;
        step.Run(projected[static_cast<size_t>(d)].data<float>() + at * gates * hidden, h, cell_state,
                 scratch.data(), left.data());
        const int64_t row = by_batch ? (b * length + t) * directions + d : (t * directions + d) * batch + b;
        std::copy_n(h, hidden, y.data<float>() + row * hidden);
      }
    }
  });
  const DType dtype = c.in(0).dtype();
  if (c.wants(0)) SetFloatResult(c, 0, std::move(y), dtype);
  if (c.wants(1)) SetFloatResult(c, 1, std::move(last_h), dtype);
  if (cell == Cell::kLstm && c.wants(2)) SetFloatResult(c, 2, std::move(last_c), dtype);
}

void EvaluateLstm(EvalContext& c) { Evaluate(c, Cell::kLstm, {"Sigmoid", "Tanh", "Tanh"}); }
void EvaluateGru(EvalContext& c) { Evaluate(c, Cell::kGru, {"Sigmoid", "Tanh"}); }
void EvaluateRnn(EvalContext& c) { Evaluate(c, Cell::kRnn, {"Tanh"}); }

}  // namespace

std::vector<OperatorRow> RecurrentOperators() {
  return {
      {"", "LSTM", 7, kAnyLater, EvaluateLstm},
      {"", "GRU", 7, kAnyLater, EvaluateGru},
      {"", "RNN", 7, kAnyLater, EvaluateRnn},
  };
}

}  // namespace xslim
