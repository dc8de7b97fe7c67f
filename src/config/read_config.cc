#include <algorithm>
#include <cctype>
#include <set>

#include "base/environment.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "config/keys.h"
#include "config/tolerant_json.h"
#include "config/words.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

using nlohmann::json;

// Refuses a name that stands twice in a list; `text` is XSlim's wording.
void RefuseDuplicates(const Field& field, const std::vector<std::string>& names, const std::string& text) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) field.Fail(text + ": " + name);
  }
}

int PrecisionLevel(const Field& field) {
  const int level = field.Int();
  if ((level < 0 || level > kPrecisionFp16) && level != kPrecisionSlimOnly)
    field.Expected("0, 1, 2, 3, 4 or 100");
  return level;
}

// All objects of a config with their keys; of two that hold a key the first one is the more likely place.
const std::vector<KeyPlace>& Places();

const std::string kOpsetRange = StrCat(kLowestOpset, "..", kHighestOpset);

using Model = ModelParameters;
const Keys<Model> kModelKeys = {
    {"onnx_model", "path", "the float model; -i overrides it",
     [](Model* m, const Field& f) { m->onnx_model = f.Path(); }},
    {"output_prefix", "string", "file name stem of the outputs (default: <model>.q)",
     [](Model* m, const Field& f) { m->output_prefix = f.String(); }},
    {"working_dir", "path", "folder of the outputs, made when missing (default: the model's)",
     [](Model* m, const Field& f) { m->working_dir = f.Path(); }},
    {"skip_onnxsim", "bool", "leave the simplifier out (default: false)",
     [](Model* m, const Field& f) { m->skip_onnxsim = f.Bool(); }},
    {"spacemit_functions", "bool", "WindowPartition, WindowReverse, YoloDecode as functions (default: false)",
     [](Model* m, const Field& f) { m->spacemit_functions = f.Bool(); }},
    {"opset", kOpsetRange.c_str(), "opset of the output (default: the model's, at least 13)",
     [](Model* m, const Field& f) { m->opset = f.Int(kLowestOpset, kHighestOpset); }},
    {"input_shapes", "object", "sizes that inputs are fixed to, e.g. {\"x\": [1, 3, 224, 224]}",
     [](Model* m, const Field& f) {
       if (!f.value().is_object()) f.Expected("an object of lists, by input, e.g. {\"x\": [1, 3, 224, 224]}");
       for (const auto& [name, sizes] : f.value().items())
         m->input_shapes.push_back({name, f.Member(name).Dims()});
     }},
    {"external_data", "bool", "write large tensors beside the model (default: when it is over 1.9 GB)",
     [](Model* m, const Field& f) { m->external_data = f.Bool(); }},
};

using Input = InputParameters;
const Keys<Input> kInputKeys = {
    {"input_name", "string", "the model input (default: by position)",
     [](Input* i, const Field& f) { i->input_name = f.String(); }},
    {"input_shape", "integers", "its shape (default: the model's, symbolic batch 1)",
     [](Input* i, const Field& f) {
       i->input_shape = f.Dims();
       if (i->input_shape.empty()) LogWarning(f.Where(), ": is empty, so that the model's own shape counts");
     }},
    {"dtype", "string", "its element type (default: the model's)",
     [](Input* i, const Field& f) {
       const std::string name = f.String();
       const std::set<std::string> known = {"",        "bool",    "int8",   "uint8", "int16",
                                            "uint16",  "int32",   "uint32", "int64", "uint64",
                                            "float16", "float32", "float64"};
       if (!known.count(name)) f.Expected("a type, e.g. float32, int64 or uint8");
       i->dtype = name;
     }},
    {"file_type", "img|npy|raw", "kind of the listed files (default: img)",
     [](Input* i, const Field& f) {
       i->file_type = f.Word<FileType>(
           {{"img", FileType::kImage}, {"npy", FileType::kNpy}, {"raw", FileType::kRaw}}, true);
     }},
    {"color_format", "bgr|rgb", "channel order of images (default: bgr)",
     [](Input* i, const Field& f) {
       i->color_format = f.Word<ColorFormat>({{"bgr", ColorFormat::kBgr}, {"rgb", ColorFormat::kRgb}});
     }},
    {"mean_value", "numbers", "subtracted from images; one, or one per channel",
     [](Input* i, const Field& f) { i->mean_value = f.Floats(); }},
    {"std_value", "numbers", "divides images after the mean; one, or one per channel",
     [](Input* i, const Field& f) {
       i->std_value = f.Floats();
       for (size_t k = 0; k < i->std_value.size(); ++k) {
         if (i->std_value[k] == 0.0f) f.Element(k).Fail("a std_value of 0 would divide by zero");
       }
     }},
    {"preprocess_file", "string", "PT_IMAGENET, IMAGENET, LETTERBOX or file.py:function",
     [](Input* i, const Field& f) { i->preprocess_file = f.Path(); }},
    {"data_list_path", "path", "text file with one data file per line",
     [](Input* i, const Field& f) {
       i->data_list_path = f.Path();
       if (i->data_list_path.empty()) f.Fail("is empty", "name a list file, or leave it out");
     }},
};

