// What the data select: of a detector's boxes those of the best scores, say.
#ifndef XSLIM_QUANT_SELECTED_H_
#define XSLIM_QUANT_SELECTED_H_

#include <map>

#include "quant/facts.h"

namespace xslim {

// Values whose elements an operator has selected or ordered by float data (TopK, ArgMax, NonMaxSuppression
// ...), directly or as indices, with no computing operator since; and the first such operator in front of
// each. Rounding may select other elements, or these in another order: their difference then says little, and
// what they were selected from tells more.
std::map<ValueId, NodeId> FindSelected(const Graph& graph, const ValueFacts& facts);

}  // namespace xslim

#endif  // XSLIM_QUANT_SELECTED_H_
