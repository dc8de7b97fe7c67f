#include "quant/int8_io.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/json_text.h"
#include "base/log.h"

namespace xslim {
namespace {

// The parameters of a QuantizeLinear or DequantizeLinear; nullopt where they are not those of one tensor of
// 8-bit codes.
std::optional<CodedTensor> ParamsOf(const Graph& graph, const Node& pair) {
  const Tensor* const scale = graph.Constant(pair.input(1));
  const Tensor* const zero = graph.Constant(pair.input(2));
  if (scale == nullptr || scale->size() != 1 || zero == nullptr || zero->size() != 1) return std::nullopt;
  if (zero->dtype() != DType::kInt8 && zero->dtype() != DType::kUint8) return std::nullopt;
  CodedTensor coded;
  coded.scale = scale->data<float>()[0];
  coded.zero_point = zero->ToInts()[0];
  return coded;
}

DType CodesOf(const Graph& graph, const Node& pair) { return graph.Constant(pair.input(2))->dtype(); }

// What hands its only tensor on as it is, of any type.
bool MovesOne(const Node& node) {
  return node.IsOneOf({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"});
}

void SetType(Graph* graph, const std::vector<ValueId>& values, DType type) {
  for (ValueId id : values) graph->value(id).dtype = type;
}

// x -> data movement -> QuantizeLinear -> codes becomes x, the codes, -> data movement.
std::optional<CodedTensor> CodeInput(Graph* graph, ValueId id) {
  std::vector<ValueId> moved = {id};
  NodeId reader = graph->SoleUser(id);
  for (; reader != kNone && MovesOne(graph->node(reader)) && graph->node(reader).input(0) == moved.back();
       reader = graph->SoleUser(moved.back()))
    moved.push_back(graph->node(reader).outputs[0]);
  if (reader == kNone || !graph->node(reader).Is("QuantizeLinear")) return std::nullopt;
  const Node& quantize = graph->node(reader);
  std::optional<CodedTensor> coded = ParamsOf(*graph, quantize);
  const ValueId codes = quantize.outputs[0];
  if (!coded || graph->value(codes).is_output) return std::nullopt;
  const DType type = CodesOf(*graph, quantize);
  if (!graph->ReplaceUses(codes, moved.back())) return std::nullopt;
  graph->RemoveNode(reader);
  SetType(graph, moved, type);
  coded->name = graph->value(id).name;
  coded->is_input = true;
  return coded;
}

bool IsCaptured(const Graph& graph, ValueId id) { return graph.CapturedBySubgraph(graph.value(id).name); }

// codes -> DequantizeLinear -> data movement -> y becomes codes -> data movement -> y. Where nothing moves
// them the codes take the name of y, and inner readers of y keep the floats.
std::optional<CodedTensor> CodeOutput(Graph* graph, ValueId id, ValueId* output) {
  std::vector<ValueId> moved;  // from the end
  ValueId at = id;
  const Node* producer = graph->Producer(at);
  while (
      producer != nullptr && MovesOne(*producer) &&
      (at == id ? graph->value(at).uses.empty() && !IsCaptured(*graph, at) : graph->SoleUser(at) != kNone)) {
    moved.push_back(at);
    at = producer->input(0);
    producer = graph->Producer(at);
  }
  if (producer == nullptr || !producer->Is("DequantizeLinear")) return std::nullopt;
  const ValueId codes = producer->input(0);
  std::optional<CodedTensor> coded = ParamsOf(*graph, *producer);
  const Value& made = graph->value(codes);
  if (!coded || made.producer == kNone || made.is_output || made.is_input) return std::nullopt;
  coded->name = graph->value(id).name;
  const DType type = CodesOf(*graph, *producer);
  if (!moved.empty()) {
    graph->SetInput(graph->value(moved.back()).producer, 0, codes);
    SetType(graph, moved, type);
    return coded;
  }
  if (IsCaptured(*graph, id) || IsCaptured(*graph, codes)) return std::nullopt;
  graph->Rename(id, graph->UniqueName(coded->name + "_dequantized"));
  graph->Rename(codes, coded->name);
  Value& value = graph->value(codes);
  value.dtype = type;
  value.has_shape = graph->value(id).has_shape;
  value.dims = graph->value(id).dims;
  *output = codes;
  return coded;
}

}  // namespace

std::vector<CodedTensor> MakeIoInt8(Graph* exported) {
  std::vector<CodedTensor> coded;
  for (ValueId id : exported->FreeInputs()) {
    if (const auto input = CodeInput(exported, id)) coded.push_back(*input);
  }
  std::vector<ValueId> outputs = exported->outputs();
  for (ValueId& output : outputs) {
    if (std::count(exported->outputs().begin(), exported->outputs().end(), output) > 1) continue;
    if (const auto found = CodeOutput(exported, output, &output)) coded.push_back(*found);
  }
  const std::vector<ValueId> before = exported->outputs();
  for (ValueId id : before) exported->RemoveOutput(id);
  for (ValueId id : outputs) exported->AddOutput(id);
  exported->RemoveDead();
  for (const CodedTensor& tensor : coded) {
    exported->metadata["scale:" + tensor.name] = JsonNumber(tensor.scale);
    exported->metadata["zero_point:" + tensor.name] = std::to_string(tensor.zero_point);
  }
  return coded;
}

std::vector<std::string> FloatEnds(const Graph& exported) {
  std::vector<std::string> lines;
  for (ValueId id : exported.FreeInputs()) {
    const Value& input = exported.value(id);
    if (input.dtype != DType::kFloat) continue;
    std::string why = "it is not read by a QuantizeLinear alone";
    for (const Use& use : input.uses) {
      const Node& reader = exported.node(use.node);
      if (!reader.Is("QuantizeLinear")) why = reader.Title() + " reads it";
    }
    lines.push_back(StrCat("input ", input.name, " stays float: ", why));
  }
  for (ValueId id : exported.outputs()) {
    const Node* producer = exported.Producer(id);
    if (producer == nullptr || exported.value(id).dtype != DType::kFloat) continue;
    const Node* const maker = producer;
    while (MovesOne(*producer) && exported.Producer(producer->input(0)) != nullptr)
      producer = exported.Producer(producer->input(0));
    lines.push_back(StrCat("output ", exported.value(id).name, " stays float: ",
                           producer->Is("DequantizeLinear") ? "its numbers are read elsewhere, too"
                                                            : maker->Title() + " makes it"));
  }
  return lines;
}

std::string Describe(const CodedTensor& tensor) {
  return StrCat(tensor.is_input ? "input " : "output ", tensor.name, " holds codes: value = (code ",
                tensor.zero_point < 0 ? "+ " : "- ", std::abs(tensor.zero_point), ") * ",
                JsonNumber(tensor.scale));
}

}  // namespace xslim