void SetInputs(CalibrationParameters* out, const Field& field) {
  for (const Field& entry : field.List("a list of objects, one per model input")) {
    Input input;
    ReadObject(entry, kInputKeys, Places(), &input);
    if (!input.file_type && !input.data_list_path.empty()) input.file_type = FileType::kImage;
    const bool image = input.file_type == FileType::kImage;
    if (image && std::count(input.input_shape.begin(), input.input_shape.end(), 0) > 0)
      entry.Member("input_shape")
          .Fail("holds 0, which no image has", "give all sizes, e.g. [1, 3, 224, 224]");
    input.json = entry.value().dump(-1, ' ', false, json::error_handler_t::replace);
    out->input_parameters.push_back(std::move(input));
  }
}

using Calibration = CalibrationParameters;
const Keys<Calibration> kCalibrationKeys = {
    {"calibration_step", "integer", "samples at most, 10..1000 (default: 500)",
     [](Calibration* c, const Field& f) {
       c->calibration_step = f.Int(1);
       if (c->calibration_step < 10 || c->calibration_step > 1000) {
         LogWarning(f.Where(), ": ", c->calibration_step, " is outside the recommended 10 to 1000 samples");
       }
     }},
    {"calibration_batch_size", "integer", "samples per batch (default: 1)",
     [](Calibration* c, const Field& f) { c->calibration_batch_size = f.Int(1); }},
    {"calibration_device", "cpu", "cuda is read as cpu with a warning",
     [](Calibration* c, const Field& f) {
       const std::string device = f.String();
       if (device == "cuda") {
         LogWarning(f.Where(), ": cuda is not used by this program, calibration runs on cpu");
       } else if (device != "cpu") {
         f.Fail("Device type " + device + " not understand.", "the device is cpu");
       }
       c->calibration_device = "cpu";
     }},
    {"calibration_type", "string", "default, kl, minmax, percentile or mse (default: default)",
     [](Calibration* c, const Field& f) { c->calibration_type = f.Word(CalibrationTypes(), true); }},
    {"input_parameters", "list of objects", "one per model input, in the model's order",
     [](Calibration* c, const Field& f) { SetInputs(c, f); }},
    {"input_parametres", "list of objects", "the same, in the spelling of older configs",
     [](Calibration* c, const Field& f) { SetInputs(c, f); }},
};

using Custom = CustomSetting;
const Keys<Custom> kCustomKeys = {
    {"input_names", "strings", "tensors where the subgraph begins; constants may be left out",
     [](Custom* c, const Field& f) { c->input_names = f.Strings(); }},
    {"output_names", "strings", "tensors where it ends",
     [](Custom* c, const Field& f) { c->output_names = f.Strings(); }},
    {"max_percentile", "0.99..1", "as the global key, for this subgraph",
     [](Custom* c, const Field& f) { c->max_percentile = f.Number(0.99, 1.0); }},
    {"precision_level", "0, 2, 3", "0 and 2 as the global key, 3 float, for this subgraph",
     [](Custom* c, const Field& f) {
       const int level = PrecisionLevel(f);
       if (level > kPrecisionDynamic || level == kPrecisionAuto) f.Expected("0, 2 or 3 (float)");
       c->precision_level = level;
     }},
    {"calibration_type", "string", "as the global key, for this subgraph",
     [](Custom* c, const Field& f) { c->calibration_type = f.Word(CalibrationTypes(), true); }},
};

