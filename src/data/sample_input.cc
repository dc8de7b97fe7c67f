#include "data/sample_input.h"

#include <algorithm>

#include "base/log.h"

namespace xslim {
namespace {

// The entry of each model input: by name where one is given, the unnamed in order over what is left.
std::vector<const InputParameters*> MatchEntries(const std::vector<InputParameters>& entries,
                                                 const std::vector<ModelInput>& inputs,
                                                 const std::string& where) {
  const std::string names = StrJoin(inputs, ", ", [](const ModelInput& input) { return input.name; });
  if (entries.empty() && !inputs.empty()) {
    throw Error("Calibration input_parameters setting not detected.", where,
                "one entry per model input: " + names);
  }
  if (entries.size() != inputs.size()) {
    throw Error(
        "Calibration input_parametres size should equal to model inputs size.", where,
        StrCat(entries.size(), " given, the model has ", inputs.size(), names.empty() ? "" : ": ", names));
  }
  std::vector<const InputParameters*> matched(inputs.size(), nullptr);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].input_name.empty()) continue;
    const std::string field = StrCat(where, "[", i, "].input_name");
    size_t at = 0;
    while (at < inputs.size() && inputs[at].name != entries[i].input_name) ++at;
    if (at == inputs.size()) {
      throw Error(StrCat("the model has no input ", entries[i].input_name), field, "its inputs: " + names);
    }
    if (matched[at] != nullptr) throw Error(StrCat("input ", inputs[at].name, " is given twice"), field);
    matched[at] = &entries[i];
  }
  size_t free = 0;
  for (const InputParameters& entry : entries) {
    if (!entry.input_name.empty()) continue;
    while (matched[free] != nullptr) ++free;
    matched[free] = &entry;
  }
  return matched;
}

Shape MergeShape(const ModelInput& model, const InputParameters& entry, const std::string& where) {
  if (entry.input_shape.empty()) return model.has_shape ? model.dims : Shape{};
  if (!model.has_shape) return entry.input_shape;
  bool agree = model.dims.size() == entry.input_shape.size();
  Shape shape = entry.input_shape;
  for (size_t i = 0; agree && i < shape.size(); ++i) {
    if (shape[i] < 0) shape[i] = model.dims[i];
    agree = model.dims[i] < 0 || model.dims[i] == shape[i];
  }
  if (!agree) {
    throw Error(StrCat("input_shape ", DimsText(entry.input_shape), " does not agree with the model's ",
                       DimsText(model.dims), " of input ", model.name),
                where + ".input_shape",
                "give other sizes only where model and input_shapes leave them open, or leave it out");
  }
  return shape;
}

InputKind KindOf(const InputParameters& entry, const std::string& where) {
  const bool preset = PresetOf(entry.preprocess_file) != Preset::kNone;
  if (entry.data_list_path.empty()) return InputKind::kZero;
  if (!entry.preprocess_file.empty() && !preset) return InputKind::kScript;
  const FileType type = entry.file_type.value_or(FileType::kImage);
  if (type == FileType::kImage) return InputKind::kImage;
  if (preset) LogWarning(where, ".preprocess_file: ", entry.preprocess_file, " is for images and not used");
  return type == FileType::kNpy ? InputKind::kNpy : InputKind::kRaw;
}

// What the entry sets and its kind of data does not look at. A preprocessing function gets the whole entry.
void WarnIdle(const SampleInput& input) {
  const InputParameters& entry = input.entry;
  const InputKind kind = input.kind;
  std::vector<std::string> keys;
  const auto add = [&keys](const char* key, bool set) {
    if (set) keys.push_back(key);
  };
  if (kind != InputKind::kImage && kind != InputKind::kScript) {
    add("mean_value", !entry.mean_value.empty());
    add("std_value", !entry.std_value.empty());
    add("color_format", entry.color_format != ColorFormat::kBgr);
  }
  if (kind == InputKind::kZero) {
    add("preprocess_file", !entry.preprocess_file.empty());
    add("file_type", entry.file_type.has_value());
  }
  if (kind == InputKind::kZero || kind == InputKind::kImage)
    add("dtype", input.file_dtype != input.dtype && input.file_dtype != DType::kFloat);
  if (keys.empty()) return;
  LogWarning(input.where, ": no effect on ",
             kind == InputKind::kZero    ? "an input without data_list_path"
             : kind == InputKind::kImage ? "images, which are read as float32"
                                         : "files of arrays",
             ": ", StrJoin(keys));
}

