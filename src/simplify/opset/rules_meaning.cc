// Operators whose words stayed and whose meaning changed, operators that got another name, and values of
// attributes that came later.
#include <algorithm>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

Obstacle Changed(Site&) { return Refuse("its inputs mean something else there"); }

// ---- axes that count from the end, allowed since 11 (in older texts: not at all)
Obstacle CountFromFront(Site& site, int64_t rank_plus, const char* attribute) {
  const Node& node = site.node();
  if (!node.Has(attribute)) return std::nullopt;
  const bool one = node.attributes.at(attribute).kind == Attribute::Kind::kInt;
  std::vector<int64_t> axes = one ? std::vector<int64_t>{node.Int(attribute, 0)} : node.Ints(attribute);
  if (std::all_of(axes.begin(), axes.end(), [](int64_t a) { return a >= 0; })) return std::nullopt;
  const auto rank = site.rank(0);
  if (!rank) return Refuse("an axis counts from the end and the rank is not known");
  for (int64_t& axis : axes) axis += axis < 0 ? *rank + rank_plus : 0;
  site.Set(attribute, one ? Attribute::Int(axes[0]) : Attribute::Ints(axes));
  return std::nullopt;
}

Obstacle AxisFromFront(Site& site) { return CountFromFront(site, 0, "axis"); }
Obstacle AxesFromFront(Site& site) { return CountFromFront(site, 0, "axes"); }
Obstacle UnsqueezeFromFront(Site& site) {
  const auto more = site.node().Has("axes") ? site.node().Ints("axes").size() : 0;
  return CountFromFront(site, static_cast<int64_t>(more), "axes");
}
Obstacle SliceFromFront(Site& site) {
  const auto axes = site.ints(3);
  if (site.has(4)) {
    const auto steps = site.ints(4);
    if (!steps) return Refuse("its steps are not constant");
  }
  if (!site.has(3)) return std::nullopt;
  if (!axes) return Refuse("its axes are not constant");
  std::vector<int64_t> front = *axes;
  if (std::all_of(front.begin(), front.end(), [](int64_t a) { return a >= 0; })) return std::nullopt;
  const auto rank = site.rank(0);
  if (!rank) return Refuse("an axis counts from the end and the rank is not known");
  for (int64_t& axis : front) axis += axis < 0 ? *rank : 0;
  site.SetInput(3, site.List("axes", front));
  return std::nullopt;
}

// ---- Softmax, LogSoftmax, Hardmax: before 13 the axis cuts the shape in two and the rest is one row
Obstacle SoftmaxTo13(Site& site) {
  const int64_t axis = site.node().Int("axis", 1);
  const auto shape = site.shape(0);
  const int64_t rank = shape ? static_cast<int64_t>(shape->size()) : 0;
  const int64_t at = axis + (axis < 0 ? rank : 0);
  // All but one of the sizes behind the cut are 1: the same as one axis.
  if (axis == -1 || (shape && at >= 0 && at < rank)) {
    int64_t only = axis == -1 ? -1 : at;
    bool one = true;
    for (int64_t d = at, found = 0; axis != -1 && d < rank; ++d) {
      if ((*shape)[static_cast<size_t>(d)] == 1) continue;
      only = d;
      one = ++found == 1;
    }
    if (one) {
      site.Set("axis", Attribute::Int(only == rank - 1 ? -1 : only));
      return std::nullopt;
    }
  }
  const ValueId x = site.input(0);
  const ValueId dims = site.Add("Shape", {x});
  site.SetInput(0, site.Add("Flatten", {x}, {{"axis", Attribute::Int(axis)}}));
  site.Set("axis", Attribute::Int(-1));
  site.Insert("Reshape", {dims}, {});
  return std::nullopt;
}

Obstacle SoftmaxTo12(Site& site) {
  const int64_t axis = site.node().Int("axis", -1);
  const auto rank = site.rank(0);
  if (axis == -1 || (rank && axis == *rank - 1)) {
    site.Set("axis", Attribute::Int(axis));
    return std::nullopt;
  }
  if (!rank) return Refuse("it works on an inner axis and the rank is not known");
  std::vector<int64_t> swap;
  for (int64_t i = 0; i < *rank; ++i) swap.push_back(i);
  const int64_t at = axis + (axis < 0 ? *rank : 0);
  if (at < 0 || at >= *rank) return Refuse("its axis is not there");
  std::swap(swap[static_cast<size_t>(at)], swap.back());
  site.SetInput(0, site.Add("Transpose", {site.input(0)}, {{"perm", Attribute::Ints(swap)}}));
  site.Set("axis", Attribute::Int(*rank - 1));
  site.Insert("Transpose", {}, {{"perm", Attribute::Ints(swap)}});
  return std::nullopt;
}

