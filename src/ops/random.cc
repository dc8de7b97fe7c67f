// Random numbers. Every evaluation of a node gives the same ones: they start from its seed, or from its name
// where it has none, so that runs of a model, float and quantized, can be compared.
#include "base/random.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/precise_math.h"
#include "xslim/error.h"

namespace xslim {
namespace {

Random Generator(const Node& node) {
  uint64_t seed = 0xcbf29ce484222325u;  // FNV-1a
  const std::string text = node.Has("seed") ? std::to_string(node.Float("seed", 0)) : node.name;
  for (const char letter : text) seed = (seed ^ static_cast<unsigned char>(letter)) * 0x100000001b3u;
  return Random(seed);
}

// Each element is draw(random, i) in the output's type.
template <typename Draw>
void Fill(EvalContext& c, DType dtype, const Shape& shape, const Draw& draw) {
  Tensor& y = c.out(0, dtype, shape);
  Random random = Generator(c.node);
  if (dtype == DType::kBool) {
    for (int64_t i = 0; i < y.size(); ++i) y.data<bool>()[i] = draw(random, i) != 0;
    return;
  }
  VisitNumbers(dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < y.size(); ++i) y.data<T>()[i] = Store<T>(draw(random, i));
  });
}

double Unit(Random& random) { return static_cast<double>(random.Unit()); }

void Uniform(EvalContext& c, DType dtype, const Shape& shape) {
  const double low = c.node.Float("low", 0), high = c.node.Float("high", 1);
  Fill(c, dtype, shape, [&](Random& random, int64_t) { return low + (high - low) * Unit(random); });
}

// Box and Muller's transform of two uniform numbers.
void Normal(EvalContext& c, DType dtype, const Shape& shape) {
  const double mean = c.node.Float("mean", 0), scale = c.node.Float("scale", 1);
  Fill(c, dtype, shape, [&](Random& random, int64_t) {
    const double radius = std::sqrt(-2 * precise::Log(1 - Unit(random)));
    return mean + scale * radius * precise::Cos(2 * std::numbers::pi * Unit(random));
  });
}

using Filler = void (*)(EvalContext&, DType, const Shape&);
template <Filler kFill>
void OfShape(EvalContext& c) {
  kFill(c, static_cast<DType>(c.node.Int("dtype", 1)), c.node.Ints("shape"));
}
template <Filler kFill>
void Like(EvalContext& c) {
  const DType own = c.in(0).dtype();
  kFill(c, static_cast<DType>(c.node.Int("dtype", static_cast<int64_t>(own))), c.in(0).shape());
}

void Bernoulli(EvalContext& c) {
  const Tensor& x = c.in(0);
  const Tensor chance = x.ToFloat32();
  const auto dtype = static_cast<DType>(c.node.Int("dtype", static_cast<int64_t>(x.dtype())));
  Fill(c, dtype, x.shape(),
       [&](Random& random, int64_t i) { return random.Unit() < chance.data<float>()[i] ? 1.0 : 0.0; });
}

// Input [batch, classes] of logarithms of weights, output [batch, sample_size] of classes.
void Multinomial(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32();
  const int64_t samples = c.node.Int("sample_size", 1);
  if (x.rank() != 2 || x.dim(1) == 0 || samples < 0)
    throw Error("input has shape " + ToString(x.shape()), "", "expected [batch, classes]");
  const int64_t classes = x.dim(1);
  std::vector<double> weight(static_cast<size_t>(x.size()));  // summed up along each row
  for (int64_t row = 0; row < x.dim(0); ++row) {
    const float* from = x.data<float>() + row * classes;
    float largest = from[0];
    for (int64_t k = 1; k < classes; ++k) largest = from[k] > largest ? from[k] : largest;
    double total = 0;
    for (int64_t k = 0; k < classes; ++k)
      weight[static_cast<size_t>(row * classes + k)] = total +=
          precise::Exp(static_cast<double>(from[k]) - largest);
  }
  const auto dtype = static_cast<DType>(c.node.Int("dtype", static_cast<int64_t>(DType::kInt32)));
  Fill(c, dtype, {x.dim(0), samples}, [&](Random& random, int64_t i) {
    const auto first = weight.begin() + i / samples * classes, last = first + classes;
    const auto at = std::upper_bound(first, last, Unit(random) * *(last - 1));
    return static_cast<double>(std::min<int64_t>(at - first, classes - 1));
  });
}

}  // namespace

std::vector<OperatorRow> RandomOperators() {
  return {
      {"", "RandomUniform", 1, kAnyLater, OfShape<Uniform>},
      {"", "RandomUniformLike", 1, kAnyLater, Like<Uniform>},
      {"", "RandomNormal", 1, kAnyLater, OfShape<Normal>},
      {"", "RandomNormalLike", 1, kAnyLater, Like<Normal>},
      {"", "Bernoulli", 15, kAnyLater, Bernoulli},
      {"", "Multinomial", 7, kAnyLater, Multinomial},
  };
}

}  // namespace xslim
