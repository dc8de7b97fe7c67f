#include "arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>
#include <utility>
#include <variant>

#include "base/json_text.h"
#include "base/nearest_name.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

// One command line option: what CLI11 parses and what the help says.
struct Option {
  const char* names;
  const char* value;  // name of its value in the help; "" for a flag
  const char* help;
  std::variant<bool Arguments::*, int Arguments::*, std::optional<double> Arguments::*,
               std::string Arguments::*, std::vector<std::string> Arguments::*>
      target;
  double low = 0, high = 0;    // range of a number
  std::vector<int> only = {};  // the numbers that there are, where they are few
  bool of_xslim = false;       // XSlim has it, too
  bool whole = false;          // of a list: commas do not part its texts
  bool setting = true;         // changes the model or its figures
};

Option OfXslim(Option option) {
  option.of_xslim = true;
  return option;
}

Option Whole(Option option) {
  option.whole = true;
  return option;
}

// What neither the model nor its figures depend on (a gate only judges them), or what they are told of
// otherwise: files.
Option Aside(Option option) {
  option.setting = false;
  return option;
}

const std::string kOpsetHelp =
    "opset of the output, " + std::to_string(kLowestOpset) + " to " + std::to_string(kHighestOpset);

const std::vector<int> kBits = {4, 8}, kBlocks = {16, 32, 64, 128, 256};