void SetCustom(QuantizationParameters* out, const Field& field) {
  for (const Field& entry : field.List("a list of objects")) {
    Custom custom;
    ReadObject(entry, kCustomKeys, Places(), &custom);
    if (custom.input_names.empty()) entry.Fail("input_names is missing or empty");
    if (custom.output_names.empty()) entry.Fail("output_names is missing or empty");
    out->custom_setting.push_back(std::move(custom));
  }
}

using Quantization = QuantizationParameters;
const Keys<Quantization> kQuantizationKeys = {
    {"analysis_enable", "bool", "write the report (default: true)",
     [](Quantization* q, const Field& f) { q->analysis_enable = f.Bool(); }},
    {"precision_level", "0..4, 100",
     "0 int8, 1 and 2 partly float, 3 dynamic, 4 float16, 100 simplify only (default: 0)",
     [](Quantization* q, const Field& f) { q->precision_level = PrecisionLevel(f); }},
    {"finetune_level", "0..3", "1 tunes ranges, weights, biases; 2: more samples; 3: learns (default: 1)",
     [](Quantization* q, const Field& f) { q->finetune_level = f.Int(0, 3); }},
    {"max_percentile", "0.99..1", "range kept by percentile calibration (default: 0.9999)",
     [](Quantization* q, const Field& f) { q->max_percentile = f.Number(0.99, 1.0); }},
    {"custom_setting", "list of objects", "settings for subgraphs",
     [](Quantization* q, const Field& f) { SetCustom(q, f); }},
    {"truncate_var_names", "strings", "tensors below which the model stays float",
     [](Quantization* q, const Field& f) {
       q->truncate_var_names = f.Strings();
       RefuseDuplicates(f, q->truncate_var_names,
                        "The incoming truncate_var_names contains duplicate tensor names");
     }},
    {"ignore_op_types", "strings", "operator types that stay float",
     [](Quantization* q, const Field& f) { q->ignore_op_types = f.Strings(); }},
    {"ignore_op_names", "strings", "nodes that stay float",
     [](Quantization* q, const Field& f) { q->ignore_op_names = f.Strings(); }},
    {"placement", "xslim|fused", "which tensors carry Q/DQ (default: xslim)",
     [](Quantization* q, const Field& f) {
       q->placement = f.Word<Placement>({{"xslim", Placement::kXslim}, {"fused", Placement::kFused}});
     }},
    {"protect_outputs", "auto|always|never", "keep sensitive outputs float (default: auto)",
     [](Quantization* q, const Field& f) {
       q->protect_outputs = f.Word<ProtectOutputs>({{"auto", ProtectOutputs::kAuto},
                                                    {"always", ProtectOutputs::kAlways},
                                                    {"never", ProtectOutputs::kNever}});
     }},
    {"matrix_weights", "string", "per_channel or power_of_two_per_tensor (default: per_channel)",
     [](Quantization* q, const Field& f) {
       q->matrix_weights =
           f.Word<MatrixWeights>({{"per_channel", MatrixWeights::kPerChannel},
                                  {"power_of_two_per_tensor", MatrixWeights::kPowerOfTwoPerTensor}});
     }},
    {"bias", "float|int32", "type of biases (default: float; XQUANT_BIAS_TO_FP32=0: int32)",
     [](Quantization* q, const Field& f) {
       q->bias = f.Word<BiasType>({{"float", BiasType::kFloat}, {"int32", BiasType::kInt32}});
     }},
    {"centering", "bool", "channels between layers lie around zero where it pays (default: true)",
     [](Quantization* q, const Field& f) { q->centering = f.Bool(); }},
    {"equalization", "bool", "rescale channels between layers where it pays (default: true)",
     [](Quantization* q, const Field& f) { q->equalization = f.Bool(); }},
    {"visible_ranges", "bool", "no codes for what consumers cannot see (default: true)",
     [](Quantization* q, const Field& f) { q->visible_ranges = f.Bool(); }},
    {"one_grid", "bool", "one scale before and behind the addition of a number (default: true)",
     [](Quantization* q, const Field& f) { q->one_grid = f.Bool(); }},
    {"protect_fragile", "bool", "operators that ruin an output in int8 alone stay float (default: true)",
     [](Quantization* q, const Field& f) { q->protect_fragile = f.Bool(); }},
    {"keep_means", "bool", "biases keep the means of outputs, where level 0's are used (default: true)",
     [](Quantization* q, const Field& f) { q->keep_means = f.Bool(); }},
    {"range_costs", "bool", "finetune_level 1..3: ranges by what they cost at the outputs (default: true)",
     [](Quantization* q, const Field& f) { q->range_costs = f.Bool(); }},
    {"weight_rounding", "bool", "finetune_level 1..3: weights rounded against their inputs (default: true)",
     [](Quantization* q, const Field& f) { q->weight_rounding = f.Bool(); }},
    {"bias_correction", "bool", "finetune_level 1..3: biases bring means back (default: true)",
     [](Quantization* q, const Field& f) { q->bias_correction = f.Bool(); }},
    {"learning", "bool", "finetune_level 3: weights and biases learned (default: true)",
     [](Quantization* q, const Field& f) { q->learning = f.Bool(); }},
    {"min_cosine", "-1..1", "gate: least cosine of every output (default: none)",
     [](Quantization* q, const Field& f) { q->min_cosine = f.Number(-1, 1); }},
    {"max_snr", "0..1e6", "gate: largest noise/signal of every output (default: none)",
     [](Quantization* q, const Field& f) { q->max_snr = f.Number(0, 1e6); }},
    {"fail_on_collapse", "bool", "gate: no output may have collapsed (default: false)",
     [](Quantization* q, const Field& f) { q->fail_on_collapse = f.Bool(); }},
    {"baseline", "path", "gate: no output is noisier than in this verdict of an earlier run (default: none)",
     [](Quantization* q, const Field& f) {
       q->baseline = f.Path();
       if (q->baseline.empty()) f.Fail("is empty", "name a verdict of an earlier run, or leave it out");
     }},
    {"baseline_tolerance", "0..1000", "baseline: share by which the noise may have grown (default: 0.1)",
     [](Quantization* q, const Field& f) { q->baseline_tolerance = f.Number(0, 1000); }},
    {"sensitivity", "bool", "measure what each int8 operator costs (default: false)",
     [](Quantization* q, const Field& f) { q->sensitivity = f.Bool(); }},
    {"auto_precision", "1e-6..1e6", "leave operators float until every output's noise/signal is at most this",
     [](Quantization* q, const Field& f) { q->auto_precision = f.Number(1e-6, 1e6); }},
    {"strict", "bool", "an operator that cannot be computed is an error (default: false)",
     [](Quantization* q, const Field& f) { q->strict = f.Bool(); }},
    {"int8_io", "bool", "levels 0 to 2: model inputs and outputs are int8 codes (default: false)",
     [](Quantization* q, const Field& f) { q->int8_io = f.Bool(); }},
    {"weight_bits", "8|4", "level 3: width of weights (default: 8)",
     [](Quantization* q, const Field& f) {
       q->weight_bits = f.Int(4, 8);
       if (q->weight_bits != 4 && q->weight_bits != 8) f.Expected("8 or 4");
     }},
    {"weight_block", "16..256", "level 3, 4 bits: weights per scale, a power of two (default: 32)",
     [](Quantization* q, const Field& f) {
       q->weight_block = f.Int(16, 256);
       if ((q->weight_block & (q->weight_block - 1)) != 0) f.Expected("16, 32, 64, 128 or 256");
     }},
    {"weight_zero_points", "bool", "level 3, 4 bits: uint4 with zero points (default: false)",
     [](Quantization* q, const Field& f) { q->weight_zero_points = f.Bool(); }},
    {"full_range_weights", "bool", "level 3: int8 codes may overflow x86 without VNNI (default: false)",
     [](Quantization* q, const Field& f) { q->full_range_weights = f.Bool(); }},
    {"contrib_operators", "bool", "level 3: com.microsoft operators where they fit (default: false)",
     [](Quantization* q, const Field& f) { q->contrib_operators = f.Bool(); }},
    {"half_type", "float16|bfloat16", "level 4: the 16-bit type (default: float16)",
     [](Quantization* q, const Field& f) {
       q->half_type = f.Word<HalfType>({{"float16", HalfType::kFloat16}, {"bfloat16", HalfType::kBFloat16}});
     }},
    {"half_io", "bool", "level 4: 16-bit model inputs and outputs, too (default: false)",
     [](Quantization* q, const Field& f) { q->half_io = f.Bool(); }},
};

