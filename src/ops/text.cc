// Operators on strings: StringConcat, StringSplit, StringNormalizer.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "xslim/error.h"

namespace xslim {
namespace {

const std::vector<std::string>& StringsOf(const EvalContext& c, size_t slot) {
  const Tensor& x = c.in(slot);
  if (x.dtype() != DType::kString)
    throw Error("input " + std::to_string(slot) + " is of type " + NameOf(x.dtype()), "", "expected strings");
  return x.strings();
}

void StringConcat(EvalContext& c) {
  const std::vector<std::string>&a = StringsOf(c, 0), &b = StringsOf(c, 1);
  const Broadcast broadcast({&c.in(0).shape(), &c.in(1).shape()});
  std::vector<std::string>& out = c.out(0, DType::kString, broadcast.shape()).strings();
  broadcast.Runs(0, broadcast.size(), [&](int64_t at, int64_t n, const int64_t* offsets) {
    for (int64_t i = 0; i < n; ++i) {
      out[static_cast<size_t>(at + i)] = a[static_cast<size_t>(offsets[0] + i * broadcast.step(0))] +
                                         b[static_cast<size_t>(offsets[1] + i * broadcast.step(1))];
    }
  });
}

// Pieces between delimiters, at most `most` cuts (-1: all); the empty delimiter stands for runs of blanks,
// which are also taken off the ends.
std::vector<std::string> Pieces(const std::string& text, const std::string& delimiter, int64_t most) {
  static constexpr char kBlanks[] = " \t\n\v\f\r";
  std::vector<std::string> pieces;
  const bool blanks = delimiter.empty();
  size_t begin = blanks ? text.find_first_not_of(kBlanks) : 0;
  if (text.empty() || begin == std::string::npos) return pieces;
  for (;;) {
    size_t end = std::string::npos;
    if (most < 0 || static_cast<int64_t>(pieces.size()) < most)
      end = blanks ? text.find_first_of(kBlanks, begin) : text.find(delimiter, begin);
    if (end == std::string::npos) break;
    const size_t next = blanks ? text.find_first_not_of(kBlanks, end) : end + delimiter.size();
    pieces.push_back(text.substr(begin, end - begin));
    if (next == std::string::npos) return pieces;
    begin = next;
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

// Output 0 has one more axis for the pieces, filled up with ""; output 1 is their number.
void StringSplit(EvalContext& c) {
  const std::vector<std::string>& x = StringsOf(c, 0);
  const std::string delimiter = c.node.String("delimiter", "");
  const int64_t most = c.node.Int("maxsplit", -1);
  std::vector<std::vector<std::string>> pieces;
  size_t width = 0;
  for (const std::string& text : x) {
    pieces.push_back(Pieces(text, delimiter, most));
    width = std::max(width, pieces.back().size());
  }
  Shape shape = c.in(0).shape();
  shape.push_back(static_cast<int64_t>(width));
  std::vector<std::string>& out = c.out(0, DType::kString, shape).strings();
  int64_t* counts = c.out(1, DType::kInt64, c.in(0).shape()).data<int64_t>();
  for (size_t i = 0; i < pieces.size(); ++i) {
    counts[i] = static_cast<int64_t>(pieces[i].size());
    std::move(pieces[i].begin(), pieces[i].end(), out.begin() + static_cast<int64_t>(i * width));
  }
}

// Upper or lower case of ASCII letters; other alphabets would need the tables of the locale.
std::string WithCase(std::string text, bool upper) {
  for (char& letter : text) {
    if (static_cast<unsigned char>(letter) >= 0x80) {
      throw Error("the case of \"" + text + "\" cannot be changed", "", "expected ASCII text");
    }
    const char first = upper ? 'a' : 'A', last = upper ? 'z' : 'Z';
    if (letter >= first && letter <= last) letter = static_cast<char>(letter - first + (upper ? 'A' : 'a'));
  }
  return text;
}

// Drops the stopwords, then changes the case. Input [C] or [1, C]; nothing left gives one "".
void StringNormalizer(EvalContext& c) {
  const std::vector<std::string>& x = StringsOf(c, 0);
  const int64_t rank = c.in(0).rank();
  if (rank < 1 || rank > 2 || (rank == 2 && c.in(0).dim(0) != 1))
    throw Error("input has shape " + ToString(c.in(0).shape()), "", "expected [C] or [1,C]");
  const std::string action = c.node.String("case_change_action", "NONE");
  if (action != "NONE" && action != "LOWER" && action != "UPPER")
    throw Error("unknown case_change_action " + action, "", "expected NONE, LOWER or UPPER");
  const bool exact = c.node.Int("is_case_sensitive", 0) != 0;
  std::set<std::string> stopwords;
  if (const auto at = c.node.attributes.find("stopwords"); at != c.node.attributes.end()) {
    for (const std::string& word : at->second.strings) stopwords.insert(exact ? word : WithCase(word, false));
  }
  std::vector<std::string> kept;
  for (const std::string& word : x) {
    if (!stopwords.empty() && stopwords.count(exact ? word : WithCase(word, false)) != 0) continue;
    kept.push_back(action == "NONE" ? word : WithCase(word, action == "UPPER"));
  }
  if (kept.empty()) kept.emplace_back();
  const auto count = static_cast<int64_t>(kept.size());
  c.set_out(0, Tensor::Strings(rank == 1 ? Shape{count} : Shape{1, count}, std::move(kept)));
}

}  // namespace

std::vector<OperatorRow> TextOperators() {
  return {
      {"", "StringConcat", 20, kAnyLater, StringConcat},
      {"", "StringSplit", 20, kAnyLater, StringSplit},
      {"", "StringNormalizer", 10, kAnyLater, StringNormalizer},
  };
}

}  // namespace xslim
