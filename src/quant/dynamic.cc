#include "quant/dynamic.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "quant/bodies.h"
#include "quant/emit.h"
#include "quant/mapped.h"
#include "quant/scale.h"
#include "quant/weight_codes.h"
#include "quant/weight_sites.h"

namespace xslim {
namespace {

bool IsAttention(const Node& node) { return node.domain == "com.microsoft" && node.op_type == "Attention"; }

// The last two axes exchanged: the weight of a Gemm with transB as [k, n].
Tensor Transposed(const Tensor& x, ThreadPool& pool) {
  constexpr int64_t kTile = 16;  // rows and columns that are turned together: a cache line each
  const int64_t rows = x.dim(-2), columns = x.dim(-1);
  Shape shape = x.shape();
  std::swap(shape[shape.size() - 2], shape[shape.size() - 1]);
  Tensor y(DType::kFloat, shape);
  const int64_t strips = (columns + kTile - 1) / kTile,
                matrices = x.size() / std::max<int64_t>(rows * columns, 1);
  pool.ParallelFor(matrices * strips, 1, [&](int64_t from, int64_t to, int) {
    for (int64_t piece = from; piece < to; ++piece) {
      const int64_t matrix = piece / strips * rows * columns, first = piece % strips * kTile;
      const float* in = x.data<float>() + matrix;
      float* out = y.data<float>() + matrix;
      for (int64_t tile = 0; tile < rows; tile += kTile) {
        for (int64_t c = first; c < std::min(first + kTile, columns); ++c) {
          for (int64_t r = tile; r < std::min(tile + kTile, rows); ++r)
            out[c * rows + r] = in[r * columns + c];
        }
      }
    }
  });
  ForgetPages(x);
  return y;
}

// Whether com.microsoft Attention can become a product and MultiHeadAttention: no past, and a mask that is
// absent or [batch, keys].
bool IsPlainAttention(const Graph& graph, const Node& node) {
  if (node.Int("do_rotary", 0) != 0 || node.input(2) == kNone || node.outputs.size() != 1) return false;
  for (size_t slot = 4; slot < node.inputs.size(); ++slot) {
    if (node.input(slot) != kNone) return false;
  }
  const ValueId mask = node.input(3);
  return mask == kNone || (graph.value(mask).has_shape && graph.value(mask).dims.size() == 2);
}

class Rewriter {
 public:
  Rewriter(const Scope& scope, const DynamicOptions& options, TensorNames* names, ThreadPool* pool,
           DynamicOutcome* outcome)
      : scope_(scope),
        graph_(*scope.graph),
        options_(options),
        pool_(*pool),
        outcome_(*outcome),
        emit_(scope.graph, names) {}

  void Rewrite(const std::vector<WeightSite>& sites) {
    if (options_.contrib) CountReaders(sites);
    const std::set<NodeId> lstms = DynamicLstms(sites);
    for (const WeightSite& site : sites) {
      const Node& node = graph_.node(site.node);
      if (lstms.count(site.node)) {
        if (site.slot == 2) continue;  // done with the other weight
        RewriteLstm(site.node);
        ++outcome_.dynamic;
        continue;
      }
      if (site.form == WeightForm::kProduct && BecomesProduct(node, site)) {
        RewriteProduct(site.node);
        ++outcome_.dynamic;
        continue;
      }
      if (site.form == WeightForm::kTable) {
        RewriteTable(site);
      } else if (options_.weight_bits == 4 && (node.Is("MatMul") || node.Is("Gemm")) && site.slot == 1) {
        RewriteBlocked(site);
      } else {
        RewriteWeight(site);
      }
      ++outcome_.weight_only;
    }
    graph_.RemoveDead();
  }

 private:
  bool BecomesProduct(const Node& node, const WeightSite& site) const {
    if (options_.weight_bits == 4) return false;
    if (IsAttention(node)) return options_.contrib || IsPlainAttention(graph_, node);
    return ConstantIn(scope_, node.input(1 - site.slot)) == nullptr;
  }

  // Those whose two weights become integers; DynamicQuantizeLSTM knows no other layout than the first.
  std::set<NodeId> DynamicLstms(const std::vector<WeightSite>& sites) const {
    std::set<NodeId> once, both;
    if (!options_.contrib || options_.weight_bits == 4) return both;
    for (const WeightSite& site : sites) {
      const Node& node = graph_.node(site.node);
      if (node.Is("LSTM") && node.Int("layout", 0) == 0 && !once.insert(site.node).second)
        both.insert(site.node);
    }
    return both;
  }

  // DynamicQuantizeMatMul quantizes its activation itself: it is for activations of one product.
  void CountReaders(const std::vector<WeightSite>& sites) {
    for (const WeightSite& site : sites) {
      if (site.form == WeightForm::kProduct) ++readers_[graph_.node(site.node).input(0)];
    }
  }