const std::vector<Option> kOptions = {
    Aside(OfXslim({"-c,--config", "FILE", "JSON configuration of a quantization", &Arguments::config_path})),
    Aside(OfXslim({"-i,--input_path", "FILE", "float model; overrides model_parameters.onnx_model",
                   &Arguments::input_path})),
    Aside(OfXslim(
        {"-o,--output_path", "PATH", "output: a .onnx file, or a directory", &Arguments::output_path})),
    OfXslim({"--dynq", "", "quantize dynamically: no data, no config needed", &Arguments::dynq}),
    {"--dynq-contrib", "", "--dynq with com.microsoft operators where they fit", &Arguments::dynq_contrib},
    {"--dynq-full-range", "", "--dynq with int8 codes that may overflow on x86 without VNNI",
     &Arguments::dynq_full_range},
    {"--weight-bits", "N", "--dynq: bits of a weight, 8 (default) or 4", &Arguments::weight_bits, 0, 0,
     kBits},
    {"--weight-block", "N", "4 bits: weights per scale, 16 to 256 (default: 32)", &Arguments::weight_block, 0,
     0, kBlocks},
    {"--weight-zero-points", "", "4 bits: unsigned weights with zero points", &Arguments::weight_zero_points},
    OfXslim({"--fp16", "", "convert to float16: no data, no config needed", &Arguments::fp16}),
    {"--bf16", "", "convert to bfloat16", &Arguments::bf16},
    {"--fp16-io", "", "--fp16, --bf16: 16-bit model inputs and outputs, too", &Arguments::fp16_io},
    {"--int8-io", "", "int8 runs: model inputs and outputs are int8 codes, too", &Arguments::int8_io},
    OfXslim({"--ignore_op_types", "A,B", "operator types that stay float", &Arguments::ignore_op_types}),
    OfXslim({"--ignore_op_names", "x,y", "nodes that stay float", &Arguments::ignore_op_names}),
    Aside({"--min-cosine", "X", "gate: least cosine of every output", &Arguments::min_cosine, -1, 1}),
    Aside({"--max-snr", "X", "gate: largest noise/signal of every output", &Arguments::max_snr, 0, 1000000}),
    Aside({"--fail-on-collapse", "", "gate: no output may have collapsed", &Arguments::fail_on_collapse}),
    Aside({"--baseline", "FILE", "gate: no output is noisier than in FILE, the verdict of an earlier run",
           &Arguments::baseline}),
    Aside({"--baseline-tolerance", "X", "--baseline: share by which the noise may have grown (default: 0.1)",
           &Arguments::baseline_tolerance, 0, 1000}),
    Aside(
        {"--sensitivity", "", "measure what each int8 operator costs in accuracy", &Arguments::sensitivity}),
    {"--auto-precision", "X", "leave operators float until every output's noise/signal is at most X",
     &Arguments::auto_precision, 1e-6, 1e6},
    OfXslim({"--opset", "N", kOpsetHelp.c_str(), &Arguments::opset, kLowestOpset, kHighestOpset}),
    Whole({"--input-shapes", "X:SIZES",
           "fix sizes that input X leaves open, e.g. x:1,3,224,224; may be repeated",
           &Arguments::input_shapes}),
    {"--strict", "", "an operator that cannot be computed is an error", &Arguments::strict},
    Aside({"--op-library", "FILE", "shared library with more operators; may be repeated",
           &Arguments::op_libraries}),
    {"--skip-pass", "NAME", "simplifier pass to leave out; may be repeated", &Arguments::skip_passes},
    {"--spacemit-functions", "", "WindowPartition, WindowReverse, YoloDecode as functions of the model",
     &Arguments::spacemit_functions},
    Aside({"--list-passes", "", "list the passes of the simplifier and exit", &Arguments::list_passes}),
    {"--verify", "", "compare the simplified model with the original, however large", &Arguments::verify},
    {"--no-verify", "", "do not compare the simplified model with the original", &Arguments::no_verify},
    {"--external-data", "", "write large tensors to OUTPUT.onnx.data, also for a small model",
     &Arguments::external_data},
    Aside({"--threads", "N", "threads to use; 0 = all cores (default)", &Arguments::threads, 0, 1024}),
    Aside({"--dry-run", "", "say which operators would be int8, and why others stay float; write no model",
           &Arguments::dry_run}),
    Aside({"--preview", "FILE",
           "write what the model is fed first as FILE, a .png, where it looks like pictures",
           &Arguments::preview}),
    Aside({"--save-stats", "FILE", "keep the calibration statistics in FILE", &Arguments::save_stats}),
    Aside({"--load-stats", "FILE", "decide from the statistics in FILE instead of calibrating",
           &Arguments::load_stats}),
    Aside({"--max-memory", "SIZE", "memory to stay under, e.g. 300M or 2G", &Arguments::max_memory}),
    Aside({"--profile", "FILE", "write where the time goes as Chrome trace JSON", &Arguments::profile}),
    Aside({"-v,--verbose", "", "say more on stderr", &Arguments::verbose}),
    Aside({"-q,--quiet", "", "only warnings and errors, no summary", &Arguments::quiet}),
    Aside({"--log-file", "FILE", "write every log line to FILE, too", &Arguments::log_file}),
    Aside({"--help-config", "", "list the keys of a JSON configuration and exit", &Arguments::help_config}),
    Aside({"--version", "", "print the version and exit", &Arguments::version}),
    Aside(OfXslim({"-h,--help", "", "print this help and exit", &Arguments::help})),
};

constexpr const char* kExamples =
    "Examples:\n"
    "  xslim -c config.json                          quantize as the config says\n"
    "  xslim -c config.json -i m.onnx -o m.q.onnx    the same with other paths\n"
    "  xslim -i m.onnx -o m.slim.onnx                simplify only\n"
    "  xslim -i m.onnx -o m.dynq.onnx --dynq         quantize dynamically, without data\n"
    "  xslim -i m.onnx -o m.fp16.onnx --fp16         convert to float16\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 written, but the model misses a gate.\n";

// "" when the text is one of the numbers, else what to write.
std::string NoneOf(const std::string& text, const std::vector<int>& numbers) {
  std::string known;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (text == std::to_string(numbers[i])) return "";
    known += (i == 0 ? "" : i + 1 == numbers.size() ? " or " : ", ") + std::to_string(numbers[i]);
  }
  return text + " is not " + known;
}