const Keys<Config> kTopKeys = {
    {"model_parameters", "object", "the model and where the outputs go",
     [](Config* c, const Field& f) { ReadObject(f, kModelKeys, Places(), &c->model); }},
    {"calibration_parameters", "object", "how ranges are found, and the data",
     [](Config* c, const Field& f) {
       ReadObject(f, kCalibrationKeys, Places(), &c->calibration);
       if (f.value().contains("input_parameters") && f.value().contains("input_parametres")) {
         f.Fail("input_parameters and input_parametres are both present", "keep one of them");
       }
     }},
    {"quantization_parameters", "object", "what is quantized and how",
     [](Config* c, const Field& f) { ReadObject(f, kQuantizationKeys, Places(), &c->quantization); }},
};

constexpr char kTop[] = "top level", kModel[] = "model_parameters", kCalibration[] = "calibration_parameters",
               kInput[] = "calibration_parameters.input_parameters[]",
               kQuantization[] = "quantization_parameters",
               kCustom[] = "quantization_parameters.custom_setting[]";

const std::vector<KeyPlace>& Places() {
  static const std::vector<KeyPlace> places = {
      {"the top-level object", NamesOf(kTopKeys)}, {kModel, NamesOf(kModelKeys)},
      {kCalibration, NamesOf(kCalibrationKeys)},   {kInput, NamesOf(kInputKeys)},
      {kQuantization, NamesOf(kQuantizationKeys)}, {kCustom, NamesOf(kCustomKeys)}};
  return places;
}

