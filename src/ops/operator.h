// What the program knows of an operator: one registry row each, in one file per family.
#ifndef XSLIM_OPS_OPERATOR_H_
#define XSLIM_OPS_OPERATOR_H_

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "graph/graph.h"
#include "xslim/error.h"

namespace xslim {

// The operator is known, but not this use of it: not the model's fault, so a run goes on without its result.
class Unsupported : public Error {
 public:
  using Error::Error;
};

class GraphRunner;  // runs subgraphs; implemented by the runtime

// What an operator's evaluation sees: its inputs, where to put its outputs. Errors that it throws are given
// the node's name by the executor.
class EvalContext {
 public:
  EvalContext(const Node& node, int opset, std::vector<const Tensor*> inputs, ThreadPool& pool,
              Allocator* allocator, std::shared_ptr<void>& state, const std::vector<bool>& constant_inputs,
              GraphRunner* runner)
      : node(node),
        opset(opset),
        pool(pool),
        runner(runner),
        outputs(node.outputs.size()),
        inputs_(std::move(inputs)),
        allocator_(allocator),
        state_(state),
        constant_(constant_inputs) {}

  const Node& node;
  const int opset;  // version of the node's domain
  ThreadPool& pool;
  GraphRunner* const runner;
  std::vector<Tensor> outputs;

  size_t num_inputs() const { return inputs_.size(); }
  bool has(size_t slot) const { return slot < inputs_.size() && inputs_[slot] != nullptr; }
  const Tensor& in(size_t slot) const;        // throws Error when it is left out or no tensor
  const Tensor& any_in(size_t slot) const;    // may be a sequence or an empty optional
  const Tensor& sequence(size_t slot) const;  // throws Error when it is left out or no sequence
  bool is_constant(size_t slot) const {
    return slot < constant_.size() && constant_[slot];
  }  // an initializer
  bool wants(size_t slot) const { return slot < node.outputs.size() && node.outputs[slot] != kNone; }
  // Allocates output `slot`; a no-op result is returned when nobody wants the output.
  Tensor& out(size_t slot, DType dtype, Shape shape);
  void set_out(size_t slot, Tensor tensor) {
    outputs[slot] = std::move(tensor);
  }  // may share an input's storage
  Tensor scratch(DType dtype, Shape shape) const { return Tensor(dtype, std::move(shape), allocator_); }
  Allocator* allocator() const { return allocator_; }  // of scratch(); null: the heap
  // Kept for the node as long as the executor lives: packed weights and the like. Only from constant inputs.
  template <typename T>
  T& state() {
    if (!state_) state_ = std::make_shared<T>();
    return *static_cast<T*>(state_.get());
  }
  // From now on state() serves for constant input 1: whatever the other inputs of later runs, its elements
  // are not read again. Its shape and type are.
  void StateReplacesWeights() { replaces_weights_ = is_constant(1); }
  bool state_replaces_weights() const { return replaces_weights_; }

