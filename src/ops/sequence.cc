// Sequences and optionals. A sequence is one value that holds tensors (Tensor::Sequence); an optional with a
// value is that value itself.
#include <algorithm>

#include "ops/copy.h"
#include "ops/graph_runner.h"
#include "xslim/error.h"

namespace xslim {
namespace {

void SequenceEmpty(EvalContext& c) { c.set_out(0, Tensor::Sequence({})); }

// Throws Error unless all items have one element type.
Tensor MakeSequence(std::vector<Tensor> items) {
  for (const Tensor& item : items) {
    if (item.dtype() != items[0].dtype()) {
      throw Error(std::string("a sequence of ") + NameOf(items[0].dtype()) + " cannot hold " +
                  NameOf(item.dtype()));
    }
  }
  return Tensor::Sequence(std::move(items));
}

void SequenceConstruct(EvalContext& c) {
  std::vector<Tensor> items;
  for (size_t i = 0; i < c.num_inputs(); ++i) items.push_back(c.in(i));
  c.set_out(0, MakeSequence(std::move(items)));
}

// The position in input `slot`, -n..n-1 (or n where an item may be put behind the last one).
int64_t Position(const EvalContext& c, size_t slot, int64_t count, int64_t last) {
  const Tensor& given = c.in(slot);
  if (given.size() != 1) throw Error("position of shape " + ToString(given.shape()), "", "expected a scalar");
  const int64_t position = given.ToInts()[0];
  if (position < -count || position > last) {
    throw Error("position " + std::to_string(position) + " is outside of a sequence of " +
                std::to_string(count));
  }
  return position < 0 ? position + count : position;
}

void SequenceAt(EvalContext& c) {
  const std::vector<Tensor>& items = c.sequence(0).items();
  const auto count = static_cast<int64_t>(items.size());
  c.set_out(0, items[static_cast<size_t>(Position(c, 1, count, count - 1))]);
}

void SequenceInsert(EvalContext& c) {
  std::vector<Tensor> items = c.sequence(0).items();
  const auto count = static_cast<int64_t>(items.size());
  items.insert(items.begin() + (c.has(2) ? Position(c, 2, count, count) : count), c.in(1));
  c.set_out(0, MakeSequence(std::move(items)));
}

void SequenceErase(EvalContext& c) {
  std::vector<Tensor> items = c.sequence(0).items();
  const auto count = static_cast<int64_t>(items.size());
  if (items.empty()) throw Error("the sequence is empty");
  items.erase(items.begin() + (c.has(1) ? Position(c, 1, count, count - 1) : count - 1));
  c.set_out(0, Tensor::Sequence(std::move(items)));
}

void SequenceLength(EvalContext& c) { c.set_out(0, Tensor::Scalar<int64_t>(c.sequence(0).size())); }

// Without `split` parts of one element, whose axis keepdims=0 removes; a scalar is the size of all parts but
// a shorter last one.
void SplitToSequence(EvalContext& c) {
  const Tensor& x = c.in(0);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank()), n = x.dim(axis);
  std::vector<int64_t> sizes;
  if (c.has(1) && c.in(1).rank() == 1) {
    sizes = c.in(1).ToInts();
  } else {
    const int64_t each = c.has(1) ? c.in(1).ToInts().at(0) : 1;
    if (each < 1) throw Error("split is " + std::to_string(each), "", "expected a positive size");
    for (int64_t begin = 0; begin < n; begin += std::min(each, n - begin))
      sizes.push_back(std::min(each, n - begin));
  }
  if (!AddUpTo(sizes, n)) {
    throw Error("split " + ToString(sizes) + " does not fit axis " + std::to_string(axis) + " of shape " +
                ToString(x.shape()));
  }
  const bool squeeze = !c.has(1) && c.node.Int("keepdims", 1) == 0;
  std::vector<Tensor> items;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    Tensor part = Part(c, x, axis, begin, size);
    Shape shape = part.shape();
    if (squeeze) shape.erase(shape.begin() + axis);
    items.push_back(part.Reshaped(std::move(shape)));
    begin += size;
  }
  c.set_out(0, Tensor::Sequence(std::move(items)));
}

void ConcatFromSequence(EvalContext& c) {
  const std::vector<Tensor>& items = c.sequence(0).items();
  if (items.empty()) throw Error("the sequence is empty", "", "expected at least one tensor to join");
  const int64_t axis = c.node.Int("axis", 0);
  c.set_out(0, c.node.Int("new_axis", 0) != 0 ? Stacked(c, items, axis) : Joined(c, items, axis));
}

// The body runs once for each item of the first sequence; sequences give their item, tensors themselves.
void SequenceMap(EvalContext& c) {
  const std::vector<Tensor>& first = c.sequence(0).items();
  const Graph& body = BodyOf(c, "body");
  std::vector<std::vector<Tensor>> results(body.outputs().size());
  for (size_t t = 0; t < first.size(); ++t) {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.num_inputs(); ++i) {
      const Tensor& input = c.any_in(i);
      if (input.dtype() != DType::kSequence) {
        inputs.push_back(input);
        continue;
      }
      if (input.size() != c.sequence(0).size()) {
        throw Error("sequences of " + std::to_string(first.size()) + " and " + std::to_string(input.size()) +
                    " items cannot be mapped together");
      }
      inputs.push_back(input.items()[t]);
    }
    std::vector<Tensor> outputs = RunBody(c, body, inputs);
    for (size_t i = 0; i < results.size(); ++i) results[i].push_back(std::move(outputs[i]));
  }
  for (size_t i = 0; i < results.size() && i < c.node.outputs.size(); ++i)
    c.set_out(i, MakeSequence(std::move(results[i])));
}

void Optional(EvalContext& c) { c.set_out(0, c.has(0) ? c.any_in(0) : Tensor::EmptyOptional()); }

void OptionalHasElement(EvalContext& c) {
  Tensor& y = c.out(0, DType::kBool, {});
  y.data<bool>()[0] = c.has(0) && c.any_in(0).dtype() != DType::kEmptyOptional;
}

void OptionalGetElement(EvalContext& c) {
  if (c.any_in(0).dtype() == DType::kEmptyOptional) throw Error("the optional has no value");
  c.set_out(0, c.any_in(0));
}

}  // namespace

std::vector<OperatorRow> SequenceOperators() {
  return {
      {"", "SequenceEmpty", 11, kAnyLater, SequenceEmpty},
      {"", "SequenceConstruct", 11, kAnyLater, SequenceConstruct},
      {"", "SequenceAt", 11, kAnyLater, SequenceAt},
      {"", "SequenceInsert", 11, kAnyLater, SequenceInsert},
      {"", "SequenceErase", 11, kAnyLater, SequenceErase},
      {"", "SequenceLength", 11, kAnyLater, SequenceLength},
      {"", "SplitToSequence", 11, kAnyLater, SplitToSequence},
      {"", "ConcatFromSequence", 11, kAnyLater, ConcatFromSequence},
      {"", "SequenceMap", 17, kAnyLater, SequenceMap},
      {"", "Optional", 15, kAnyLater, Optional},
      {"", "OptionalHasElement", 15, kAnyLater, OptionalHasElement},
      {"", "OptionalGetElement", 15, kAnyLater, OptionalGetElement},
  };
}

}  // namespace xslim