  struct Quantized {
    ValueId codes, scale, zero_point;
  };

  // The activation's codes: one DynamicQuantizeLinear for all its products.
  const Quantized& Activation(ValueId value) {
    const auto [at, fresh] = activations_.try_emplace(value);
    if (fresh) {
      const std::string name = graph_.value(value).name;
      at->second = {emit_.AddValue(name + "_quantized", DType::kUint8),
                    emit_.AddValue(name + "_scale", DType::kFloat),
                    emit_.AddValue(name + "_zero_point", DType::kUint8)};
      emit_.AddNode("DynamicQuantizeLinear", name + "_DynamicQuantizeLinear", {value},
                    {at->second.codes, at->second.scale, at->second.zero_point});
    }
    return at->second;
  }

  // a (float) times the columns of `weight`; written to `output`.
  void EmitProduct(const std::string& name, ValueId a, const ColumnCodes& columns, ValueId bias,
                   ValueId output) {
    const ValueId b = emit_.AddConstant(name + "_weight_quantized", columns.codes);
    const ValueId b_scale = emit_.AddConstant(name + "_weight_scale", columns.scale);
    // Optional, but ONNX Runtime's rewrite of int8 weights (session.x64quantprecision) takes it for given.
    const Shape per_column = columns.codes.rank() == 2 ? columns.scale.shape() : Shape{};
    const ValueId b_zero = emit_.AddConstant(
        name + "_weight_zero_point",
        Tensor::Of<int8_t>(per_column,
                           std::vector<int8_t>(static_cast<size_t>(ElementCount(per_column)), 0)));
    if (options_.contrib && readers_[a] == 1 && columns.codes.rank() == 2) {
      std::vector<ValueId> inputs{a, b, b_scale, b_zero};
      const bool vector = bias != kNone && IsVector(bias, columns.codes.dim(1));
      if (vector) inputs.push_back(bias);
      const bool added = bias == kNone || vector;
      const ValueId product = added ? output : emit_.AddValue(name + "_product", DType::kFloat);
      emit_.AddContribNode("DynamicQuantizeMatMul", name, std::move(inputs), {product});
      if (!added) emit_.AddNode("Add", name + "_bias", {product, bias}, {output});
      return;
    }
    const Quantized quantized = Activation(a);
    const ValueId sums = emit_.AddValue(name + "_int32", DType::kInt32);
    emit_.AddNode("MatMulInteger", name + "_MatMulInteger",
                  {quantized.codes, b, quantized.zero_point, b_zero}, {sums});
    const ValueId floats = emit_.AddValue(name + "_float", DType::kFloat);
    emit_.AddNode("Cast", name + "_Cast", {sums}, {floats},
                  {{"to", Attribute::Int(static_cast<int64_t>(DType::kFloat))}});
    const ValueId scale = emit_.AddValue(name + "_scale", DType::kFloat);
    emit_.AddNode("Mul", name + "_scales", {quantized.scale, b_scale}, {scale});
    const ValueId product = bias == kNone ? output : emit_.AddValue(name + "_product", DType::kFloat);
    emit_.AddNode("Mul", name + "_rescale", {floats, scale}, {product});
    if (bias != kNone) emit_.AddNode("Add", name + "_bias", {product, bias}, {output});
  }

  bool IsVector(ValueId id, int64_t size) const {
    const Tensor* constant = ConstantIn(scope_, id);
    return constant != nullptr && constant->rank() == 1 && constant->size() == size;
  }

  void RewriteProduct(NodeId id) {
    const Node node = graph_.node(id);
    const Tensor weight = *ConstantIn(scope_, node.input(1));
    if (IsAttention(node)) {
      if (options_.contrib) return RewriteToQAttention(node, weight);
      return RewriteAttention(node, weight);
    }
    graph_.RemoveNode(id);
    if (node.Is("MatMul"))
      return EmitProduct(node.name, node.input(0), EncodeColumns(weight, options_.full_range, pool_), kNone,
                         node.outputs[0]);
    ValueId a = node.input(0), bias = node.input(2);
    if (node.Int("transA", 0) != 0) {
      const ValueId turned = emit_.AddValue(node.name + "_transposed", DType::kFloat);
      emit_.AddNode("Transpose", node.name + "_Transpose", {a}, {turned},
                    {{"perm", Attribute::Ints({1, 0})}});
      a = turned;
    }
    ColumnCodes columns =
        EncodeColumns(node.Int("transB", 0) ? Transposed(weight, pool_) : weight, options_.full_range, pool_);
    const float alpha = node.Float("alpha", 1), beta = node.Float("beta", 1);
    for (int64_t i = 0; i < columns.scale.size(); ++i) columns.scale.data<float>()[i] *= alpha;
    if (bias != kNone && beta != 1) {
      const ValueId scaled = emit_.AddValue(node.name + "_beta_c", DType::kFloat);
      emit_.AddNode("Mul", node.name + "_beta",
                    {bias, emit_.AddConstant(node.name + "_beta_value", Tensor::Scalar<float>(beta))},
                    {scaled});
      bias = scaled;
    }
    EmitProduct(node.name, a, columns, bias, node.outputs[0]);
  }

