// Operators that the user leaves out by type or by name; '*' in an entry matches any run of characters.
#ifndef XSLIM_QUANT_IGNORE_LIST_H_
#define XSLIM_QUANT_IGNORE_LIST_H_

#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "xslim/config.h"

namespace xslim {

class IgnoreList {
 public:
  explicit IgnoreList(const QuantizationParameters& options) : options_(options) {}

  // "ignore_op_types" or "ignore_op_names" when an entry matches the node, else null. A name that several
  // nodes of the file have stands for all of them, and one of a part for the operator that the simplifier made
  // of it. Remembers which entries matched.
  const char* Reason(const Node& node);
  static bool IsReason(const std::string& why);

  // Says in the log which entries Reason() has never met: a warning with the nearest name for one that
  // matches nothing in `graph` or its bodies, a line for one whose operators were never asked about. Those in
  // branches of If are asked about later.
  void WarnUnmatched(const Graph& graph) const;

 private:
  const QuantizationParameters& options_;  // must outlive the list
  std::set<std::string> used_;
};

}  // namespace xslim

#endif  // XSLIM_QUANT_IGNORE_LIST_H_
