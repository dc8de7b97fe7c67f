/* Made for another version of the interface. */
#include <stddef.h>

#include "xslim/custom_op.h"

static const XslimOpLibrary library = {XSLIM_OP_ABI + 1, 0, NULL};

const XslimOpLibrary* xslim_op_library(void);
const XslimOpLibrary* xslim_op_library(void) { return &library; }
