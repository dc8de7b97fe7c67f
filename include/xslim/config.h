// The typed form of an XSlim JSON config. Defaults stand here and nowhere else; src/config/ fills it.
#ifndef XSLIM_CONFIG_H_
#define XSLIM_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace xslim {

enum class CalibrationType { kDefault, kKl, kMinMax, kPercentile, kMse };
enum class FileType { kImage, kNpy, kRaw };
enum class ColorFormat { kBgr, kRgb };

// Level 1 is auto_precision with this target (noise power / signal power of every output).
inline constexpr double kAutoPrecisionTarget = 0.001;

// Which tensors of a unit like Conv+HardSwish carry Q/DQ: XSlim's placement, or one pair per unit.
enum class Placement { kXslim, kFused };
enum class ProtectOutputs { kAuto, kAlways, kNever };
// Weights of Gemm, MatMul and ConvTranspose: per output channel (ours), or XSlim's power-of-two per tensor.
enum class MatrixWeights { kPerChannel, kPowerOfTwoPerTensor };
enum class BiasType { kFloat, kInt32 };
enum class HalfType { kFloat16, kBFloat16 };

// Opsets that a model can be converted to; the one after them can be read, too.
inline constexpr int kLowestOpset = 7, kHighestOpset = 24;

// precision_level values beyond plain int8. Auto: int8, operators float until the outputs are good enough
// (auto_precision); partial: int8, sensitive operators float.
inline constexpr int kPrecisionAuto = 1, kPrecisionPartial = 2;
inline constexpr int kPrecisionDynamic = 3, kPrecisionFp16 = 4, kPrecisionSlimOnly = 100;

// Sizes that a model input is fixed to; -1 = as the model has it. name "": the only input.
struct InputShape {
  std::string name;
  std::vector<int64_t> sizes;
};

struct ModelParameters {
  std::string onnx_model;      // path of the float model; -i overrides it
  std::string output_prefix;   // file name stem of the outputs; "" = <model stem>.q
  std::string working_dir;     // "" = folder of onnx_model
  bool skip_onnxsim = false;   // leave the simplifier out
  bool external_data = false;  // write large tensors into <prefix>.onnx.data whatever the model's size
  bool spacemit_functions =
      false;                 // groups of operators become calls of functions that SpacemiT's runtime knows
  std::optional<int> opset;  // pins the default-domain opset
  std::vector<InputShape> input_shapes;
  // Of the command line alone: simplifier passes left out; whether the simplified graph is compared with the
  // original on random inputs (none: unless the model is huge).
  std::vector<std::string> skip_passes;
  std::optional<bool> verify;
};

// One model input. Empty name, shape and dtype are taken from the model.
struct InputParameters {
  std::string input_name;
  std::vector<int64_t> input_shape;
  std::string dtype;
  std::optional<FileType> file_type;  // none: a list must not be given either
  ColorFormat color_format = ColorFormat::kBgr;
  // Of images, in units of their pixels (0..255): (pixel - mean) / std; one number, or one per channel.
  std::vector<float> mean_value, std_value;
  std::string preprocess_file;  // "", PT_IMAGENET, IMAGENET, LETTERBOX or file.py:function
  std::string data_list_path;   // one path per line; relative to the list file's folder
  std::string json;             // the entry as JSON text: what a preprocess function gets
};

struct CalibrationParameters {
  int calibration_step = 500;  // samples at most; 10..1000, a warning outside
  int calibration_batch_size = 1;
  std::string calibration_device = "cpu";  // no effect; for configs of XSlim's
  CalibrationType calibration_type = CalibrationType::kDefault;
  std::vector<InputParameters> input_parameters;
};

// Settings of the operators between two sets of tensors; what is not set is as in the whole run.
struct CustomSetting {
  std::vector<std::string> input_names, output_names;
  std::optional<double> max_percentile;
  std::optional<int> precision_level;  // 0, 2, or 3: float
  std::optional<CalibrationType> calibration_type;
};

struct QuantizationParameters {
  bool analysis_enable = true;  // write the report
  int precision_level = 0;
  // 0: ranges, and biases that keep means; 1: ranges by their cost, rounded weights, corrected biases; 2: on
  // more samples; 3: weights and biases learned, too.
  int finetune_level = 1;
  double max_percentile = 0.9999;  // of a sample's elements, 0.99..1: the rank of the largest that counts
  std::vector<CustomSetting> custom_setting;
  std::vector<std::string> truncate_var_names, ignore_op_types, ignore_op_names;
  // Ours, beyond XSlim:
  Placement placement = Placement::kXslim;
  ProtectOutputs protect_outputs = ProtectOutputs::kAuto;
  MatrixWeights matrix_weights = MatrixWeights::kPerChannel;
  BiasType bias = BiasType::kFloat;  // environment XQUANT_BIAS_TO_FP32=0 means int32
  // Stages that can be left out (docs/accuracy.md): at every finetune_level; at 0; from 1 on; at 3.
  bool centering = true, equalization = true, visible_ranges = true, one_grid = true;
  bool protect_fragile = true;
  bool keep_means = true;
  bool range_costs = true, weight_rounding = true, bias_correction = true;
  bool learning = true;
  // Gates: what the written model must keep to, see RunResult::missed. On float outputs (figures of
  // OutputQuality) and their parts (the same, over all samples together): cosine >= min_cosine, snr <=
  // max_snr.
  std::optional<double> min_cosine, max_snr;
  bool fail_on_collapse = false;  // no output or part is constant, cut off or the like (docs/report.md)
  // The verdict of an earlier run, "" = none: no output or part may have collapsed that had not, nor may its
  // SNR be over that one's by more than this share of it.
  std::string baseline;
  double baseline_tolerance = 0.1;
  bool sensitivity = false;              // measure what each int8 operator costs in accuracy
  std::optional<double> auto_precision;  // leave operators float until every output's SNR is at most this
  bool strict = false;   // operators that cannot be computed are an Error instead of staying float
  bool int8_io = false;  // levels 0 to 2: model inputs and outputs become their codes where there is a pair
  // Level 3:
  int weight_bits = 8;              // 8, or 4 (blocked weights)
  int weight_block = 32;            // weights that share a 4-bit scale: 16, 32, 64, 128 or 256
  bool weight_zero_points = false;  // 4 bits: uint4 with zero points
  bool full_range_weights = false;  // int8 codes whose products may overflow 16 bits on x86 without VNNI
  bool contrib_operators = false;   // com.microsoft operators where they fit
  // Level 4:
  HalfType half_type = HalfType::kFloat16;
  bool half_io = false;  // float inputs and outputs of the model become 16-bit, too
};

struct Config {
  ModelParameters model;
  CalibrationParameters calibration;
  QuantizationParameters quantization;
  std::string source;  // config file's path for messages; "" when there is none
  std::string hash;    // SHA-256 of that file's bytes
};

}  // namespace xslim

#endif  // XSLIM_CONFIG_H_