  // Attention(x, w, b, mask) = MultiHeadAttention(split(x w), b, mask).
  void RewriteAttention(const Node& node, const Tensor& weight) {
    const int64_t width = weight.dim(1);
    std::vector<int64_t> sizes = node.Ints("qkv_hidden_sizes");
    if (sizes.empty()) sizes.assign(3, width / 3);
    graph_.RemoveNode(node.id);
    const ValueId product = emit_.AddValue(node.name + "_qkv", DType::kFloat);
    EmitProduct(node.name, node.input(0), EncodeColumns(weight, options_.full_range, pool_), kNone, product);
    std::vector<ValueId> parts;
    for (const char* part : {"_q", "_k", "_v"})
      parts.push_back(emit_.AddValue(node.name + part, DType::kFloat));
    emit_.AddNode("Split", node.name + "_Split",
                  {product, emit_.AddConstant(node.name + "_sizes", Tensor::Of<int64_t>({3}, sizes))}, parts,
                  {{"axis", Attribute::Int(-1)}});
    std::map<std::string, Attribute> attributes;
    for (const char* name : {"num_heads", "unidirectional", "scale", "mask_filter_value"}) {
      const auto at = node.attributes.find(name);
      if (at != node.attributes.end()) attributes.insert(*at);
    }
    std::vector<ValueId> inputs = parts;
    inputs.push_back(node.input(2));
    if (node.input(3) != kNone) inputs.push_back(node.input(3));
    emit_.AddContribNode("MultiHeadAttention", node.name, std::move(inputs), {node.outputs[0]}, attributes);
  }

  void RewriteToQAttention(const Node& node, const Tensor& weight) {
    const ColumnCodes columns = EncodeColumns(weight, options_.full_range, pool_);
    graph_.RemoveNode(node.id);
    const Quantized quantized = Activation(node.input(0));
    emit_.AddContribNode(
        "QAttention", node.name,
        {quantized.codes, emit_.AddConstant(node.name + "_weight_quantized", columns.codes), node.input(2),
         quantized.scale, emit_.AddConstant(node.name + "_weight_scale", columns.scale), node.input(3),
         quantized.zero_point},
        node.outputs, node.attributes);
  }

  // W [directions, 4 h, inputs] and R [directions, 4 h, h] are given transposed, with a scale per column.
  void RewriteLstm(NodeId id) {
    const Node node = graph_.node(id);
    graph_.RemoveNode(id);
    std::vector<ValueId> inputs = node.inputs;
    inputs.resize(8, kNone);
    for (size_t slot : {1, 2}) {
      const Tensor weight = *ConstantIn(scope_, node.inputs[slot]);
      const ColumnCodes columns = EncodeColumns(Transposed(weight, pool_), options_.full_range, pool_);
      const Shape flat{weight.dim(0), weight.dim(1)};
      Tensor zeros(DType::kInt8, flat);
      std::fill_n(zeros.data<int8_t>(), zeros.size(), int8_t{0});
      const std::string name = node.name + (slot == 1 ? "_W" : "_R");
      inputs[slot] = emit_.AddConstant(name + "_quantized", columns.codes);
      inputs.push_back(emit_.AddConstant(name + "_scale", columns.scale.Reshaped(flat)));
      inputs.push_back(emit_.AddConstant(name + "_zero_point", zeros));
    }
    std::map<std::string, Attribute> attributes = node.attributes;
    attributes.erase("layout");
    emit_.AddContribNode("DynamicQuantizeLSTM", node.name, std::move(inputs), node.outputs,
                         std::move(attributes));
  }

  // One set of codes for all readers of a weight along the same axis.
  void RewriteWeight(const WeightSite& site) {
    const ValueId weight = graph_.node(site.node).input(site.slot);
    const auto [at, fresh] = dequantized_.try_emplace({weight, site.axis}, kNone);
    if (fresh) {
      const Tensor& constant = *ConstantIn(scope_, weight);
      const QuantParams params = SymmetricAlongAxis(constant, site.axis, kMinFreeScale);
      at->second = emit_.AddDequantized(
          graph_.value(weight).name,
          graph_.node(site.node).Is("Conv") ? EncodeFilters(constant, params, pool_)
                                            : EncodeInt8(constant, params),
          Tensor::Of<float>({static_cast<int64_t>(params.scale.size())}, params.scale), kNone, site.axis, 0);
    }
    graph_.SetInput(site.node, site.slot, at->second);
  }

