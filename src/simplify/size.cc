#include "simplify/size.h"

#include <algorithm>
#include <iterator>

namespace xslim {

Sizes Numbers(const std::vector<int64_t>& values) {
  Sizes sizes;
  for (int64_t value : values) sizes.push_back(Number(value));
  return sizes;
}

std::optional<std::vector<int64_t>> AsNumbers(const Sizes& sizes) {
  std::vector<int64_t> numbers;
  for (const Size& size : sizes) {
    if (!size.is_number()) return std::nullopt;
    numbers.push_back(size.factor);
  }
  return numbers;
}

int SymbolTable::Intern(const std::string& text, Symbol symbol) {
  const auto [at, added] = by_text_.emplace(text, static_cast<int>(symbols_.size()));
  if (added) symbols_.push_back(symbol);
  return at->second;
}

Size SymbolTable::Dimension(ValueId value, int axis) {
  const std::string text = "axis " + std::to_string(axis) + " of " + std::to_string(value);
  return {1, {Intern(text, {true, Axis{value, axis}})}};
}

Size SymbolTable::Expression(const std::string& text, bool never_negative) {
  return {1, {Intern(text, {never_negative, std::nullopt})}};
}

Size SymbolTable::Multiply(const Size& a, const Size& b) {
  Size product;
  if (__builtin_mul_overflow(a.factor, b.factor, &product.factor))
    return Expression("product(" + Text(a) + "," + Text(b) + ")", false);
  if (product.factor == 0) return product;
  std::merge(a.symbols.begin(), a.symbols.end(), b.symbols.begin(), b.symbols.end(),
             std::back_inserter(product.symbols));
  return product;
}

std::optional<Size> SymbolTable::Divide(const Size& a, const Size& b) const {
  if (b.factor == 0 || a.factor % b.factor != 0) return std::nullopt;
  if (!std::includes(a.symbols.begin(), a.symbols.end(), b.symbols.begin(), b.symbols.end()))
    return std::nullopt;
  Size quotient{a.factor / b.factor, {}};
  std::set_difference(a.symbols.begin(), a.symbols.end(), b.symbols.begin(), b.symbols.end(),
                      std::back_inserter(quotient.symbols));
  return quotient;
}

bool SymbolTable::NeverNegative(const Size& size) const {
  return size.factor >= 0 && std::all_of(size.symbols.begin(), size.symbols.end(), [this](int symbol) {
           return symbols_[static_cast<size_t>(symbol)].never_negative;
         });
}

std::string SymbolTable::Text(const Size& size) const {
  std::string text = std::to_string(size.factor);
  for (int symbol : size.symbols) text += "*s" + std::to_string(symbol);
  return text;
}

std::optional<SymbolTable::Axis> SymbolTable::AxisOf(const Size& size) const {
  if (size.factor != 1 || size.symbols.size() != 1) return std::nullopt;
  return symbols_[static_cast<size_t>(size.symbols[0])].axis;
}

}  // namespace xslim
