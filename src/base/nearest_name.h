// What a user who mistyped a name may have meant.
#ifndef XSLIM_BASE_NEAREST_NAME_H_
#define XSLIM_BASE_NEAREST_NAME_H_

#include <string>
#include <vector>

namespace xslim {

// The name of `known` nearest to `name` by edit distance, the first of equals; "" when none is near.
std::string NearestName(const std::string& name, const std::vector<std::string>& known);

}  // namespace xslim

#endif  // XSLIM_BASE_NEAREST_NAME_H_
