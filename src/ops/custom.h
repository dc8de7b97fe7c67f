// Operators from shared libraries (include/xslim/custom_op.h).
#ifndef XSLIM_OPS_CUSTOM_H_
#define XSLIM_OPS_CUSTOM_H_

#include <string>

#include "ops/operator.h"
#include "xslim/custom_op.h"

namespace xslim {

// Loads a library and adds its operators; a second time does nothing. It stays loaded until the process ends.
// Throws Error naming the file and what is wrong with it; then none of its operators is added.
void LoadOperatorLibrary(const std::string& path);

// As LoadOperatorLibrary for a table that is there already; `where` stands in errors.
void AddOperators(const XslimOpLibrary& library, const std::string& where);

// The row of a library's operator, null when there is none.
const OperatorRow* FindCustomOperator(const std::string& domain, const std::string& op_type, int version);

}  // namespace xslim

#endif  // XSLIM_OPS_CUSTOM_H_