void Resolve(const ModelInput& model, const InputParameters& entry, const std::string& where,
             const std::string& source, SampleInput* input) {
  input->name = model.name;
  input->where = where;
  input->entry = entry;
  input->dtype = input->file_dtype = model.dtype;
  if (SizeOf(model.dtype) == 0) {
    throw Error(StrCat("input ", model.name, " holds ",
                       model.dtype == DType::kString ? "strings" : "no tensor of a known type",
                       ", and no data can be read for it"),
                where, "--dynq and --fp16 need no data");
  }
  if (!entry.dtype.empty()) {
    input->file_dtype = DTypeFromName(entry.dtype.c_str());
    if (SizeOf(input->file_dtype) == 0) {
      throw Error(StrCat("unknown dtype ", entry.dtype), where + ".dtype",
                  "numpy's names: float32, int64...");
    }
  }
  input->has_shape = model.has_shape || !entry.input_shape.empty();
  input->symbols = model.symbols;
  input->shape = MergeShape(model, entry, where);
  input->kind = KindOf(entry, where);
  WarnIdle(*input);
  if (input->kind == InputKind::kZero) return;
  input->list = ResolvePath(entry.data_list_path, source);
  input->files =
      ReadListFile(input->list, where + ".data_list_path", &input->lines, input->kind == InputKind::kScript);
  if (input->files.empty()) {
    throw Error(StrCat("Calibration input ", model.name, " finds 0 items."), where + ".data_list_path",
                StrCat("the list file ", input->list, " has no paths"));
  }
}

}  // namespace

std::vector<std::unique_ptr<SampleInput>> ResolveInputs(const Config& config,
                                                        const std::vector<ModelInput>& models) {
  const std::string root =
      (config.source.empty() ? "" : config.source + ": ") + "calibration_parameters.input_parameters";
  const auto& entries = config.calibration.input_parameters;
  const auto matched = MatchEntries(entries, models, root);
  std::vector<std::unique_ptr<SampleInput>> inputs;
  for (size_t i = 0; i < models.size(); ++i) {
    inputs.push_back(std::make_unique<SampleInput>());
    const std::string where = StrCat(root, "[", matched[i] - entries.data(), "]");
    Resolve(models[i], *matched[i], where, config.source, inputs.back().get());
  }
  return inputs;
}

const std::string& SymbolOf(const SampleInput& input, size_t axis) {
  static const std::string none;
  return axis < input.symbols.size() ? input.symbols[axis] : none;
}

void FailUnknown(const SampleInput& input, const char* why) {
  throw Error(input.has_shape ? StrCat("input ", input.name, " has the shape ", DimsText(input.shape),
                                       " with unknown dimensions")
                              : StrCat("the shape of input ", input.name, " is unknown"),
              input.where + ".input_shape", StrCat("give input_shape: ", why));
}

void FillSymbols(const SampleInput& input, const Symbols& symbols, Shape* shape) {
  for (size_t i = 0; i < shape->size(); ++i) {
    const auto at = (*shape)[i] < 0 ? symbols.find(SymbolOf(input, i)) : symbols.end();
    if (at != symbols.end()) (*shape)[i] = at->second;
  }
}

void LearnSymbols(const SampleInput& input, const Shape& shape, Symbols* symbols) {
  for (size_t i = 0; i < shape.size() && i < input.symbols.size(); ++i) {
    if (shape[i] >= 0 && !input.symbols[i].empty()) symbols->emplace(input.symbols[i], shape[i]);
  }
}

int64_t CountUnknown(const Shape& shape) {
  return std::count_if(shape.begin(), shape.end(), [](int64_t dim) { return dim < 0; });
}

void AddReading(const SampleInput& input, Hasher* hasher) {
  hasher->Add(static_cast<uint64_t>(input.kind));
  hasher->Add(StrCat(NameOf(input.dtype), " ", NameOf(input.file_dtype), " ", ToString(input.shape), " ",
                     ToString(input.item)));
  if (input.kind != InputKind::kImage) return;
  const ImageSettings& image = input.image;
  for (int number : {image.channels, image.height, image.width, int{image.channels_last}, int{image.rgb},
                     static_cast<int>(image.preset)})
    hasher->Add(static_cast<uint64_t>(number));
  for (const std::vector<double>* numbers : {&image.mean, &image.std})
    hasher->Add(numbers->data(), numbers->size() * sizeof(double));
}

}  // namespace xslim