 private:
  std::vector<const Tensor*> inputs_;
  Allocator* allocator_;
  std::shared_ptr<void>& state_;
  const std::vector<bool>& constant_;
  bool replaces_weights_ = false;
};

// How an operator takes part in quantization (docs: XSlim's table of quantizable types).
enum class QuantRole {
  kNone,         // stays float
  kCompute,      // Conv, Gemm, ConvTranspose, MatMul: starts a quantized region
  kActivation,   // Relu, Clip: takes over the scale of the operator before it
  kElementwise,  // Sigmoid, Add, Concat, ReduceMean ...: own scales at inputs and outputs
  kPassive,      // MaxPool, Reshape ...: first input and outputs share one scale
  kNorm,         // LayerNormalization ...: only input 0 is quantized, like an elementwise one
};

// A curve that input 0 is seen through and that is nearly flat over much of what can be seen: what lies there
// says little about the result.
enum class Curve {
  kNone,
  kSigmoid,  // 1 / (1 + e^-x)
  kSilu,     // x / (1 + e^-x)
};

// The part of input 0 that the operator can see; outside it the result does not change (or hardly).
struct InterestRange {
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
  // Under lo the result goes on towards zero by a factor of e for each 1 that the input falls. It cannot be
  // seen beside what larger inputs give, but where all are as small it is all there is.
  bool fades = false;
  Curve curve = Curve::kNone;
};

// The last_opset of a row that holds for all later versions of its domain.
inline constexpr int kAnyLater = std::numeric_limits<int>::max();

struct OperatorRow {
  const char* domain;  // "" = ai.onnx
  const char* op_type;
  int first_opset, last_opset;
  void (*evaluate)(EvalContext&);
  QuantRole role = QuantRole::kNone;
  InterestRange (*interest)(const Graph&, const Node&) = nullptr;  // null: sees everything
};

// True when results differ from run to run by the operator's meaning, so that none may be kept for another.
bool IsRandom(const Node& node);

// Null when the operator is not known at that version of its domain.
const OperatorRow* FindOperator(const std::string& domain, const std::string& op_type, int opset);
// All rows, in the order of the families; for docs and tests.
std::vector<const OperatorRow*> AllOperators();
// The file of src/ops that holds one of these rows, without its extension.
const char* FamilyOf(const OperatorRow& row);

// One per family file; registry.cc lists them.
std::vector<OperatorRow> ConvOperators();           // conv.cc: Conv (n-d, groups, dilations, auto_pad)
std::vector<OperatorRow> ConvTransposeOperators();  // conv_transpose.cc
std::vector<OperatorRow> MatMulOperators();         // matmul.cc: MatMul Gemm FusedMatMul ...
std::vector<OperatorRow> PoolOperators();           // pool.cc
std::vector<OperatorRow> NormOperators();           // norm.cc: BatchNormalization LayerNormalization LRN ...
std::vector<OperatorRow> SoftmaxOperators();        // softmax.cc: Softmax LogSoftmax Hardmax LpNormalization
std::vector<OperatorRow> QuantizeOperators();       // quantize.cc: QuantizeLinear DequantizeLinear ...
std::vector<OperatorRow> ResizeOperators();         // resize.cc
std::vector<OperatorRow> UnaryOperators();          // unary.cc
std::vector<OperatorRow> BinaryOperators();         // binary.cc: arithmetic of two or more tensors
std::vector<OperatorRow> PowerOperators();          // power.cc: Pow Mod
std::vector<OperatorRow> CompareOperators();        // compare.cc: comparison, logic, bits, Where
std::vector<OperatorRow> ReduceOperators();         // reduce.cc: Reduce*, ArgMax, CumSum, TopK
std::vector<OperatorRow> MoveOperators();    // move.cc: Reshape Transpose Slice Concat Split Tile Expand ...
std::vector<OperatorRow> PadOperators();     // pad.cc: Pad CenterCropPad
std::vector<OperatorRow> GatherOperators();  // gather.cc: Gather Scatter families, OneHot, NonZero ...
std::vector<OperatorRow> UniqueOperators();  // unique.cc
std::vector<OperatorRow>
ShapeOperators();  // shape.cc: Shape Size Constant ConstantOfShape Range Cast Identity ...
std::vector<OperatorRow> AttentionOperators();  // attention.cc: Attention RotaryEmbedding
std::vector<OperatorRow> VisionOperators();     // vision.cc: NonMaxSuppression GridSample RoiAlign AffineGrid
std::vector<OperatorRow> RecurrentOperators();  // recurrent.cc: LSTM GRU RNN
std::vector<OperatorRow> EinsumOperators();     // einsum.cc: Einsum Det
std::vector<OperatorRow> ControlOperators();    // control.cc: If Loop Scan
std::vector<OperatorRow> UnfoldOperators();     // unfold.cc: Col2Im DeformConv MaxUnpool
std::vector<OperatorRow> SignalOperators();     // signal.cc: DFT STFT *Window MelWeightMatrix
std::vector<OperatorRow> RandomOperators();     // random.cc: Random* Bernoulli Multinomial
std::vector<OperatorRow> TextOperators();       // text.cc: StringConcat StringSplit StringNormalizer
std::vector<OperatorRow> SequenceOperators();   // sequence.cc: Sequence* Optional* SplitToSequence ...
std::vector<OperatorRow> IntegerOperators();    // integer.cc: MatMulInteger ConvInteger QLinear*

}  // namespace xslim

#endif  // XSLIM_OPS_OPERATOR_H_
