#include "config/tolerant_json.h"

#include <algorithm>
#include <cstddef>

namespace xslim {
namespace {

// kind: one of { } [ ] : , or 's' for a string, 'v' for any other scalar.
struct Token {
  char kind;
  size_t begin, end;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void Blank(std::string* text, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    if ((*text)[i] != '\n') (*text)[i] = ' ';
  }
}

// Blanks comments in `text` and returns its tokens.
std::vector<Token> Tokenize(std::string* text) {
  const std::string& t = *text;
  std::vector<Token> tokens;
  size_t i = 0;
  while (i < t.size()) {
    const char c = t[i];
    if (IsSpace(c)) {
      ++i;
    } else if (t.compare(i, 2, "//") == 0) {
      const size_t end = std::min(t.find('\n', i), t.size());
      Blank(text, i, end);
      i = end;
    } else if (t.compare(i, 2, "/*") == 0 && t.find("*/", i + 2) != std::string::npos) {
      const size_t end = t.find("*/", i + 2) + 2;
      Blank(text, i, end);
      i = end;
    } else if (c == '"') {
      size_t end = i + 1;
      while (end < t.size() && t[end] != '"') end += t[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, t.size());
      tokens.push_back({'s', i, end});
      i = end;
    } else if (std::string("{}[]:,").find(c) != std::string::npos) {
      tokens.push_back({c, i, i + 1});
      ++i;
    } else {
      size_t end = i + 1;
      while (end < t.size() && !IsSpace(t[end]) && std::string("{}[]:,\"/").find(t[end]) == std::string::npos)
        ++end;
      tokens.push_back({'v', i, end});
      i = end;
    }
  }
  return tokens;
}

// For each token: whether it opens a list with an object directly in it.
std::vector<bool> ListsOfObjects(const std::vector<Token>& tokens) {
  std::vector<bool> found(tokens.size(), false);
  std::vector<size_t> open;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const char kind = tokens[i].kind;
    if (kind == '{' && !open.empty() && tokens[open.back()].kind == '[') found[open.back()] = true;
    if (kind == '{' || kind == '[') open.push_back(i);
    if ((kind == '}' || kind == ']') && !open.empty()) open.pop_back();
  }
  return found;
}

// One object or list while the tokens are walked; the commas and remarks are those since the last entry.
struct Level {
  bool object = false, strings_are_remarks = false, value_due = false, remark_seen = false;
  int entries = 0;
  size_t last_end = 0;
  std::vector<size_t> commas;
};

class Repair {
 public:
  Repair(const std::string& text, std::vector<std::string>* notes)
      : out_(text), source_(text), notes_(notes) {}

  std::string Run() {
    const std::vector<Token> tokens = Tokenize(&out_);
    const std::vector<bool> of_objects = ListsOfObjects(tokens);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const Token& token = tokens[i];
      const bool key = token.kind == 's' && i + 1 < tokens.size() && tokens[i + 1].kind == ':';
      if (token.kind == '{' || token.kind == '[') {
        if (!levels_.empty() && !levels_.back().object) Settle(true, token.begin);
        Level level;
        level.object = token.kind == '{';
        level.strings_are_remarks = of_objects[i];
        levels_.push_back(level);
      } else if (levels_.empty()) {
        continue;
      } else if (token.kind == '}' || token.kind == ']') {
        Settle(false, token.begin);
        levels_.pop_back();
        if (!levels_.empty()) EntryDone(token.end);
      } else if (token.kind == ',') {
        levels_.back().commas.push_back(token.begin);
      } else if (levels_.back().object ? token.kind == 's' && !levels_.back().value_due && !key
                                       : token.kind == 's' && levels_.back().strings_are_remarks) {
        Remark(token);
      } else if (levels_.back().object && key && !levels_.back().value_due) {
        Settle(true, token.begin);
        levels_.back().value_due = true;
      } else if (token.kind != ':') {
        if (!levels_.back().object) Settle(true, token.begin);
        EntryDone(token.end);
      }
    }
    return out_;
  }

 private:
  void Note(size_t position, const std::string& text) {
    notes_->push_back("line " +
                      std::to_string(1 + std::count(source_.begin(), source_.begin() + position, '\n')) +
                      ": " + text);
  }

  void Remark(const Token& token) {
    std::string shown = source_.substr(token.begin, token.end - token.begin);
    shown = shown.substr(0, shown.find('\n'));
    Note(token.begin, "the bare string " + shown + " is taken as a comment");
    Blank(&out_, token.begin, token.end);
    levels_.back().remark_seen = true;
  }

  void EntryDone(size_t end) {
    Level& level = levels_.back();
    ++level.entries;
    level.last_end = end;
    level.commas.clear();
    level.value_due = level.remark_seen = false;
  }

  // Before an entry (or the end of the level): where a remark stood, leaves exactly the commas that JSON
  // wants.
  void Settle(bool another, size_t begin) {
    Level& level = levels_.back();
    const size_t wanted = level.entries > 0 && another ? 1 : 0;
    if (level.remark_seen) {
      while (level.commas.size() > wanted) {
        out_[level.commas.back()] = ' ';
        level.commas.pop_back();
      }
    }
    if (level.commas.size() >= wanted || (!level.remark_seen && !level.object)) return;
    for (size_t i = level.last_end; i < begin; ++i) {
      if (!IsSpace(out_[i])) continue;
      out_[i] = ',';
      if (!level.remark_seen)
        Note(begin, "a comma is missing before " + source_.substr(begin, source_.find('\n', begin) - begin));
      return;
    }
  }

  std::string out_;
  const std::string& source_;
  std::vector<std::string>* notes_;
  std::vector<Level> levels_;
};

}  // namespace

std::string TolerateRemarks(const std::string& text, std::vector<std::string>* notes) {
  return Repair(text, notes).Run();
}

}  // namespace xslim