// Parses with a warning for every key that stands twice in one object (the last one counts, as in Python).
json ParseWithDuplicateCheck(const std::string& text, const std::string& path) {
  std::vector<std::set<std::string>> open;
  return json::parse(
      text,
      [&](int depth, json::parse_event_t event, json& parsed) {
        RefuseDepth(depth, path);
        if (event == json::parse_event_t::object_start) open.emplace_back();
        if (event == json::parse_event_t::object_end) open.pop_back();
        if (event == json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
          LogWarning(path, ": key ", parsed.get<std::string>(),
                     " stands twice in one object; the last one counts");
        }
        return true;
      },
      true, true);
}

unsigned char Byte(char c) { return static_cast<unsigned char>(c); }

// "line 3, column 7: unexpected ','; expected string literal" from the parser's error.
[[noreturn]] void FailSyntax(const std::string& text, const json::parse_error& error,
                             const std::string& path) {
  std::string what = error.what();
  const size_t begin = what.find("syntax error");
  if (begin != std::string::npos) what = what.substr(begin);
  const size_t at = std::min(error.byte == 0 ? 0 : error.byte - 1, text.size());
  size_t line = 1, column = 1;
  for (size_t i = 0; i < at; ++i) {
    const bool continuation = (Byte(text[i]) & 0xC0) == 0x80;
    column = text[i] == '\n' ? 1 : column + !continuation;
    line += text[i] == '\n';
  }
  std::string hint;
  const size_t before = at == 0 ? std::string::npos : text.find_last_not_of(" \t\r\n", at - 1);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (IsUtf16(text)) {
    hint = "the file is UTF-16: save it as UTF-8";
  } else if (text.find('\0') != std::string::npos || path.ends_with(".onnx")) {
    hint = "a configuration is a text file; a model goes to -i";
  } else if (what.find("forbidden character after backslash") != std::string::npos) {
    hint = "a backslash is written \\\\ in JSON; paths take / as well";
  } else if (first == std::string::npos) {
    hint = "the file is empty";
  } else if (path.ends_with(".yaml") || path.ends_with(".yml") || std::isalpha(Byte(text[first])) ||
             text[first] == '-') {
    hint = "a configuration is JSON and begins with {";
  } else if (before != std::string::npos && text[before] == ',' && at < text.size() &&
             (text[at] == '}' || text[at] == ']')) {
    hint = StrCat("remove the comma before the ", text[at]);
  } else if (text.compare(at, 4, "True") == 0 || text.compare(at, 5, "False") == 0 ||
             text.compare(at, 4, "None") == 0) {
    hint = "JSON writes true, false and null";
  } else if (text.compare(at, 3, "NaN") == 0 || text.compare(at, 8, "Infinity") == 0) {
    hint = "JSON has no NaN and no infinity: leave the key out";
  } else if (what.find("ill-formed UTF-8") != std::string::npos) {
    hint = "save the file as UTF-8";
  } else if (at < text.size() && text[at] == '\'') {
    hint = "strings stand in double quotes";
  } else if (at < text.size() && text[at] == '#') {
    hint = "comments begin with //";
  }
  throw Error(StrCat("not valid JSON: line ", line, ", column ", column, ": ", what), path, hint);
}

