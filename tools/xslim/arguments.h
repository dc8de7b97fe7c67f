// The command line's options: what they are called, what they take, and what was given.
#ifndef XSLIM_TOOLS_XSLIM_ARGUMENTS_H_
#define XSLIM_TOOLS_XSLIM_ARGUMENTS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace xslim {

struct Arguments {
  std::string config_path, input_path, output_path, log_file, save_stats, load_stats, max_memory, profile,
      baseline, preview;
  std::vector<std::string> ignore_op_types, ignore_op_names, input_shapes, op_libraries, skip_passes;
  std::vector<std::string> warnings;  // of the command line itself
  std::vector<std::string> settings;  // what changes the result, options as they would be written out
  std::map<std::string, std::string> option_of_key;  // those that were given, by the key they set
  std::optional<double> min_cosine, max_snr, auto_precision, baseline_tolerance;
  int opset = 0, threads = 0, weight_bits = 0, weight_block = 0;  // opset, weight_*: 0 = not given
  bool external_data = false, fp16 = false, bf16 = false, fp16_io = false, int8_io = false, dynq = false,
       dynq_contrib = false, dynq_full_range = false, weight_zero_points = false, strict = false,
       verbose = false, quiet = false, help = false, help_config = false, version = false,
       list_passes = false, verify = false, no_verify = false, spacemit_functions = false,
       fail_on_collapse = false, sensitivity = false, dry_run = false;
};

// Throws UsageError, which names the argument and, where one is near, the option that was meant.
Arguments ParseArguments(int argc, const char* const* argv);

std::string HelpText();

}  // namespace xslim

#endif  // XSLIM_TOOLS_XSLIM_ARGUMENTS_H_
