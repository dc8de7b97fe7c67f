#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "data/readers.h"
#include "data/samples.h"
#include "xslim/error.h"

namespace xslim {
namespace {

namespace fs = std::filesystem;

constexpr char kBlank[] = " \t\r\f\v";

std::string Strip(const std::string& text) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// The file that the line names, or the line without its last words; empty when there is none.
fs::path FileOf(const fs::path& folder, std::string line) {
  while (!line.empty()) {
    if (IsFile(folder / line)) return folder / line;
    const size_t blank = line.find_last_of(kBlank);
    line = blank == std::string::npos ? "" : Strip(line.substr(0, blank));
  }
  return {};
}

// A line that names no file. place: the list and the line's number.
[[noreturn]] void FailListed(const fs::path& folder, const std::string& line, const std::string& place,
                             const std::string& field) {
  std::error_code ignored;
  const fs::path named = folder / line;
  const char* what = " does not exist";
  if (fs::exists(named, ignored))
    what = fs::is_directory(named, ignored) ? " is a folder, not a file" : " is not a regular file";
  std::string hint = StrCat("listed by ", field, "; relative paths start at the list's folder");
  const bool quoted = line.size() > 2 && line.front() == line.back() && (line[0] == '"' || line[0] == '\'');
  for (const std::string& bare :
       {line.substr(0, line.find(',')), quoted ? line.substr(1, line.size() - 2) : line}) {
    if (bare == line || FileOf(folder, bare).empty()) continue;
    hint = StrCat("listed by ", field, "; there is ", (folder / bare).string(),
                  ": a line is a path and nothing else");
  }
  throw Error(StrCat("the file ", named.string(), what), place, hint);
}

// Whether samples come from a function of the user's, "file.py:function".
bool IsScripted(const InputParameters& input) { return input.preprocess_file.find(':') != std::string::npos; }

}  // namespace

std::string ResolvePath(const std::string& path, const std::string& source) {
  std::error_code ignored;
  if (source.empty() || fs::path(path).is_absolute() || fs::exists(path, ignored)) return path;
  const fs::path beside = fs::path(source).parent_path() / path;
  return fs::exists(beside, ignored) ? beside.string() : path;
}

std::vector<std::string> ReadListFile(const std::string& list, const std::string& field,
                                      std::vector<int64_t>* lines, bool scripted) {
  std::string text;
  try {
    text = ReadFile(list);
  } catch (const Error& error) {
    std::error_code ignored;
    std::string hint = error.what();
    if (fs::is_directory(list, ignored)) {
      hint = "it is a folder; write the paths of its files into a text file, one per line";
    } else if (!fs::path(list).is_absolute() && !fs::exists(list, ignored)) {
      hint = "no such file, neither from the current folder nor from the config's";
    }
    throw Error(StrCat("cannot read the list file ", list), field, hint);
  }
  if (text.find('\0') != std::string::npos) {
    const bool wide = IsUtf16(text);
    throw Error(StrCat("the list file ", list, wide ? " is UTF-16 text" : " is not a text file"), field,
                wide ? "save it as UTF-8" : "one path of a data file per line");
  }
  const fs::path folder = fs::path(list).parent_path();
  std::vector<std::string> paths;
  size_t begin = text.rfind("\xef\xbb\xbf", 0) == 0 ? 3 : 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    const std::string line = Strip(text.substr(begin, end - begin));
    begin = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
    if (line.empty()) continue;
    const fs::path path = scripted ? folder / line : FileOf(folder, line);
    if (path.empty()) FailListed(folder, line, StrCat(list, ":", number), field);
    paths.push_back(path.string());
    if (lines != nullptr) lines->push_back(number);
  }
  return paths;
}

SampleItem ScriptedItem(const std::string& list, const std::string& path) {
  const std::string file = FileOf({}, path).string();
  if (!file.empty()) return {file, Strip(path.substr(file.size()))};
  const std::string root = (fs::path(list).parent_path() / "").string();
  return {"", path.starts_with(root) ? path.substr(root.size()) : path};
}

std::string ResolveScript(const std::string& spec, const std::string& source) {
  const size_t colon = spec.rfind(':');
  const std::string file = spec.substr(0, colon), module = ResolvePath(file + ".py", source);
  std::error_code ignored;
  const std::string itself = ResolvePath(file, source);
  const bool by_module = !fs::is_regular_file(itself, ignored) && fs::is_regular_file(module, ignored);
  return (by_module ? module : itself) + spec.substr(colon);
}

bool HasData(const Config& config) {
  const auto& inputs = config.calibration.input_parameters;
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const InputParameters& input) { return !input.data_list_path.empty(); });
}

std::vector<std::string> ScriptFiles(const Config& config) {
  std::vector<std::string> files;
  for (const InputParameters& input : config.calibration.input_parameters) {
    if (!IsScripted(input) || input.data_list_path.empty()) continue;
    const std::string script = ResolveScript(input.preprocess_file, config.source);
    files.push_back(script.substr(0, script.rfind(':')));
  }
  return files;
}

std::vector<std::string> DataFiles(const Config& config) {
  std::vector<std::string> files = ScriptFiles(config);
  for (const InputParameters& input : config.calibration.input_parameters) {
    if (input.data_list_path.empty()) continue;
    const std::string list = ResolvePath(input.data_list_path, config.source);
    files.push_back(list);
    try {
      const std::vector<std::string> listed =
          ReadListFile(list, "data_list_path", nullptr, IsScripted(input));
      files.insert(files.end(), listed.begin(), listed.end());
    } catch (const Error&) {
      continue;  // said by the run, if it reads the list at all
    }
  }
  return files;
}

}  // namespace xslim