// ---- before 8, Max, Min, Sum and Mean did not broadcast
Obstacle NoBroadcast(Site& site) {
  const auto first = site.shape(0);
  bool same = first && std::all_of(first->begin(), first->end(), [](int64_t d) { return d >= 0; });
  for (size_t i = 1; i < site.node().inputs.size(); ++i) same = same && site.shape(i) == first;
  if (same || site.node().inputs.size() == 1) return std::nullopt;
  if (!site.node().Is("Sum")) return Refuse("its inputs have different shapes, or ones that are not known");
  ValueId sum = site.input(0);
  const std::vector<ValueId> inputs = site.node().inputs;
  for (size_t i = 1; i + 1 < inputs.size(); ++i) sum = site.Add("Add", {sum, inputs[i]});
  site.Become("Add", {sum, inputs.back()});
  return std::nullopt;
}

// ---- constants
Obstacle ConstantTo11(Site& site) {
  const Node& node = site.node();
  Tensor value;
  const auto length = [](const auto& list) { return Shape{static_cast<int64_t>(list.size())}; };
  if (node.Has("value") || node.Has("sparse_value")) return std::nullopt;
  if (node.Has("value_float")) value = Tensor::Scalar<float>(node.Float("value_float", 0));
  if (node.Has("value_int")) value = Tensor::Scalar<int64_t>(node.Int("value_int", 0));
  if (node.Has("value_string")) value = Tensor::Strings({}, {node.String("value_string", "")});
  if (node.Has("value_floats"))
    value = Tensor::Of<float>(length(node.Floats("value_floats")), node.Floats("value_floats"));
  if (node.Has("value_ints"))
    value = Tensor::Of<int64_t>(length(node.Ints("value_ints")), node.Ints("value_ints"));
  if (node.Has("value_strings")) {
    const std::vector<std::string>& texts = node.attributes.at("value_strings").strings;
    value = Tensor::Strings(length(texts), texts);
  }
  site.Become("Constant", {}, {{"value", Attribute::OfTensor(value)}});
  return std::nullopt;
}

Obstacle ConstantOfShapeTo8(Site& site) {
  const Tensor* given = site.node().TensorOf("value");
  const Tensor value = given ? given->Reshaped({}) : Tensor::Scalar<float>(0);
  site.Become("Expand", {site.Constant("value", value), site.input(0)});
  return std::nullopt;
}

Obstacle PowTo11(Site& site) {
  if (site.type(0) == site.type(1)) return std::nullopt;
  if (site.type(0) == DType::kUndefined || site.type(1) == DType::kUndefined)
    return Refuse("its element types are not known");
  site.SetInput(
      1, site.Add("Cast", {site.input(1)}, {{"to", Attribute::Int(static_cast<int64_t>(site.type(0)))}}));
  return std::nullopt;
}

// ---- other names
Obstacle ToScatterElements(Site& site) {
  site.Become("ScatterElements", site.node().inputs, site.node().attributes);
  return std::nullopt;
}
Obstacle ToScatter(Site& site) {
  site.Become("Scatter", site.node().inputs, site.node().attributes);
  return std::nullopt;
}

// ---- inputs that may be left out since
Obstacle GemmTo10(Site& site) {
  if (site.has(2)) return std::nullopt;
  const auto zero = site.Scalar(site.type(0), 0);
  if (!zero) return Refuse("its element type is not known");
  site.SetInput(2, *zero);
  return std::nullopt;
}

// ---- attributes
Obstacle ShapeTo14(Site& site) {
  const int64_t start = site.node().Int("start", 0);
  const bool open = !site.node().Has("end");
  const int64_t end = site.node().Int("end", INT64_MAX);
  site.Erase("start");
  site.Erase("end");
  if (start == 0 && open) return std::nullopt;
  const ValueId first = site.List("start", {start}), last = site.List("end", {end});
  site.Insert("Slice", {first, last}, {});
  return std::nullopt;
}

