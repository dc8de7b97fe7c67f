// Element types without running the model: what each operator's schema says of its inputs and outputs.
#ifndef XSLIM_QUANT_ELEMENT_TYPES_H_
#define XSLIM_QUANT_ELEMENT_TYPES_H_

#include "graph/graph.h"

namespace xslim {

// The types in an operator's schema. signature: a letter per input, '>', a letter per output; '*' after a
// letter: it stands for all that follow. Equal letters are one type. T to Z may be float32; I to N never are;
// f float32, i int64, b bool, w int32, u uint8 and no other; '?' something else.
struct OperatorTypes {
  const char* op_type;
  const char* signature;
  int float16_since, bfloat16_since;  // opset from which all of T to Z may be 16-bit floats; 0 = never
};

// Null for what works on sequences, texts or bodies, and for all but the usual operators of com.microsoft;
// other domains are not known.
const OperatorTypes* FindTypes(const Node& node, int opset);

// The letter of a slot; '?' past the end.
char InputLetter(const OperatorTypes& types, size_t slot);
char OutputLetter(const OperatorTypes& types, size_t slot);
inline bool MayBeFloat(char letter) { return letter >= 'T' && letter <= 'Z'; }

// Sets Value::dtype of everything in the graph and its bodies that follows from the types of inputs and
// constants; what does not follow keeps its declared type (kUndefined when there is none).
void InferElementTypes(Graph* graph);

}  // namespace xslim

#endif  // XSLIM_QUANT_ELEMENT_TYPES_H_
