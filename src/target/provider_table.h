// The provider's operators, one row each: versions, element types and conditions.
#ifndef XSLIM_TARGET_PROVIDER_TABLE_H_
#define XSLIM_TARGET_PROVIDER_TABLE_H_

#include <cstddef>
#include <span>
#include <string>

#include "graph/graph.h"

namespace xslim {

// Element types that a row takes. What passes data on is also given int8; kAny: the page says nothing.
enum class ProviderTypes { kFloats, kFloatsAndInt8, kAny };

// What of the node the provider does not take, in words; "" when it takes the node. The graph's constants are
// initializers.
using ProviderCondition = std::string (*)(const Graph& graph, const Node& node);

struct ProviderRow {
  const char* op_type;
  int newest;  // version of the operator's schema: a newer one falls back
  ProviderTypes types = ProviderTypes::kAny;
  ProviderCondition condition = nullptr;
  size_t typed_input = 0;  // the input that `types` is of
  const char* domain = "";
};

std::span<const ProviderRow> ProviderRows();
// Null when the provider does not know the operator.
const ProviderRow* FindProviderRow(const Node& node);

}  // namespace xslim

#endif  // XSLIM_TARGET_PROVIDER_TABLE_H_