  void RewriteBlocked(const WeightSite& site) {
    const ValueId weight = graph_.node(site.node).input(site.slot);
    const Tensor& constant = *ConstantIn(scope_, weight);
    const int64_t rank = constant.rank();
    const int axis = static_cast<int>(site.axis == rank - 1 ? rank - 2 : rank - 1);  // the inner dimension
    const auto [at, fresh] = dequantized_.try_emplace({weight, axis}, kNone);
    if (fresh) {
      const BlockCodes blocks =
          EncodeBlocks4(constant, axis, options_.weight_block, options_.weight_zero_points, pool_);
      const std::string name = graph_.value(weight).name;
      const ValueId zeros =
          blocks.zero_points.defined() ? emit_.AddConstant(name + "_zero_point", blocks.zero_points) : kNone;
      at->second = emit_.AddDequantized(name, blocks.codes, blocks.scale, zeros, axis, options_.weight_block);
    }
    graph_.SetInput(site.node, site.slot, at->second);
  }

  // Rows are looked up as codes and rescaled: y = float(codes[i]) * scale[i], scale [.., rows, ..1].
  void RewriteTable(const WeightSite& site) {
    const Node node = graph_.node(site.node);
    const ValueId table = node.input(0);
    const std::string name = graph_.value(table).name;
    const auto [at, fresh] = tables_.try_emplace({table, site.axis});
    if (fresh) {
      const Tensor& constant = *ConstantIn(scope_, table);
      const QuantParams params = SymmetricAlongAxis(constant, site.axis, kMinFreeScale);
      Shape shape(constant.shape().size(), 1);
      shape[static_cast<size_t>(site.axis)] = constant.dim(site.axis);
      at->second = {emit_.AddConstant(name + "_quantized", EncodeInt8(constant, params)),
                    emit_.AddConstant(name + "_scale", Tensor::Of<float>(shape, params.scale))};
    }
    const auto [codes, scales] = at->second;
    graph_.RemoveNode(node.id);
    const ValueId rows = emit_.AddValue(node.name + "_rows", DType::kInt8);
    const ValueId scale = emit_.AddValue(node.name + "_scales", DType::kFloat);
    const ValueId floats = emit_.AddValue(node.name + "_float", DType::kFloat);
    emit_.AddNode("Gather", node.name, {codes, node.input(1)}, {rows}, node.attributes);
    emit_.AddNode("Gather", node.name + "_scale", {scales, node.input(1)}, {scale}, node.attributes);
    emit_.AddNode("Cast", node.name + "_Cast", {rows}, {floats},
                  {{"to", Attribute::Int(static_cast<int64_t>(DType::kFloat))}});
    emit_.AddNode("Mul", node.name + "_Mul", {floats, scale}, {node.outputs[0]});
  }

  const Scope& scope_;
  Graph& graph_;
  const DynamicOptions& options_;
  ThreadPool& pool_;
  DynamicOutcome& outcome_;
  Emitter emit_;
  std::map<ValueId, Quantized> activations_;
  std::map<ValueId, int> readers_;
  std::map<std::pair<ValueId, int>, ValueId> dequantized_;
  std::map<std::pair<ValueId, int>, std::pair<ValueId, ValueId>> tables_;
};

}  // namespace

int OpsetForDynamic(Graph* graph, const DynamicOptions& options, IgnoreList* ignored) {
  int needed = 0;
  ForEachScope(graph, [&](const Scope& scope) {
    LeftList left;
    for (const WeightSite& site : FindWeightSites(scope, ignored, &left)) {
      const Node& node = scope.graph->node(site.node);
      const bool product = site.form == WeightForm::kProduct;
      int opset = site.form == WeightForm::kTable ? 11 : 13;
      if (product && options.weight_bits != 4) opset = IsAttention(node) ? 13 : 11;
      if (product && options.weight_bits == 4 && !IsAttention(node)) opset = 21;
      needed = std::max(needed, opset);
    }
  });
  return needed;
}

DynamicOutcome QuantizeDynamically(Graph* graph, const DynamicOptions& options, IgnoreList* ignored,
                                   ThreadPool& pool) {
  DynamicOutcome outcome;
  TensorNames names(*graph);
  ForEachScope(graph, [&](const Scope& scope) {
    Rewriter(scope, options, &names, &pool, &outcome).Rewrite(FindWeightSites(scope, ignored, &outcome.left));
    // A model imports the domains of its bodies.
    if (scope.graph->opset_imports.count("com.microsoft")) graph->opset_imports.emplace("com.microsoft", 1);
  });
  graph->RemoveDead();
  return outcome;
}

}  // namespace xslim