Obstacle ReshapeTo13(Site& site) {
  if (site.node().Int("allowzero", 0) == 0) return std::nullopt;
  const auto shape = site.ints(1);
  if (!shape || std::count(shape->begin(), shape->end(), 0) != 0) return Refuse("allowzero with sizes of 0");
  site.Erase("allowzero");
  return std::nullopt;
}

Obstacle RoiAlignTo16(Site& site) {
  site.Set("coordinate_transformation_mode", Attribute::String("output_half_pixel"));
  return std::nullopt;
}
Obstacle RoiAlignTo15(Site& site) {
  const std::string mode = site.node().String("coordinate_transformation_mode", "half_pixel");
  if (mode != "output_half_pixel") return "coordinate_transformation_mode " + mode;
  site.Erase("coordinate_transformation_mode");
  return std::nullopt;
}

Obstacle GridSampleTo20(Site& site) {
  const std::string mode = site.node().String("mode", "bilinear");
  if (mode == "bilinear") site.Set("mode", Attribute::String("linear"));
  if (mode == "bicubic") site.Set("mode", Attribute::String("cubic"));
  return std::nullopt;
}
Obstacle GridSampleTo19(Site& site) {
  if (site.rank(0).value_or(4) != 4) return Refuse("its input is not 4-dimensional");
  const std::string mode = site.node().String("mode", "linear");
  if (mode == "linear") site.Set("mode", Attribute::String("bilinear"));
  if (mode == "cubic") site.Set("mode", Attribute::String("bicubic"));
  return std::nullopt;
}

// Dilations that do nothing.
Obstacle DropDilations(Site& site) {
  if (!site.node().Has("dilations")) return std::nullopt;
  const std::vector<int64_t> dilations = site.node().Ints("dilations");
  if (std::all_of(dilations.begin(), dilations.end(), [](int64_t d) { return d == 1; }))
    site.Erase("dilations");
  return std::nullopt;
}

// What a window that ceil_mode lets reach beyond the padding is divided by: all of its places in ONNX
// Runtime's operator before 19, those inside the padding since.
Obstacle SameCount(Site& site) {
  if (site.node().Int("ceil_mode", 0) != 0 && site.node().Int("count_include_pad", 0) != 0)
    return Refuse("ceil_mode together with count_include_pad means something else there");
  return std::nullopt;
}

Obstacle AveragePoolTo18(Site& site) {
  if (auto obstacle = SameCount(site)) return obstacle;
  return DropDilations(site);
}

// Inference has one output; statistics were outputs of training, which is an attribute since 14.
Obstacle OneOutput(Site& site) {
  for (size_t i = 1; i < site.node().outputs.size(); ++i) {
    if (site.used(i)) return Refuse("its training outputs are used");
  }
  while (site.node().outputs.size() > 1) site.DropLastOutput();
  return std::nullopt;
}

Obstacle CastLikeTo14(Site& site) {
  if (site.type(1) == DType::kUndefined) return Refuse("the element type of its input 1 is not known");
  site.Become("Cast", {site.input(0)}, {{"to", Attribute::Int(static_cast<int64_t>(site.type(1)))}});
  return std::nullopt;
}

// Not(Less) would be another thing for NaN.
Obstacle GreaterOrEqualTo11(Site& site) {
  const std::vector<ValueId> inputs = site.node().inputs;
  const ValueId more = site.Add("Greater", inputs);
  site.Become("Or", {more, site.Add("Equal", inputs)});
  return std::nullopt;
}
Obstacle LessOrEqualTo11(Site& site) {
  const std::vector<ValueId> inputs = site.node().inputs;
  const ValueId less = site.Add("Less", inputs);
  site.Become("Or", {less, site.Add("Equal", inputs)});
  return std::nullopt;
}

