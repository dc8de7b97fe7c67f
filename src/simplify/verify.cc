#include "simplify/verify.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/random.h"
#include "ops/operator.h"
#include "runtime/executor.h"
#include "simplify/check_model.h"
#include "simplify/shape_check.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr uint64_t kSeed = 20260401;
constexpr double kMostFlipped = 1e-3;
constexpr int kMostRounds = 10;
constexpr double kMostRoundings = 4;  // that much of what Rounded() does is none of a pass's doing
// Of Rounded(), as far as they are needed: where one number outgrows all others (Exp), or two change places
// (NonMaxSuppression, TopK), a single draw may move it as little as it likes.
constexpr int kMostDraws = 8;
// Elements of all inputs together; a model that needs more is not run for the check.
constexpr int64_t kMostElements = int64_t{1} << 26;
constexpr int64_t kMostSteps = 2000;  // of loops in one run: what is random may be a trip count

// How the open questions about inputs are answered in one try.
struct Guess {
  int64_t batch, size;  // of symbolic dimensions: the first, the others
  uint64_t below;       // integers are in [0, below)
};

// The first is taken that the graph runs with and that tells something: with few samples, a spectrum of none
// is computed. Where there is no such one, the first that the graph runs with.
constexpr Guess kGuesses[] = {{1, 16, 8}, {1, 64, 8}, {1, 224, 8}, {1, 8, 2},   {1, 1, 2},
                              {1, 32, 1}, {2, 2, 2},  {1, 3, 2},   {1, 640, 2}, {1, 128, 2}};

bool IsMask(const std::string& name) { return name.find("mask") != std::string::npos; }

Shape ShapeFor(const Value& value, const Guess& guess) {
  Shape shape;
  for (size_t axis = 0; axis < value.dims.size(); ++axis) {
    const int64_t size = value.dims[axis].size;
    shape.push_back(size >= 0 ? size : axis == 0 ? guess.batch : guess.size);
  }
  return shape;
}

Tensor RandomTensor(const Value& value, const Shape& shape, const Guess& guess, Random* random) {
  Tensor tensor(value.dtype, shape);
  const uint64_t below = IsMask(value.name) ? 2 : guess.below;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const float unit = random->Unit();  // one draw per element for every type
    const float real = 4 * unit - 2;
    const uint64_t whole = static_cast<uint64_t>(unit * static_cast<float>(below));
    switch (value.dtype) {
      case DType::kFloat:
        tensor.data<float>()[i] = real;
        break;
      case DType::kDouble:
        tensor.data<double>()[i] = static_cast<double>(real);
        break;
      case DType::kFloat16:
        tensor.data<Half>()[i] = ToHalf(real);
        break;
      case DType::kBFloat16:
        tensor.data<BFloat16>()[i] = ToBFloat16(real);
        break;
      case DType::kBool:
        tensor.data<bool>()[i] = unit < 0.5f;
        break;
      case DType::kInt8:
      case DType::kUint8:
        tensor.raw()[i] = static_cast<std::byte>(whole);
        break;
      case DType::kInt16:
        tensor.data<int16_t>()[i] = static_cast<int16_t>(whole);
        break;
      case DType::kUint16:
        tensor.data<uint16_t>()[i] = static_cast<uint16_t>(whole);
        break;
      case DType::kInt32:
        tensor.data<int32_t>()[i] = static_cast<int32_t>(whole);
        break;
      case DType::kUint32:
        tensor.data<uint32_t>()[i] = static_cast<uint32_t>(whole);
        break;
      case DType::kInt64:
        tensor.data<int64_t>()[i] = static_cast<int64_t>(whole);
        break;
      case DType::kUint64:
        tensor.data<uint64_t>()[i] = whole;
        break;
      default:
        throw Error(std::string("inputs of type ") + NameOf(value.dtype) + " are not made up", value.name);
    }
  }
  return tensor;
}

bool AllSizesDeclared(const Graph& graph) {
  for (ValueId id : graph.FreeInputs()) {
    for (const Dim& dim : graph.value(id).dims) {
      if (dim.size < 0) return false;
    }
  }
  return true;
}

std::vector<Tensor> RandomInputs(const Graph& graph, const Guess& guess, uint64_t seed) {
  Random random(seed);
  std::vector<Tensor> inputs;
  int64_t elements = 0;
  for (ValueId id : graph.FreeInputs()) {
    const Value& value = graph.value(id);
    if (value.dtype == DType::kUndefined || !value.has_shape)
      throw Error("type or rank of the input is not declared", value.name);
    const Shape shape = ShapeFor(value, guess);
    elements += ElementCount(shape);
    if (elements > kMostElements) throw Error("the inputs are too large to be made up", value.name);
    inputs.push_back(RandomTensor(value, shape, guess, &random));
  }
  return inputs;
}