json Parse(const std::string& text, const std::string& path) {
  try {
    return ParseWithDuplicateCheck(text, path);
  } catch (const json::parse_error& error) {
    std::vector<std::string> notes;
    const std::string repaired = TolerateRemarks(text, &notes);
    if (notes.empty() || !json::accept(repaired, true)) FailSyntax(text, error, path);
    for (const std::string& note : notes) LogWarning(path, ": ", note);
    return ParseWithDuplicateCheck(repaired, path);
  }
}

BiasType DefaultBias() {
  constexpr char kVariable[] = "XQUANT_BIAS_TO_FP32";
  const std::string text = EnvironmentText(kVariable);
  if (text.empty() || text == "1") return BiasType::kFloat;
  if (text == "0") return BiasType::kInt32;
  FailEnvironment(kVariable, "expected 0 or 1", "0 makes int32 biases, 1 leaves them float");
}

}  // namespace

Config ReadConfig(const std::string& path) {
  Config config;
  config.source = path;
  config.quantization.bias = DefaultBias();
  try {
    const std::string text = ReadFileOrPipe(path);
    config.hash = Sha256Of(text);
    const json root = Parse(text, path);
    ReadObject(Field(root, path, ""), kTopKeys, Places(), &config);
  } catch (const json::exception& error) {
    const std::string what = error.what();  // "[json.exception.out_of_range.406] number overflow ..."
    throw Error("not valid JSON: " + what.substr(what.rfind("[json.", 0) == 0 ? what.find(' ') + 1 : 0),
                path);
  }
  return config;
}

std::string DescribeConfig() {
  return "A config is a JSON object; // and /* */ comments are allowed, unknown keys are warned about.\n\n" +
         DescribeKeys(kTop, kTopKeys) + "\n" + DescribeKeys(kModel, kModelKeys) + "\n" +
         DescribeKeys(kCalibration, kCalibrationKeys) + "\n" + DescribeKeys(kInput, kInputKeys) + "\n" +
         DescribeKeys(kQuantization, kQuantizationKeys) + "\n" + DescribeKeys(kCustom, kCustomKeys);
}

}  // namespace xslim
