/* Operators from a shared library (--op-library FILE), as a plain C interface: any language that can export a
 * C function can add them. A library exports one function,
 *
 *   const XslimOpLibrary* xslim_op_library(void);
 *
 * which returns a table that stays valid as long as the library is loaded. An added operator is evaluated
 * where the program runs the model (calibration, constant folding, report) and stays float.
 * docs/custom-operators.md has an example.
 *
 * Functions of an operator may be called from several threads at once and must give equal results for equal
 * inputs: no random numbers, no state between calls.
 */
#ifndef XSLIM_CUSTOM_OP_H_
#define XSLIM_CUSTOM_OP_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XSLIM_OP_ABI 1

/* A dense tensor, row-major, in the host's byte order. dtype is a number of onnx.TensorProto.DataType
 * (1 float32, 7 int64, 9 bool ...); 0 = an optional input that was left out, or an output nobody reads.
 * Strings and 4-bit types are not passed to operators of a library. */
typedef struct XslimTensor {
  int32_t dtype, rank;
  const int64_t* dims; /* `rank` sizes */
  void* data;          /* inputs: read only; outputs: there in evaluate() only */
} XslimTensor;

/* One evaluation of a node. The function pointers are the host's. */
typedef struct XslimOpCall {
  int32_t num_inputs, num_outputs;
  const XslimTensor* inputs;
  const XslimTensor* outputs; /* as set_output() has set them; all zero in shapes() */

  /* The node's attributes; 0 when there is none of that name and kind, 1 otherwise. Pointers are good until
   * the call returns. */
  int32_t (*get_int)(const struct XslimOpCall* call, const char* name, int64_t* value);
  int32_t (*get_float)(const struct XslimOpCall* call, const char* name, float* value);
  int32_t (*get_string)(const struct XslimOpCall* call, const char* name, const char** text, int64_t* length);
  int32_t (*get_ints)(const struct XslimOpCall* call, const char* name, const int64_t** values,
                      int64_t* count);
  int32_t (*get_floats)(const struct XslimOpCall* call, const char* name, const float** values,
                        int64_t* count);

  /* In shapes(): type and shape of output `index`. */
  void (*set_output)(const struct XslimOpCall* call, int32_t index, int32_t dtype, int32_t rank,
                     const int64_t* dims);
  /* Why a function is about to return nonzero: text for the user. */
  void (*fail)(const struct XslimOpCall* call, const char* text);

  void* host; /* the host's own */
} XslimOpCall;

typedef struct XslimOperator {
  const char* domain;                     /* as in the model; not the default domain */
  const char* op_type;                    /* as in the model */
  int32_t first_version, last_version;    /* of the domain's operator set that it serves, inclusive */
  int32_t (*shapes)(XslimOpCall* call);   /* calls set_output for every output; nonzero = failure */
  int32_t (*evaluate)(XslimOpCall* call); /* fills the outputs' data; nonzero = failure */
} XslimOperator;

typedef struct XslimOpLibrary {
  int32_t abi; /* XSLIM_OP_ABI */
  int32_t num_operators;
  const XslimOperator* operators;
} XslimOpLibrary;

#ifdef __cplusplus
}
#endif

#endif /* XSLIM_CUSTOM_OP_H_ */
