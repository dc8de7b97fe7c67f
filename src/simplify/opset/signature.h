// ONNX's operator signatures by opset: which inputs, outputs, attributes and element types an operator of the
// default domain has in a version. Facts of the specification, kept here so that they do not depend on the
// onnx library that happens to be linked; signatures.inc is written by tools/opset/make_signatures.py.
#ifndef XSLIM_SIMPLIFY_OPSET_SIGNATURE_H_
#define XSLIM_SIMPLIFY_OPSET_SIGNATURE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim::opset {


struct Formal {
  int variable = -1;  // index into Signature::variables
  bool optional = false;
  bool variadic = false;  // the last one only: any number, at least one
  bool same_type = true;  // of a variadic one
};

struct AttributeSignature {
  std::string name, default_value;  // default as text, "" when there is none
  bool required = false;
};

struct Signature {
  std::string op_type;
  int since = 0;
  bool deprecated = false;
  std::vector<Formal> inputs, outputs;
  std::vector<uint32_t> variables;  // allowed types, bit n: DType n, bit 0: what is no tensor
  std::vector<AttributeSignature> attributes;

  const Formal* Input(size_t slot) const;  // null beyond the last
  const Formal* Output(size_t slot) const;
  const AttributeSignature* Find(const std::string& attribute) const;
};

// The version that `opset` has; null when the operator does not exist there (deprecated ones do not).
const Signature* FindSignature(const std::string& op_type, int opset);
// The first opset (of the table) that has the operator; 0 when none has.
int FirstOpset(const std::string& op_type);

// Whether the attribute says what the default says.
bool IsDefault(const Attribute& attribute, const AttributeSignature& signature);

// What a node has that the signature does not allow; nullopt when it fits. `type_of` gives the element type
// of a value, kUndefined when it is not known (then it is not checked).
std::optional<std::string> Misfit(const Node& node, const Signature& signature,
                                  const std::function<DType(ValueId)>& type_of);

}  // namespace xslim::opset

#endif  // XSLIM_SIMPLIFY_OPSET_SIGNATURE_H_
