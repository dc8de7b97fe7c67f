// One rule per operator family: element type and shape of the outputs from those of the inputs, with the
// conditions of the ONNX operator texts. What a rule cannot say stays unknown. Here: the table, elementwise
// operators, and what makes sizes or constants; the other families have files of their own.
#include "simplify/shape_rules.h"

#include <algorithm>

#include "simplify/same_shape.h"

namespace xslim {
namespace {

void IdentityRule(RuleContext& c) { c.outputs[0] = c.in(0); }

void BooleanLikeFirst(RuleContext& c) {
  SameAsFirst(c);
  c.outputs[0].dtype = DType::kBool;
}

void CastRule(RuleContext& c) {
  SameAsFirst(c);
  TensorFacts& out = c.outputs[0];
  out.dtype = static_cast<DType>(c.node.Int("to", 0));
  // Sizes are far below what int32 holds (TensorFlow computes them in it).
  if (out.dtype == DType::kInt64 || out.dtype == DType::kInt32) out.content = c.in(0).content;
}

// Element i of the content, a single element repeated.
const Size& At(const Sizes& content, size_t i) { return content.size() == 1 ? content[0] : content[i]; }

std::optional<Size> Arithmetic(RuleContext& c, const Size& a, const Size& b) {
  // Sums and products of sizes stay far below this; beyond it are markers such as a Slice's end.
  constexpr int64_t kLargest = int64_t{1} << 40;
  const auto marks = [](const Size& size) { return size.factor > kLargest || size.factor < -kLargest; };
  if (marks(a) || marks(b)) return std::nullopt;
  const std::string& op = c.node.op_type;
  const bool numbers = a.is_number() && b.is_number();
  const bool sure = c.symbols.NeverNegative(a) && c.symbols.NeverNegative(b);
  const std::string text = op + "(" + c.symbols.Text(a) + "," + c.symbols.Text(b) + ")";
  if (op == "Add") {
    if (a.Is(0)) return b;
    if (b.Is(0)) return a;
    return numbers ? Number(a.factor + b.factor) : c.symbols.Expression(text, sure);
  }
  if (op == "Sub") {
    if (b.Is(0)) return a;
    return numbers ? Number(a.factor - b.factor) : c.symbols.Expression(text, false);
  }
  if (op == "Mul") return c.symbols.Multiply(a, b);
  if (op == "Max" || op == "Min") {
    if (a == b) return a;
    if (numbers) return Number(op == "Max" ? std::max(a.factor, b.factor) : std::min(a.factor, b.factor));
    if (a.Is(0) && c.symbols.NeverNegative(b)) return op == "Max" ? b : a;
    if (b.Is(0) && c.symbols.NeverNegative(a)) return op == "Max" ? a : b;
    return c.symbols.Expression(text, sure);
  }
  if (op == "Div") {
    if (b.Is(0)) return std::nullopt;
    if (numbers) return Number(a.factor / b.factor);
    if (const auto even = c.symbols.Divide(a, b)) return even;
    return c.symbols.Expression(text, sure);
  }
  if (op == "Equal") {
    if (numbers || a == b) return Number(a == b);
    const auto differ = [&](const Size& x, const Size& y) {
      return x.is_number() && x.factor < 0 && c.symbols.NeverNegative(y);
    };
    if (differ(a, b) || differ(b, a)) return Number(0);
  }
  return std::nullopt;
}

void BinaryRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(0).dtype != DType::kUndefined ? c.in(0).dtype : c.in(1).dtype;
  out.dims = Broadcast(c, {&c.in(0), &c.in(1)});
  if (c.node.Is("Equal")) out.dtype = DType::kBool;
  if (!c.in(0).content || !c.in(1).content || !out.dims) return;
  const Sizes &a = *c.in(0).content, &b = *c.in(1).content;
  if (a.size() != b.size() && a.size() != 1 && b.size() != 1) return;
  Sizes result;
  for (size_t i = 0; i < (a.empty() || b.empty() ? 0 : std::max(a.size(), b.size())); ++i) {
    const auto element = Arithmetic(c, At(a, i), At(b, i));
    if (!element) return;
    result.push_back(*element);
  }
  out.content = std::move(result);
}

void BroadcastRule(RuleContext& c) {
  std::vector<const TensorFacts*> inputs;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) inputs.push_back(&c.in(i));
  c.outputs[0].dtype = c.in(0).dtype;
  c.outputs[0].dims = Broadcast(c, inputs);
}

// Max and Min of sizes: einsum asks for the larger one of two batches.
void ExtremeRule(RuleContext& c) { c.node.inputs.size() == 2 ? BinaryRule(c) : BroadcastRule(c); }

void CompareRule(RuleContext& c) {
  BroadcastRule(c);
  c.outputs[0].dtype = DType::kBool;
}

void WhereRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = c.in(1).dtype;
  out.dims = Broadcast(c, {&c.in(0), &c.in(1), &c.in(2)});
  if (!out.dims || !c.in(0).content || !c.in(1).content || !c.in(2).content) return;
  const auto condition = AsNumbers(*c.in(0).content);
  if (!condition || condition->empty()) return;
  const Sizes &yes = *c.in(1).content, &no = *c.in(2).content;
  if (yes.empty() || no.empty()) return;
  const size_t count = std::max({condition->size(), yes.size(), no.size()});
  for (size_t size : {condition->size(), yes.size(), no.size()}) {
    if (size != 1 && size != count) return;
  }
  Sizes result;
  for (size_t i = 0; i < count; ++i) {
    const bool take = (*condition)[condition->size() == 1 ? 0 : i] != 0;
    result.push_back(take ? At(yes, i) : At(no, i));
  }
  out.content = std::move(result);
}

void ShapeRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  out.dtype = DType::kInt64;
  if (!c.in(0).dims) return;
  const int64_t rank = static_cast<int64_t>(c.in(0).dims->size());
  const auto clamp = [rank](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = clamp(c.node.Int("start", 0)), end = std::max(start, clamp(c.node.Int("end", rank)));
  out.content = Sizes(c.in(0).dims->begin() + start, c.in(0).dims->begin() + end);
  out.dims = Sizes{Number(end - start)};
}

void SizeRule(RuleContext& c) {
  c.outputs[0].dtype = DType::kInt64;
  c.outputs[0].dims = Sizes{};
  if (c.in(0).dims) c.outputs[0].content = Sizes{Product(c, *c.in(0).dims)};
}

void ConstantOfShapeRule(RuleContext& c) {
  TensorFacts& out = c.outputs[0];
  const Tensor* value = c.node.TensorOf("value");
  out.dtype = value ? value->dtype() : DType::kFloat;
  if (!c.in(0).content) return;
  out.dims = c.in(0).content;
  const auto numbers = AsNumbers(*out.dims);
  if (!value || value->size() != 1 || out.dtype != DType::kInt64 || !numbers || numbers->size() > 1) return;
  const int64_t count = numbers->empty() ? 1 : (*numbers)[0];
  if (count >= 0 && count <= 64) out.content = Sizes(static_cast<size_t>(count), Number(value->ToInts()[0]));
}

void DequantizeRule(RuleContext& c) {
  SameAsFirst(c);
  c.outputs[0].dtype = c.node.Has("output_dtype") ? DType::kUndefined : c.in(1).dtype;
}

void QuantizeRule(RuleContext& c) {
  SameAsFirst(c);
  c.outputs[0].dtype = c.has(2)                     ? c.in(2).dtype
                       : c.node.Has("output_dtype") ? DType::kUndefined
                                                    : DType::kUint8;
}

void ConstantRule(RuleContext& c) {
  if (const Tensor* value = c.node.TensorOf("value")) {
    c.outputs[0].dtype = value->dtype();
    c.outputs[0].dims = Numbers(value->shape());
  }
}

const ShapeRules& Rules() {
  static const ShapeRules rules = [] {
    ShapeRules table;
    const auto add = [&table](RuleFunction rule, std::initializer_list<const char*> types) {
      for (const char* type : types) table.emplace(type, rule);
    };
    add(IdentityRule, {"Identity"});
    add(CastRule, {"Cast"});
    add(WhereRule, {"Where"});
    add(ShapeRule, {"Shape"});
    add(SizeRule, {"Size"});
    add(ConstantOfShapeRule, {"ConstantOfShape"});
    add(DequantizeRule, {"DequantizeLinear"});
    add(QuantizeRule, {"QuantizeLinear"});
    add(ConstantRule, {"Constant"});
    for (const std::string& type : SameTypeAndShape()) table.emplace(type, SameAsFirst);
    add(BooleanLikeFirst, {"Not", "IsNaN", "IsInf"});
    add(BinaryRule, {"Add", "Sub", "Mul", "Div", "Equal"});
    add(BroadcastRule, {"Pow", "Mod", "Sum", "Mean", "BitShift"});
    add(ExtremeRule, {"Max", "Min"});
    add(CompareRule, {"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor"});
    AddMoveRules(&table);
    AddComputeRules(&table);
    return table;
  }();
  return rules;
}

}  // namespace

std::optional<size_t> AxisIn(int64_t axis, size_t rank) {
  if (axis < 0) axis += static_cast<int64_t>(rank);
  if (axis < 0 || axis >= static_cast<int64_t>(rank)) return std::nullopt;
  return static_cast<size_t>(axis);
}

std::optional<Sizes> Broadcast(const RuleContext& c, const std::vector<const TensorFacts*>& inputs) {
  size_t rank = 0;
  for (const TensorFacts* input : inputs) {
    if (!input->dims) return std::nullopt;
    rank = std::max(rank, input->dims->size());
  }
  Sizes result(rank, Number(1));
  for (size_t axis = 0; axis < rank; ++axis) {
    for (const TensorFacts* input : inputs) {
      const size_t missing = rank - input->dims->size();
      if (axis < missing) continue;
      const Size& size = (*input->dims)[axis - missing];
      if (size.Is(1) || size == result[axis]) continue;
      if (result[axis].Is(1)) {
        result[axis] = size;
      } else if (size.is_number() && !result[axis].is_number()) {
        result[axis] = size;  // the other one is this number or 1
      } else if (!size.is_number() && result[axis].is_number()) {
        continue;
      } else {
        result[axis] = c.FreshDim(0, axis);
      }
    }
  }
  return result;
}

void SameAsFirst(RuleContext& c) {
  c.outputs[0].dtype = c.in(0).dtype;
  c.outputs[0].dims = c.in(0).dims;
}

Size Product(const RuleContext& c, const Sizes& sizes) {
  Size product = Number(1);
  for (const Size& size : sizes) product = c.symbols.Multiply(product, size);
  return product;
}

void ApplyShapeRule(RuleContext& context) {
  const auto rule = Rules().find(context.node.op_type);
  if (rule == Rules().end() || context.outputs.empty()) return;
  rule->second(context);
}

}  // namespace xslim
