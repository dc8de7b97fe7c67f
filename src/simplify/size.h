// Sizes that may not be known: whole numbers and products of symbols, for reasoning about shapes.
#ifndef XSLIM_SIMPLIFY_SIZE_H_
#define XSLIM_SIMPLIFY_SIZE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// factor * product of the symbols (sorted, with repetitions); a plain number when there are none.
struct Size {
  int64_t factor = 0;
  std::vector<int> symbols;

  bool is_number() const { return symbols.empty(); }
  bool Is(int64_t number) const { return symbols.empty() && factor == number; }
  bool operator==(const Size&) const = default;
};
using Sizes = std::vector<Size>;

inline Size Number(int64_t value) { return {value, {}}; }
Sizes Numbers(const std::vector<int64_t>& values);
// The numbers, when all of them are.
std::optional<std::vector<int64_t>> AsNumbers(const Sizes& sizes);

// The symbols of one analysis. Equal expressions get equal symbols.
class SymbolTable {
 public:
  // The size of a value's axis, where nothing says what it is. Never negative.
  Size Dimension(ValueId value, int axis);
  // An expression that is no product, named by its text, e.g. "conv(...)".
  Size Expression(const std::string& text, bool never_negative);

  Size Multiply(const Size& a, const Size& b);
  // a / b where it comes out even for all values of the symbols.
  std::optional<Size> Divide(const Size& a, const Size& b) const;
  bool NeverNegative(const Size& size) const;
  std::string Text(const Size& size) const;

  // Of a size that is one axis of a value, which.
  struct Axis {
    ValueId value;
    int axis;
  };
  std::optional<Axis> AxisOf(const Size& size) const;

 private:
  struct Symbol {
    bool never_negative;
    std::optional<Axis> axis;
  };
  int Intern(const std::string& text, Symbol symbol);
  std::map<std::string, int> by_text_;
  std::vector<Symbol> symbols_;
};

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SIZE_H_