double ElementOf(const Tensor& tensor, int64_t i) {
  return tensor.dtype() == DType::kDouble ? tensor.data<double>()[i] : tensor.data<float>()[i];
}

Tensor Readable(const Tensor& tensor) {
  return tensor.dtype() == DType::kDouble ? tensor : tensor.ToFloat32();
}

// Finite, and not the same number everywhere.
bool TellsSomething(const Tensor& tensor) {
  if (tensor.dtype() == DType::kSequence)
    return std::any_of(tensor.items().begin(), tensor.items().end(), TellsSomething);
  if (!tensor.is_tensor()) return false;
  if (!IsFloating(tensor.dtype())) return tensor.size() > 0 && tensor.dtype() != DType::kString;
  const Tensor numbers = Readable(tensor);
  bool varied = numbers.size() == 1;
  for (int64_t i = 0; i < numbers.size(); ++i) {
    if (!std::isfinite(ElementOf(numbers, i))) return false;
    varied = varied || ElementOf(numbers, i) != ElementOf(numbers, 0);
  }
  return varied;
}

// Largest difference of finite elements.
double Distance(const Tensor& a, const Tensor& b) {
  double distance = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double apart = std::fabs(ElementOf(a, i) - ElementOf(b, i));
    if (std::isfinite(apart)) distance = std::max(distance, apart);
  }
  return distance;
}

// Elements of equally many that are not the same.
int64_t Flipped(const Tensor& a, const Tensor& b) {
  const size_t size = SizeOf(a.dtype());
  int64_t flipped = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const size_t at = static_cast<size_t>(i) * size;
    flipped += !std::equal(a.raw() + at, a.raw() + at + size, b.raw() + at);
  }
  return flipped;
}

// Whether sizes differ only along axes where rounding changes them, too: how many there are of something
// (NonZero) may hang on a last bit.
bool DifferByRounding(const Shape& got, const Shape& wanted, const Shape& rounded) {
  if (got.size() != wanted.size() || rounded.size() != wanted.size()) return false;
  for (size_t axis = 0; axis < wanted.size(); ++axis) {
    if (got[axis] != wanted[axis] && rounded[axis] == wanted[axis]) return false;
  }
  return true;
}

// `rounded`: the same output after the rounding of inputs and weights; undefined where that is not known.
std::string Difference(const Tensor& got, const Tensor& wanted, const Tensor& rounded) {
  if (!wanted.defined()) return "";  // depends on an operator that cannot be computed
  if (got.dtype() != wanted.dtype())
    return StrCat("is ", NameOf(got.dtype()), " instead of ", NameOf(wanted.dtype()));
  const bool known = rounded.defined() && rounded.shape() == wanted.shape();
  if (got.shape() != wanted.shape()) {
    if (rounded.defined() && DifferByRounding(got.shape(), wanted.shape(), rounded.shape())) return "";
    return "has shape " + ToString(got.shape()) + " instead of " + ToString(wanted.shape());
  }
  if (wanted.dtype() == DType::kSequence) {
    for (size_t i = 0; i < wanted.items().size(); ++i) {
      const bool drawn = rounded.defined() && i < rounded.items().size();
      const std::string difference =
          Difference(got.items()[i], wanted.items()[i], drawn ? rounded.items()[i] : Tensor());
      if (!difference.empty()) return StrCat("item ", i, " ", difference);
    }
    return "";
  }
  if (!wanted.is_tensor()) return "";  // an empty optional
  if (got.dtype() == DType::kString) return got.strings() == wanted.strings() ? "" : "differs";
  if (!IsFloating(got.dtype())) {
    if (got.SameBytes(wanted)) return "";
    const int64_t flipped = Flipped(got, wanted);
    if (static_cast<double>(flipped) <= kMostFlipped * static_cast<double>(got.size())) return "";
    if (known &&
        static_cast<double>(flipped) <= kMostRoundings * static_cast<double>(Flipped(rounded, wanted)))
      return "";
    return StrCat("differs in ", flipped, " of ", Counted(got.size(), "element"));
  }
  const Tensor a = Readable(got), b = Readable(wanted);
  for (int64_t i = 0; i < a.size(); ++i) {
    const double x = ElementOf(a, i), y = ElementOf(b, i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    if (!std::isfinite(x) || !std::isfinite(y)) return StrCat("is ", x, " instead of ", y, " in element ", i);
  }
  const double difference = Distance(a, b);
  double largest = 0;
  for (int64_t i = 0; i < b.size(); ++i) {
    if (std::isfinite(ElementOf(b, i))) largest = std::max(largest, std::fabs(ElementOf(b, i)));
  }
  double tolerance = kVerifyTolerance;
  if (got.dtype() == DType::kFloat16) tolerance = 1e-2;
  if (got.dtype() == DType::kBFloat16) tolerance = 8e-2;
  if (difference <= tolerance * largest) return "";
  if (known && difference <= kMostRoundings * Distance(Readable(rounded), b)) return "";
  return StrCat("differs by ", difference, ", its largest number is ", largest);
}

// Whether an operator takes a size from the value: rounding it would change shapes, not numbers.
bool ScalesShapes(const Graph& graph, ValueId id) {
  const std::vector<Use>& uses = graph.value(id).uses;
  return std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
    const Node& node = graph.node(use.node);
    return (node.Is("Resize") || node.Is("Upsample")) && use.slot > 0;
  });
}

