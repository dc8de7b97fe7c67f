/* An operator library as docs/custom-operators.md describes it: test.custom Wobble, y = x + amount * sin(x).
 */
#include <math.h>
#include <stddef.h>

#include "xslim/custom_op.h"

static int32_t wobble_shapes(XslimOpCall* call) {
  if (call->num_inputs != 1 || call->inputs[0].dtype != 1) {
    call->fail(call, "Wobble takes one float32 tensor");
    return 1;
  }
  call->set_output(call, 0, 1, call->inputs[0].rank, call->inputs[0].dims);
  return 0;
}

static int32_t wobble_evaluate(XslimOpCall* call) {
  float amount = 0;
  int64_t count = 1;
  call->get_float(call, "amount", &amount);
  for (int32_t i = 0; i < call->inputs[0].rank; ++i) count *= call->inputs[0].dims[i];
  const float* x = call->inputs[0].data;
  float* y = call->outputs[0].data;
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] + amount * sinf(x[i]);
  return 0;
}

static const XslimOperator operators[] = {{"test.custom", "Wobble", 1, 1, wobble_shapes, wobble_evaluate}};
static const XslimOpLibrary library = {XSLIM_OP_ABI, 1, operators};

const XslimOpLibrary* xslim_op_library(void);
const XslimOpLibrary* xslim_op_library(void) { return &library; }