// The whole text as a number; nullopt where it is none.
template <typename Number>
std::optional<Number> NumberOf(const std::string& text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "" when the text is a number of the option's range, else what to write. NaN lies in no range.
template <typename Number>
std::string OutOfRange(const std::string& text, const Option& option) {
  const std::optional<Number> number = NumberOf<Number>(text);
  if (number && *number >= static_cast<Number>(option.low) && *number <= static_cast<Number>(option.high))
    return "";
  std::ostringstream message;
  message << "expected " << (std::is_same_v<Number, int> ? "an integer" : "a number") << " from "
          << option.low << " to " << option.high << ", got '" << text << "'";
  return message.str();
}

// Adds each row of the table to `app`, bound to its field of `arguments`.
void AddOptions(CLI::App* app, Arguments* arguments) {
  for (const Option& option : kOptions) {
    std::visit(
        [&](auto member) {
          auto& field = arguments->*member;
          using Value = std::decay_t<decltype(field)>;
          if constexpr (std::is_same_v<Value, bool>) {
            app->add_flag(option.names, field, option.help);
          } else {
            CLI::Option* added = app->add_option(option.names, field, option.help);
            if constexpr (std::is_same_v<Value, int>) {
              added->check([&option](const std::string& text) {
                return option.only.empty() ? OutOfRange<int>(text, option) : NoneOf(text, option.only);
              });
            }
            if constexpr (std::is_same_v<Value, std::optional<double>>)
              added->check([&option](const std::string& text) { return OutOfRange<double>(text, option); });
            if constexpr (std::is_same_v<Value, std::vector<std::string>>) added->allow_extra_args(false);
            if constexpr (std::is_same_v<Value, std::string>) {
              added->check([](const std::string& text) -> std::string {
                if (text.empty()) return "is empty";
                return text == "-" ? "- does not stand for standard input or output (give the name of a file)"
                                   : "";
              });
            }
          }
        },
        option.target);
  }
}

std::string LongName(const Option& option) {
  const std::string names = option.names;
  return names.substr(names.find("--"));
}

// - and _ are the same in a name.
std::string Even(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// The options whose long name begins like `name`; where one is called so, or one of XSlim's alone begins so,
// that one: XSlim's parser takes any beginning that one of its options alone has, and options of ours do not
// change which one that is.
std::vector<const Option*> Called(const std::string& name) {
  std::vector<const Option*> found, of_xslim;
  for (const Option& option : kOptions) {
    const std::string whole = Even(LongName(option));
    if (whole == Even(name)) return {&option};
    if (whole.rfind(Even(name), 0) != 0) continue;
    found.push_back(&option);
    if (option.of_xslim) of_xslim.push_back(&option);
  }
  return of_xslim.size() == 1 ? of_xslim : found;
}

// The long name, or the beginning of one, that is nearest; "" when none is.
std::string Nearest(const std::string& name) {
  std::vector<std::string> whole, begun;
  for (const Option& option : kOptions) {
    whole.push_back(LongName(option));
    begun.push_back(LongName(option).substr(0, name.size()));
  }
  if (const std::string nearest = NearestName(name, whole); !nearest.empty()) return nearest;
  if (name.size() < 7) return "";  // the beginnings of some option are near to any few letters
  const std::string nearest = NearestName(name, begun);
  const auto found = std::find(begun.begin(), begun.end(), nearest);
  return found == begun.end() ? "" : whole[static_cast<size_t>(found - begun.begin())];
}

// The option that `name`, as "-i" or "--input", stands for.
const Option& Find(const std::string& name) {
  std::string nearest;
  if (name.rfind("--", 0) == 0) {
    const std::vector<const Option*> found = Called(name);
    if (found.size() == 1) return *found[0];
    if (found.size() > 1) {
      throw UsageError(name + " is short for " + LongName(*found[0]) + " and for " + LongName(*found[1]), "",
                       "write it out");
    }
    nearest = Nearest(name);
    std::string key = name.substr(2);
    std::replace(key.begin(), key.end(), '-', '_');
    for (const std::string& spelling : {key, key.substr(0, key.size() - key.ends_with('s'))}) {
      if (DescribeConfig().find("\n  " + spelling + " (") != std::string::npos)
        throw UsageError("unknown option " + name, "",
                         spelling + " is a key of the configuration: see --help-config");
    }
  } else {
    for (const Option& option : kOptions) {
      if (name.size() == 2 && std::string(option.names).rfind(name + ",", 0) == 0) return option;
    }
    const std::vector<const Option*> found = Called("-" + name);
    if (!found.empty()) nearest = LongName(*found[0]);
  }
  throw UsageError("unknown option " + name, "", nearest.empty() ? "" : "did you mean " + nearest + "?");
}

// Whether an argument has the name of an option, so that it hardly is the value of another.
bool IsOption(const std::string& argument) {
  if (argument.size() < 2 || argument[0] != '-' || argument == "--") return false;
  try {
    Find(argument.substr(0, argument.find('=')));
    return true;
  } catch (const UsageError&) {
    return false;
  }
}

// Writes the names of options out, and values into arguments of their own.
class Writer {
 public:
  explicit Writer(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  // For CLI11, but for the order.
  std::vector<std::string> Write() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument.rfind("\u2013", 0) == 0 || argument.rfind("\u2014", 0) == 0)
        throw UsageError("'" + argument + "' belongs to no option", "",
                         "it begins with a dash; options have hyphens, --");
      if (argument.size() < 2 || argument[0] != '-' || argument == "--") {
        throw UsageError("'" + argument + "' belongs to no option", "", HintBehind());
      }
      const size_t equals = std::min(argument.find('='), argument.size());
      const std::string name = argument.substr(0, equals);
      // "-input" would be -i with the value "nput".
      if (name.rfind("--", 0) == 0 || (name.size() > 3 && !Called("-" + name).empty()))
        Add(Find(name), equals < argument.size() ? &argument[equals + 1] : nullptr);
      else
        Short(argument);
    }
    return std::move(written_);
  }

  // A warning for each value that another one has taken the place of.
  const std::vector<std::string>& repeated() const { return repeated_; }

 private:
  // "-i", "-im.onnx"; "-vq" are two flags.
  void Short(const std::string& argument) {
    for (size_t i = 1; i < argument.size(); ++i) {
      const Option& option = Find({'-', argument[i]});
      const bool last = TakesNothing(option) || i + 1 == argument.size();
      Add(option, last ? nullptr : &argument[i + 1]);
      if (!TakesNothing(option)) return;
    }
  }

  // value: what stands in the option's own argument, or null.
  void Add(const Option& option, const char* value) {
    const std::string name = LongName(option);
    const bool list = std::holds_alternative<std::vector<std::string> Arguments::*>(option.target);
    behind_list_ = list ? &option : nullptr;
    if (TakesNothing(option)) {
      written_.push_back(value == nullptr ? name : name + "=" + value);
      return;
    }
    if (value == nullptr) {
      if (at_ + 1 == arguments_.size() || IsOption(arguments_[at_ + 1]))
        throw UsageError("its value is missing", name, "expected " + name + " " + option.value);
      value = arguments_[++at_].c_str();
    }
    const auto [given, first] = given_.emplace(&option, written_.size() + 1);
    if (first || list) {
      written_.insert(written_.end(), {name, value});
    } else {  // as XSlim: a script may add to the options that it was given
      written_[given->second] = value;
      repeated_.push_back(name + " is given more than once: the last one counts, " + value);
    }
  }

  // What may have been meant by a text behind the last option's value.
  std::string HintBehind() const {
    if (behind_list_ == nullptr) return "a model goes to -i, a configuration to -c, the output to -o";
    return behind_list_->whole ? LongName(*behind_list_) + " may be repeated"
                               : "commas separate the names of a list, without blanks";
  }

  static bool TakesNothing(const Option& option) { return *option.value == '\0'; }

  const std::vector<std::string>& arguments_;
  std::vector<std::string> written_;
  std::vector<std::string> repeated_;
  std::map<const Option*, size_t> given_;  // where their values are written
  size_t at_ = 0;
  const Option* behind_list_ = nullptr;  // the option before, where it takes a list
};