// start + delta * (0, 1, ...): the places of as many ones. ceil((limit - start) / delta) of them, counted in
// double for integers.
Obstacle RangeTo10(Site& site) {
  const DType type = site.type(0);
  if (type != DType::kFloat && type != DType::kDouble && type != DType::kInt32 && type != DType::kInt64)
    return Refuse("its element type is not known, or int16");
  const auto cast = [&site](ValueId value, DType to) {
    return site.Add("Cast", {value}, {{"to", Attribute::Int(static_cast<int64_t>(to))}});
  };
  const ValueId start = site.input(0), delta = site.input(2);
  const DType real = type == DType::kFloat ? DType::kFloat : DType::kDouble;
  const ValueId length = cast(site.Add("Sub", {site.input(1), start}), real);
  const ValueId steps = site.Add("Ceil", {site.Add("Div", {length, cast(delta, real)})});
  const ValueId count = cast(site.Add("Max", {steps, *site.Scalar(real, 0)}), DType::kInt64);
  const ValueId ones = site.Add("ConstantOfShape", {site.Add("Reshape", {count, site.List("one", {1})})},
                                {{"value", Attribute::OfTensor(Tensor::Of<int64_t>({1}, {1}))}});
  const ValueId places = site.Add("Squeeze", {site.Add("NonZero", {ones})}, {{"axes", Attribute::Ints({0})}});
  site.Become("Add", {start, site.Add("Mul", {cast(places, type), delta})});
  return std::nullopt;
}

// ---- values of attributes that came with an opset
Obstacle PadModes(Site& site) {
  return site.node().String("mode", "constant") == "wrap" ? Refuse("mode wrap") : std::nullopt;
}
Obstacle Reductions(Site& site) {
  const std::string reduction = site.node().String("reduction", "none");
  return reduction == "max" || reduction == "min" ? Obstacle("reduction " + reduction) : std::nullopt;
}

}  // namespace

std::vector<Rule> MeaningRules() {
  std::vector<Rule> rules = {
      {8, "Max", nullptr, NoBroadcast},
      {8, "Min", nullptr, NoBroadcast},
      {8, "Sum", nullptr, NoBroadcast},
      {8, "Mean", nullptr, NoBroadcast},
      {9, "Scan", Changed, Changed},
      {9, "ConstantOfShape", nullptr, ConstantOfShapeTo8},
      {10, "MaxPool", nullptr, DropDilations},
      {11, "Scatter", ToScatterElements, nullptr},
      {11, "ScatterElements", nullptr, AxisFromFront},
      {11, "ScatterElements", nullptr, ToScatter},
      {11, "Gemm", nullptr, GemmTo10},
      {11, "Range", nullptr, RangeTo10},
      {11, "Slice", nullptr, SliceFromFront},
      {11, "Squeeze", nullptr, AxesFromFront},
      {11, "Unsqueeze", nullptr, UnsqueezeFromFront},
      {12, "Constant", nullptr, ConstantTo11},
      {12, "Pow", nullptr, PowTo11},
      {12, "GreaterOrEqual", nullptr, GreaterOrEqualTo11},
      {12, "LessOrEqual", nullptr, LessOrEqualTo11},
      {13, "Softmax", SoftmaxTo13, SoftmaxTo12},
      {13, "LogSoftmax", SoftmaxTo13, SoftmaxTo12},
      {13, "Hardmax", SoftmaxTo13, SoftmaxTo12},
      {14, "BatchNormalization", OneOutput, OneOutput},
      {14, "Reshape", nullptr, ReshapeTo13},
      {15, "Shape", nullptr, ShapeTo14},
      {15, "CastLike", nullptr, CastLikeTo14},
      {16, "RoiAlign", RoiAlignTo16, RoiAlignTo15},
      {18, "ScatterElements", nullptr, Reductions},
      {18, "ScatterND", nullptr, Reductions},
      {18, "LpPool", nullptr, DropDilations},
      {19, "Pad", nullptr, PadModes},
      {19, "AveragePool", SameCount, AveragePoolTo18},
      {20, "GridSample", GridSampleTo20, GridSampleTo19},
  };
  for (const char* type : {"ArgMax", "ArgMin", "Concat", "Flatten", "Gather", "Hardmax", "LogSoftmax",
                           "Softmax", "Split", "Compress"}) {
    rules.push_back({11, type, nullptr, AxisFromFront});
  }
  for (const char* type : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                           "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}) {
    rules.push_back({11, type, nullptr, AxesFromFront});
  }
  return rules;
}

}  // namespace xslim::opset