// Every float moved by one unit of its 23rd bit, up or down at random.
Tensor Rounded(const Tensor& tensor, Random* random) {
  Tensor moved = tensor.Clone();
  for (int64_t i = 0; i < moved.size(); ++i) {
    float& x = moved.data<float>()[i];
    x += random->Below(2) != 0 ? x * 0x1p-23f : -x * 0x1p-23f;
  }
  return moved;
}

}  // namespace

Reference::Reference(const Graph& graph, ThreadPool& pool, int samples)
    : graph_(graph), pool_(pool), skip_unknown_(!FindUnknown(graph).empty()) {
  std::vector<int> telling(graph.outputs().size(), 0);
  try {
    Executor executor(graph, pool, {.skip_unknown = skip_unknown_, .most_steps = kMostSteps});
    const Guess* fits = nullptr;
    for (const Guess& guess : kGuesses) {
      bool running = false;
      try {
        std::vector<Tensor> inputs = RandomInputs(graph, guess, kSeed);
        running = true;
        std::vector<Tensor> results = executor.Run(inputs);
        const bool tells =
            AllSizesDeclared(graph) || std::any_of(results.begin(), results.end(), TellsSomething);
        if (fits != nullptr && !tells) continue;
        fits = &guess;
        results_.clear();
        inputs_.clear();
        results_.push_back(std::move(results));
        inputs_.push_back(std::move(inputs));
        if (tells) break;
      } catch (const TooManySteps&) {
        throw;  // other inputs would take as long
      } catch (const Unsupported& error) {
        if (obstacle_.empty()) obstacle_ = error.what();
      } catch (const Error& error) {
        fails_ = fails_ || running;
        if (fits) continue;
        if (running && !impossible_) Judge(error);
        if (impossible_) break;
        if (obstacle_.empty()) obstacle_ = error.what();
      }
    }
    if (!fits) {
      if (impossible_) return;
      fails_ = fails_ && AllSizesDeclared(graph);
      return;
    }
    fails_ = false;
    obstacle_.clear();
    for (int i = 1; i < samples; ++i) {
      Guess guess = *fits;
      guess.batch = 1 + i % 2;  // another batch shows a size that was wrongly fixed
      try {
        std::vector<Tensor> inputs = RandomInputs(graph, guess, kSeed + static_cast<uint64_t>(i));
        results_.push_back(executor.Run(inputs));
        inputs_.push_back(std::move(inputs));
      } catch (const TooManySteps&) {
        break;  // further inputs would take as long
      } catch (const Error&) {
        continue;  // the model itself may be bound to one batch
      }
    }
    // Results live in the executor's buffers; they are compared after it is gone.
    for (auto& sample : results_) {
      for (size_t i = 0; i < sample.size(); ++i) {
        sample[i] = sample[i].Clone();
        telling[i] += TellsSomething(sample[i]);
      }
    }
  } catch (const Error& error) {
    obstacle_ = error.what();
    Judge(error);  // one that computing the constants met
    return;
  } catch (const std::exception& error) {
    obstacle_ = error.what();
    return;
  }
  outputs_ = static_cast<int>(std::count_if(telling.begin(), telling.end(), [](int n) { return n > 0; }));
  if (outputs_ > 0) return;
  obstacle_ = "no output is finite and varied on random inputs";
  if (skip_unknown_) obstacle_ += "; " + Describe(FindUnknown(graph).front());
}

Reference::~Reference() = default;

// Whether the error is one of every run. Too little memory and too many steps are matters of this machine,
// and what is not supported may be elsewhere.
void Reference::Judge(const Error& error) {
  if (dynamic_cast<const Unsupported*>(&error) || dynamic_cast<const OutOfMemory*>(&error) ||
      dynamic_cast<const TooManySteps*>(&error))
    return;
  Graph initialized = graph_;  // values keep their ids; Determined() asks for initializers
  ConstantsToInitializers(&initialized, {});
  const ShapeCheck shapes(initialized);
  int found = 0;
  bool determined = true;
  for (NodeId id : initialized.Order()) {
    const Node& node = initialized.node(id);
    if (!error.where().starts_with(node.Title() + " (")) continue;
    ++found;
    determined = determined && shapes.Determined(initialized, node);
  }
  if (found == 0 || !determined) return;
  impossible_ = true;
  obstacle_ = error.what();
}