// Takes lists apart at their commas (CLI11 would pass over empty names); blanks around a name are left out.
void SplitLists(Arguments* arguments) {
  for (const Option& option : kOptions) {
    const auto* member = std::get_if<std::vector<std::string> Arguments::*>(&option.target);
    if (member == nullptr || option.whole) continue;
    std::vector<std::string>& list = arguments->**member;
    std::vector<std::string> names;
    for (const std::string& text : list) {
      size_t begin = 0, comma = 0;
      for (; comma != std::string::npos; begin = comma + 1) {
        comma = text.find(',', begin);
        names.push_back(text.substr(begin, comma - begin));
        names.back().erase(0, names.back().find_first_not_of(" \t\n"));
        names.back().erase(names.back().find_last_not_of(" \t\n") + 1);
        if (names.back().empty()) throw UsageError("holds an empty name: '" + text + "'", option.names);
      }
    }
    list = std::move(names);
  }
}

// The settings that were given, each with its value as it was understood.
std::vector<std::string> SettingsOf(const Arguments& arguments) {
  std::vector<std::string> settings;
  for (const Option& option : kOptions) {
    if (!option.setting) continue;
    const auto add = [&](const std::string& value) { settings.push_back(LongName(option) + " " + value); };
    std::visit(
        [&](auto member) {
          const auto& field = arguments.*member;
          using Value = std::decay_t<decltype(field)>;
          if constexpr (std::is_same_v<Value, bool>) {
            if (field) settings.push_back(LongName(option));
          } else if constexpr (std::is_same_v<Value, int>) {
            if (field != 0) add(std::to_string(field));
          } else if constexpr (std::is_same_v<Value, std::optional<double>>) {
            if (field) add(JsonNumber(*field));
          } else if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
            for (const std::string& text : field) add(text);
          } else {
            if (!field.empty()) add(field);
          }
        },
        option.target);
  }
  return settings;
}

