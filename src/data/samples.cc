#include "data/samples.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

enum class Kind { kZero, kImage, kNpy, kRaw, kScript };

// One model input, resolved against its config entry.
struct Input {
  std::string name, where, list;  // where: JSON path of the entry
  DType dtype = DType::kFloat, file_dtype = DType::kFloat;
  bool has_shape = false;
  std::vector<std::string> symbols;  // of the dimensions
  Shape shape;                       // of a batch; -1 unknown
  Shape item;                        // of what one file holds
  InputParameters entry;
  Kind kind = Kind::kZero;
  ImageSettings image;
  std::unique_ptr<Script> script;
  std::vector<std::string> files;
  std::vector<int64_t> lines;  // of `list`, by file
  // The batch of a list of length 1, the same for every sample.
  mutable std::mutex mutex;
  mutable std::optional<Tensor> constant;
};

// The entry of each model input: by name where one is given, the unnamed in order over what is left.
std::vector<const InputParameters*> MatchEntries(const std::vector<InputParameters>& entries,
                                                 const std::vector<ModelInput>& inputs,
                                                 const std::string& where) {
  std::string names;
  for (const ModelInput& input : inputs) names += (names.empty() ? "" : ", ") + input.name;
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

Kind KindOf(const InputParameters& entry, const std::string& where) {
  const bool preset = PresetOf(entry.preprocess_file) != Preset::kNone;
  if (entry.data_list_path.empty()) return Kind::kZero;
  if (!entry.preprocess_file.empty() && !preset) return Kind::kScript;
  const FileType type = entry.file_type.value_or(FileType::kImage);
  if (type == FileType::kImage) return Kind::kImage;
  if (preset) LogWarning(where, ".preprocess_file: ", entry.preprocess_file, " is for images and not used");
  return type == FileType::kNpy ? Kind::kNpy : Kind::kRaw;
}

// What the entry sets and its kind of data does not look at. A preprocessing function gets the whole entry.
void WarnIdle(const Input& input) {
  const InputParameters& entry = input.entry;
  const Kind kind = input.kind;
  std::string keys;
  const auto add = [&keys](const char* key, bool set) {
    if (set) keys += (keys.empty() ? "" : ", ") + std::string(key);
  };
  if (kind != Kind::kImage && kind != Kind::kScript) {
    add("mean_value", !entry.mean_value.empty());
    add("std_value", !entry.std_value.empty());
    add("color_format", entry.color_format != ColorFormat::kBgr);
  }
  if (kind == Kind::kZero) {
    add("preprocess_file", !entry.preprocess_file.empty());
    add("file_type", entry.file_type.has_value());
  }
  if (kind == Kind::kZero || kind == Kind::kImage)
    add("dtype", input.file_dtype != input.dtype && input.file_dtype != DType::kFloat);
  if (keys.empty()) return;
  LogWarning(input.where, ": no effect on ",
             kind == Kind::kZero    ? "an input without data_list_path"
             : kind == Kind::kImage ? "images, which are read as float32"
                                    : "files of arrays",
             ": ", keys);
}

using Symbols = std::map<std::string, int64_t>;

const std::string& SymbolOf(const Input& input, size_t axis) {
  static const std::string none;
  return axis < input.symbols.size() ? input.symbols[axis] : none;
}

[[noreturn]] void FailUnknown(const Input& input, const char* why) {
  throw Error(input.has_shape ? StrCat("input ", input.name, " has the shape ", DimsText(input.shape),
                                       " with unknown dimensions")
                              : StrCat("the shape of input ", input.name, " is unknown"),
              input.where + ".input_shape", StrCat("give input_shape: ", why));
}

// Puts what the symbols stand for into unknown dimensions.
void Fill(const Input& input, const Symbols& symbols, Shape* shape) {
  for (size_t i = 0; i < shape->size(); ++i) {
    const auto at = (*shape)[i] < 0 ? symbols.find(SymbolOf(input, i)) : symbols.end();
    if (at != symbols.end()) (*shape)[i] = at->second;
  }
}

// Learns what the symbols of an input's unknown dimensions stand for; the first one to tell counts.
void Learn(const Input& input, const Shape& shape, Symbols* symbols) {
  for (size_t i = 0; i < shape.size() && i < input.symbols.size(); ++i) {
    if (shape[i] >= 0 && !input.symbols[i].empty()) symbols->emplace(input.symbols[i], shape[i]);
  }
}

int64_t CountUnknown(const Shape& shape) {
  return std::count_if(shape.begin(), shape.end(), [](int64_t dim) { return dim < 0; });
}

// `parts` joined along axis 0; equal shapes but for that axis. `path` names the last one in errors.
Tensor Concat(const std::vector<Tensor>& parts, const std::string& path) {
  if (parts.size() == 1) return parts.front();
  Shape shape = parts.front().shape();
  if (shape.empty())
    throw Error("scalars cannot be joined into a batch", path, "use calibration_batch_size 1");
  shape[0] = 0;
  for (const Tensor& part : parts) {
    Shape rest = part.shape();
    const int64_t rows = rest.empty() ? 0 : rest[0];
    if (!rest.empty()) rest[0] = shape[0];
    if (rest != shape) {
      throw Error(StrCat("arrays of one batch differ in shape: ", ToString(parts.front().shape()), " and ",
                         ToString(part.shape())),
                  path, "use calibration_batch_size 1");
    }
    shape[0] += rows;
  }
  Tensor joined(parts.front().dtype(), shape);
  std::byte* out = joined.raw();
  for (const Tensor& part : parts) out = std::copy(part.raw(), part.raw() + part.bytes(), out);
  return joined;
}

// What a file's bytes and an input's shape leave open.
void AddReading(const Input& input, Hasher* hasher) {
  hasher->Add(static_cast<uint64_t>(input.kind));
  hasher->Add(StrCat(NameOf(input.dtype), " ", NameOf(input.file_dtype), " ", ToString(input.shape), " ",
                     ToString(input.item)));
  if (input.kind != Kind::kImage) return;
  const ImageSettings& image = input.image;
  for (int number : {image.channels, image.height, image.width, int{image.channels_last}, int{image.rgb},
                     static_cast<int>(image.preset)})
    hasher->Add(static_cast<uint64_t>(number));
  for (const std::vector<double>* numbers : {&image.mean, &image.std})
    hasher->Add(numbers->data(), numbers->size() * sizeof(double));
}

// What `read` gives for a line of the input's list; errors name it.
template <typename Function>
auto Listed(const Input& input, int64_t line, const Function& read) {
  try {
    return read();
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    throw Error(error.what(), StrCat(input.list, ":", line));
  }
}

class ListSource : public SampleSource {
 public:
  ListSource(const Config& config, const std::vector<ModelInput>& models, int64_t limit) {
    const std::string root =
        (config.source.empty() ? "" : config.source + ": ") + "calibration_parameters.input_parameters";
    const auto& entries = config.calibration.input_parameters;
    const auto matched = MatchEntries(entries, models, root);
    for (size_t i = 0; i < models.size(); ++i) {
      inputs_.push_back(std::make_unique<Input>());
      const std::string where = StrCat(root, "[", matched[i] - entries.data(), "]");
      Resolve(models[i], *matched[i], where, config.source, inputs_.back().get());
    }
    for (const auto& input : inputs_) {
      if (!input->entry.input_shape.empty()) Learn(*input, input->shape, &symbols_);
    }
    for (auto& input : inputs_) Fill(*input, symbols_, &input->shape);
    CountFiles();
    SetBatch(config.calibration.calibration_batch_size);
    for (auto& input : inputs_) Prepare(config.source, input.get());
    WarnOfZeros();
    if (limit > 0) size_ = std::min(size_, limit);
  }

  int64_t size() const override { return size_; }

  std::string Describe() const override {
    if (inputs_.empty()) return "1 run without inputs";
    std::string lists;
    for (const auto& input : inputs_) {
      if (!input->list.empty()) lists += (lists.empty() ? " of " : " and ") + input->list;
    }
    if (lists.empty()) return "1 all-zero sample";
    std::string zeros;
    for (const auto& input : inputs_) {
      if (input->list.empty()) zeros += (zeros.empty() ? ", zeros for " : ", ") + input->name;
    }
    lists += zeros;
    if (batch_ > 1)
      return StrCat(size_, size_ == 1 ? " batch of " : " batches of ", batch_, " samples", lists);
    return StrCat(size_, size_ == 1 ? " sample" : " samples", lists);
  }

  std::string TitleOf(int64_t index) const override {
    std::string places;
    for (const auto& input : inputs_) {
      if (input->files.empty()) continue;
      const int64_t last = std::ssize(input->files) - 1;
      const auto line = [&](int64_t i) { return input->lines[static_cast<size_t>(std::min(i, last))]; };
      const int64_t begin = line(index * batch_), end = line((index + 1) * batch_ - 1);
      places += StrCat(places.empty() ? " (" : ", ", input->list, ":", begin);
      if (end != begin) places += StrCat("-", end);
    }
    return StrCat(batch_ > 1 ? "batch " : "sample ", index + 1, places, places.empty() ? "" : ")");
  }

  std::string Fingerprint(int64_t index) const override {
    const bool scripted = std::any_of(inputs_.begin(), inputs_.end(),
                                      [](const auto& input) { return input->kind == Kind::kScript; });
    if (scripted) return SampleSource::Fingerprint(index);
    Hasher hasher;
    hasher.Add(static_cast<uint64_t>(batch_));
    for (const auto& input : inputs_) {
      AddReading(*input, &hasher);
      for (int64_t i = index * batch_; i < (index + 1) * batch_ && input->kind != Kind::kZero; ++i) {
        hasher.Add(ReadFile(input->files[input->files.size() == 1 ? 0 : static_cast<size_t>(i)]));
      }
    }
    return hasher.Hex();
  }

  Sample at(int64_t index) const override {
    if (index < 0 || index >= size_) throw Error(StrCat("sample ", index, " of ", size_, " does not exist"));
    Sample sample(inputs_.size());
    Symbols symbols = symbols_;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i]->kind == Kind::kZero) continue;
      sample[i] = Batch(*inputs_[i], index);
      Learn(*inputs_[i], sample[i].shape(), &symbols);
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i]->kind == Kind::kZero) sample[i] = Zeros(*inputs_[i], symbols);
    }
    return sample;
  }

 private:
  // Where no input has data, that is said of the whole run.
  void WarnOfZeros() const {
    std::string zeros;
    bool data = false;
    for (const auto& input : inputs_) {
      data |= input->kind != Kind::kZero;
      if (input->kind == Kind::kZero) zeros += (zeros.empty() ? "" : ", ") + input->name;
    }
    if (!data || zeros.empty()) return;
    LogWarning("no data_list_path for ", zeros,
               ": all zeros in every sample, so ranges and figures of what depends on it are those of zeros; "
               "give data unless zeros are meant");
  }

  static void Resolve(const ModelInput& model, const InputParameters& entry, const std::string& where,
                      const std::string& source, Input* input) {
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
    if (input->kind == Kind::kZero) return;
    input->list = ResolvePath(entry.data_list_path, source);
    input->files =
        ReadListFile(input->list, where + ".data_list_path", &input->lines, input->kind == Kind::kScript);
    if (input->files.empty()) {
      throw Error(StrCat("Calibration input ", model.name, " finds 0 items."), where + ".data_list_path",
                  StrCat("the list file ", input->list, " has no paths"));
    }
  }

  // Every list has the longest's length or 1.
  void CountFiles() {
    const Input* longest = inputs_.empty() ? nullptr : inputs_.front().get();
    for (const auto& input : inputs_) {
      if (input->files.size() > longest->files.size()) longest = input.get();
    }
    files_ = longest == nullptr ? 1 : std::max<int64_t>(1, static_cast<int64_t>(longest->files.size()));
    for (const auto& input : inputs_) {
      if (input->files.size() <= 1 || input->files.size() == longest->files.size()) continue;
      throw Error(StrCat("input ", input->name, " has ", input->files.size(), " items, input ", longest->name,
                         " has ", longest->files.size()),
                  input->where + ".data_list_path",
                  "line k of each list is one sample; a list of one line serves all");
    }
  }

  void SetBatch(int configured) {
    const bool single_image =
        inputs_.size() == 1 && (inputs_[0]->kind == Kind::kImage || inputs_[0]->kind == Kind::kScript);
    if (configured > 1)
      batch_ = configured;
    else if (single_image && !inputs_[0]->shape.empty())
      batch_ = std::max<int64_t>(1, inputs_[0]->shape[0]);
    if (std::all_of(inputs_.begin(), inputs_.end(),
                    [](const auto& input) { return input->kind == Kind::kZero; })) {
      batch_ = 1;
    }
    const int64_t available = files_;
    size_ = available / batch_;
    const Input* longest = nullptr;
    for (const auto& input : inputs_) {
      if (static_cast<int64_t>(input->files.size()) == available) longest = input.get();
    }
    if (size_ == 0) {
      throw Error(StrCat("Calibration input ", longest->name, " finds ", available,
                         " items, fewer than one batch of ", batch_),
                  longest->where + ".data_list_path", "add items or lower calibration_batch_size");
    }
    if (available % batch_ != 0) {
      LogWarning("calibration: the last ", available % batch_, " of ", available,
                 " samples do not fill a batch of ", batch_, " and are left out");
    }
  }

  // Item shapes and everything else that can be checked before the first decode.
  void Prepare(const std::string& source, Input* input) {
    input->item = input->shape;
    if (batch_ > 1 && !input->shape.empty()) {
      int64_t& rows = input->shape[0];
      if (rows < 0 || rows == batch_) input->item[0] = 1;
      if (rows >= 0 && rows != batch_ && input->kind == Kind::kImage) {
        LogWarning(input->where, ": calibration_batch_size puts ", batch_, " samples together, where input ",
                   input->name, " has the shape ", ToString(input->shape));
      }
    }
    switch (input->kind) {
      case Kind::kZero:
        CheckZeros(*input);
        break;
      case Kind::kImage:
        if (!input->item.empty()) input->item[0] = 1;
        FillImageSize(input);
        input->image = MakeImageSettings(input->entry, input->item, input->where);
        break;
      case Kind::kRaw:
        if (!input->has_shape) FailUnknown(*input, "a raw file does not tell its shape");
        if (!input->item.empty() && input->item[0] < 0) input->item[0] = 1;
        if (CountUnknown(input->item) > 1) FailUnknown(*input, "a raw file tells one dimension at most");
        for (size_t i = 0; i < input->files.size(); ++i) {
          const std::string& path = input->files[i];
          Listed(*input, input->lines[i], [&] { CheckRaw(path, input->file_dtype, RawShape(*input, path)); });
        }
        break;
      case Kind::kNpy:
        break;
      case Kind::kScript: {
        const std::string& spec = input->entry.preprocess_file;
        const size_t colon = spec.rfind(':');
        if (colon == std::string::npos || colon == 0 || colon + 1 == spec.size()) {
          throw Error(StrCat("preprocess_file ", spec, " is not known"), input->where + ".preprocess_file",
                      "PT_IMAGENET, IMAGENET, LETTERBOX or file.py:function");
        }
        // numpy has no bfloat16
        input->script = std::make_unique<Script>(
            ResolveScript(spec, source),
            ScriptEntry(input->entry, input->name, input->has_shape ? &input->shape : nullptr),
            input->dtype == DType::kBFloat16 ? DType::kFloat : input->dtype);
      }
    }
  }

  // Every dimension is known, an unknown batch, or told by the data of another input.
  void CheckZeros(const Input& input) const {
    if (!input.has_shape) FailUnknown(input, "an input without data_list_path is filled with zeros");
    for (size_t i = 1; i < input.item.size(); ++i) {
      if (input.item[i] >= 0) continue;
      const std::string& symbol = SymbolOf(input, i);
      const bool told = std::any_of(inputs_.begin(), inputs_.end(), [&symbol](const auto& other) {
        return other->kind != Kind::kZero && !symbol.empty() &&
               std::find(other->symbols.begin(), other->symbols.end(), symbol) != other->symbols.end();
      });
      if (!told) FailUnknown(input, "an input without data_list_path is filled with zeros");
    }
  }

  Tensor Zeros(const Input& input, const Symbols& symbols) const {
    Shape shape = input.item;
    if (!shape.empty() && shape[0] >= 0) shape[0] = ElementCount({shape[0], batch_});  // refuses an overflow
    Fill(input, symbols, &shape);
    if (!shape.empty() && shape[0] < 0) shape[0] = batch_;
    if (CountUnknown(shape) > 0) FailUnknown(input, "the data of the other inputs do not tell it");
    Tensor zeros(input.dtype, shape);
    std::fill(zeros.raw(), zeros.raw() + zeros.bytes(), std::byte{0});
    return zeros;
  }

  // Unknown height and width become the first image's.
  static void FillImageSize(Input* input) {
    if (input->item.size() != 4) return;
    const auto is_channels = [](int64_t dim) { return dim == 1 || dim == 3; };
    const bool first = is_channels(input->item[1]);
    if (!first && !is_channels(input->item[3])) return;  // nobody knows which axes they are
    const size_t row = first ? 2 : 1;
    if (input->item[row] >= 0 && input->item[row + 1] >= 0) return;
    const auto [height, width] =
        Listed(*input, input->lines.front(), [&] { return ImageSize(input->files.front()); });
    if (input->item[row] < 0) input->item[row] = height;
    if (input->item[row + 1] < 0) input->item[row + 1] = width;
    LogInfo("images of input ", input->name, " are brought to the first one's size: ", input->item[row],
            " x ", input->item[row + 1]);
  }

  // The one unknown dimension follows from the file's size; CheckRaw says when it does not come out.
  static Shape RawShape(const Input& input, const std::string& path) {
    Shape shape = input.item;
    const auto unknown = std::find_if(shape.begin(), shape.end(), [](int64_t dim) { return dim < 0; });
    if (unknown == shape.end()) return shape;
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (error) throw Error("cannot read the file's size", path, error.message());
    *unknown = 1;
    const int64_t rest = ElementCount(shape) * static_cast<int64_t>(SizeOf(input.file_dtype));
    *unknown = rest > 0 ? static_cast<int64_t>(bytes) / rest : 0;
    return shape;
  }

  Tensor Batch(const Input& input, int64_t index) const {
    if (input.files.size() > 1) return Decode(input, index);
    std::lock_guard<std::mutex> lock(input.mutex);
    if (!input.constant) input.constant = Decode(input, 0);
    return *input.constant;
  }

  Tensor Decode(const Input& input, int64_t index) const {
    std::vector<std::string> paths;
    std::vector<int64_t> lines;
    for (int64_t i = index * batch_; i < (index + 1) * batch_; ++i) {
      const size_t at = input.files.size() == 1 ? 0 : static_cast<size_t>(i);
      paths.push_back(input.files[at]);
      lines.push_back(input.lines[at]);
    }
    if (input.kind == Kind::kScript) return RunScript(input, paths);
    std::vector<Tensor> parts;
    for (size_t i = 0; i < paths.size(); ++i) {
      // One file for the whole batch is decoded once.
      if (!parts.empty() && input.files.size() == 1)
        parts.push_back(parts.front());
      else
        parts.push_back(Listed(input, lines[i], [&] { return ReadOne(input, paths[i]); }));
    }
    if (input.files.size() == 1 && parts.front().shape().empty()) parts.resize(1);
    return Concat(parts, paths.back());
  }

  Tensor ReadOne(const Input& input, const std::string& path) const {
    Tensor tensor;
    if (input.kind == Kind::kImage) {
      bool cut = false;
      tensor = FromFloat32(ReadImage(path, input.image, &cut), input.dtype);
      if (cut && !warned_cut_.exchange(true))
        LogWarning(path,
                   ": the JPEG file is cut off, the rest of the picture is made up (further files are "
                   "not named)");
    } else if (input.kind == Kind::kRaw) {
      tensor = Convert(ReadRaw(path, input.file_dtype, RawShape(input, path)), input.dtype, path);
    } else {
      tensor = ReadNpy(path);
      if (!input.entry.dtype.empty() && tensor.dtype() != input.file_dtype && !warned_type_.exchange(true)) {
        LogWarning(path, ": holds ", NameOf(tensor.dtype()), ", and ", input.where, ".dtype says ",
                   input.entry.dtype, ", which has no effect on npy files (further files are not named)");
      }
      tensor = Convert(tensor, input.dtype, path);
      if (input.has_shape) tensor = FitShape(tensor, input.item, path, input.name);
    }
    WarnNonFinite(tensor, path);
    return tensor;
  }

  Tensor Convert(const Tensor& tensor, DType dtype, const std::string& path) const {
    bool lossy = false;
    Tensor converted = ConvertElements(tensor, dtype, path, &lossy);
    if (lossy && !warned_loss_.exchange(true)) {
      LogWarning(path, ": holds ", NameOf(tensor.dtype()), ", and the model input takes ", NameOf(dtype),
                 ", in which some of the values are others (further files are not named)");
    }
    return converted;
  }

  Tensor RunScript(const Input& input, const std::vector<std::string>& paths) const {
    const std::string where = StrCat(input.entry.preprocess_file, " on ", paths.front());
    const Tensor tensor = Convert(input.script->Call(paths), input.dtype, where);
    if (input.has_shape) {
      Shape expected = input.shape;
      if (!expected.empty() && tensor.rank() > 0 && (tensor.dim(0) == batch_ || batch_ > 1)) expected[0] = -1;
      if (tensor.rank() != static_cast<int64_t>(expected.size())) {
        throw Error(StrCat("the function returned the shape ", ToString(tensor.shape()), ", the model input ",
                           input.name, " takes ", DimsText(input.shape)),
                    where, "the first axis is the batch");
      }
      FitShape(tensor, expected, where, input.name);
    }
    WarnNonFinite(tensor, where);
    return tensor;
  }

  void WarnNonFinite(const Tensor& tensor, const std::string& path) const {
    if (warned_.load() || !HasNonFinite(tensor) || warned_.exchange(true)) return;
    LogWarning(path, ": the data holds NaN or infinity (further files are not named)");
  }

  std::vector<std::unique_ptr<Input>> inputs_;
  Symbols symbols_;  // that input_shape fixes
  int64_t files_ = 1, batch_ = 1, size_ = 0;
  mutable std::atomic<bool> warned_{false}, warned_type_{false}, warned_loss_{false}, warned_cut_{false};
};

}  // namespace

std::string SampleSource::TitleOf(int64_t index) const { return StrCat("sample ", index + 1); }

std::string SampleSource::Fingerprint(int64_t index) const {
  Hasher hasher;
  for (const Tensor& tensor : at(index)) {
    hasher.Add(NameOf(tensor.dtype()) + ToString(tensor.shape()));
    if (tensor.dtype() != DType::kString) {
      hasher.Add(tensor.raw(), tensor.bytes());
      continue;
    }
    for (const std::string& text : tensor.strings()) hasher.Add(text);
  }
  return hasher.Hex();
}

std::unique_ptr<SampleSource> OpenSamples(const Config& config, const std::vector<ModelInput>& inputs,
                                          int64_t limit) {
  return std::make_unique<ListSource>(config, inputs, limit);
}

}  // namespace xslim