const std::vector<Tensor>& Reference::AfterRounding(size_t sample, int draw) const {
  const auto known = rounded_.find({sample, draw});
  if (known != rounded_.end()) return known->second;
  std::vector<Tensor>& results = rounded_[{sample, draw}];
  Random random(kSeed + static_cast<uint64_t>(draw));
  Graph graph = graph_;
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id) {
    const Tensor* constant = graph.Constant(id);
    if (constant != nullptr && constant->dtype() == DType::kFloat && !ScalesShapes(graph, id))
      graph.SetConstant(id, Rounded(*constant, &random));
  }
  std::vector<Tensor> inputs = inputs_[sample];
  for (Tensor& input : inputs) {
    if (input.dtype() == DType::kFloat) input = Rounded(input, &random);
  }
  try {
    Executor executor(graph, pool_, {.skip_unknown = skip_unknown_, .most_steps = kMostSteps});
    for (const Tensor& result : executor.Run(inputs)) results.push_back(result.Clone());
  } catch (const Error&) {  // of the rounded graph alone: a trip count or an index that rounding moved
    results.assign(graph_.outputs().size(), Tensor());
  }
  return results;
}

std::string Reference::Differs(const Graph& changed) const {
  try {
    Executor executor(changed, pool_, {.skip_unknown = skip_unknown_, .most_steps = kMostSteps});
    for (size_t sample = 0; sample < inputs_.size(); ++sample) {
      const std::vector<Tensor> got = executor.Run(inputs_[sample]);
      for (size_t i = 0; i < got.size(); ++i) {
        std::string difference = Difference(got[i], results_[sample][i], {});
        for (int draw = 0; draw < kMostDraws && !difference.empty(); ++draw)
          difference = Difference(got[i], results_[sample][i], AfterRounding(sample, draw)[i]);
        if (!difference.empty())
          return "output " + changed.value(changed.outputs()[i]).name + " " + difference;
      }
    }
  } catch (const std::exception& error) {
    return StrCat("the graph no longer runs: ", error.what());
  }
  return "";
}

namespace {

// The passes one by one; each that changes the outputs is taken back and left out.
std::vector<std::string> Undo(Graph* graph, const Graph& original, SimplifyOptions options,
                              const Reference& reference) {
  std::vector<std::string> undone;
  *graph = original;
  bool changed = true;
  for (int round = 0; round < kMostRounds && changed; ++round) {
    changed = false;
    for (const Pass& pass : Passes()) {
      if (options.skip.count(pass.name)) continue;
      SimplifyOptions alone = options;
      for (const Pass& other : Passes()) {
        if (other.name != pass.name) alone.skip.insert(other.name);
      }
      const Graph before = *graph;
      if (Simplify(graph, alone) == 0) continue;
      const std::string difference = reference.Differs(*graph);
      if (difference.empty()) {
        changed = true;
        continue;
      }
      LogWarning("simplifier pass ", pass.name, " is undone, it changes the result: ", difference);
      *graph = before;
      options.skip.insert(pass.name);
      undone.push_back(pass.name);
    }
  }
  return undone;
}

}  // namespace

std::vector<std::string> SimplifyVerified(Graph* graph, const SimplifyOptions& options, ThreadPool& pool,
                                          int samples, bool asked) {
  const Graph original = *graph;
  const Reference reference(original, pool, samples);
  if (reference.impossible()) throw InvalidModel(reference.obstacle());
  Simplify(graph, options);
  if (!reference.obstacle().empty()) {
    if (reference.fails()) {
      LogWarning(
          "the model does not run on random inputs of its declared shapes, so that nothing is verified: ",
          reference.obstacle());
    } else if (asked) {
      LogWarning("not verified: ", reference.obstacle());
    } else {
      LogInfo("not verified: ", reference.obstacle());
    }
    return {};
  }
  std::vector<std::string> undone;
  const std::string difference = reference.Differs(*graph);
  if (!difference.empty()) {
    LogWarning("simplifying changed the result, looking for the pass: ", difference);
    undone = Undo(graph, original, options, reference);
  }
  LogInfo("verified: ", reference.outputs(), " of ", Counted(original.outputs().size(), "output"),
          " equal within ", kVerifyTolerance, " relative",
          reference.rounding_mattered() ? " or as rounding of the weights moves them" : "", " on ",
          Counted(reference.samples(), "random input"));
  return undone;
}

}  // namespace xslim