// The key of the configuration that an option sets, if any does.
std::string KeyOf(const Option& option) {
  static const std::map<std::string, std::string> others = {{"--dynq-contrib", "contrib_operators"},
                                                            {"--dynq-full-range", "full_range_weights"},
                                                            {"--fp16-io", "half_io"}};
  const std::string name = LongName(option);
  const auto other = others.find(name);
  if (other != others.end()) return other->second;
  std::string key = name.substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

// The options that were given, by the key that they set.
std::map<std::string, std::string> OptionsByKey(const Arguments& arguments) {
  std::map<std::string, std::string> options;
  const Arguments none;
  for (const Option& option : kOptions) {
    std::visit(
        [&](auto member) {
          if (arguments.*member != none.*member) options[KeyOf(option)] = LongName(option);
        },
        option.target);
  }
  return options;
}

}  // namespace

std::string HelpText() {
  std::string text = "xslim " + Version() +
                     ": int8 quantization of ONNX models\n\n"
                     "Usage: xslim -c CONFIG [-i MODEL] [-o OUTPUT] [options]\n"
                     "       xslim -i MODEL -o OUTPUT [options]\n\nOptions:\n";
  for (const Option& option : kOptions) {
    std::string left = std::string("  ") + option.names;
    if (*option.value != '\0') left += std::string(" ") + option.value;
    left.resize(left.size() < 28 ? 28 : left.size() + 2, ' ');
    text += left + option.help + "\n";
  }
  return text + "\n" + kExamples;
}

Arguments ParseArguments(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app;
  app.set_help_flag();
  AddOptions(&app, &arguments);
  const std::vector<std::string> given(argv + std::min(argc, 1), argv + argc);
  Writer writer(given);
  std::vector<std::string> written = writer.Write();
  arguments.warnings = writer.repeated();
  std::reverse(written.begin(), written.end());  // as CLI11 wants them
  try {
    app.parse(std::move(written));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  SplitLists(&arguments);
  arguments.settings = SettingsOf(arguments);
  arguments.option_of_key = OptionsByKey(arguments);
  return arguments;
}

}  // namespace xslim
