#include "data/samples.h"

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/sample_input.h"
#include "data/sample_reader.h"
#include "xslim/error.h"

namespace xslim {
namespace {

class ListSource : public SampleSource {
 public:
  ListSource(const Config& config, const std::vector<ModelInput>& models, int64_t limit)
      : inputs_(ResolveInputs(config, models)) {
    for (const auto& input : inputs_) {
      if (!input->entry.input_shape.empty()) LearnSymbols(*input, input->shape, &symbols_);
    }
    for (auto& input : inputs_) FillSymbols(*input, symbols_, &input->shape);
    CountFiles();
    SetBatch(config.calibration.calibration_batch_size);
    if (config.calibration.calibration_batch_size > 1) RefuseFixedBatch(config.model.input_shapes);
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
                                      [](const auto& input) { return input->kind == InputKind::kScript; });
    if (scripted) return SampleSource::Fingerprint(index);
    Hasher hasher;
    hasher.Add(static_cast<uint64_t>(batch_));
    for (const auto& input : inputs_) {
      AddReading(*input, &hasher);
      for (int64_t i = index * batch_; i < (index + 1) * batch_ && input->kind != InputKind::kZero; ++i) {
        hasher.Add(ReadFile(input->files[input->files.size() == 1 ? 0 : static_cast<size_t>(i)]));
      }
    }
    return hasher.Hex();
  }

  std::vector<SampleItem> ItemsOf(int64_t index) const override {
    std::vector<SampleItem> items;
    for (const auto& input : inputs_) {
      for (int64_t i = index * batch_; i < (index + 1) * batch_ && input->kind != InputKind::kZero; ++i) {
        const std::string& path = input->files[input->files.size() == 1 ? 0 : static_cast<size_t>(i)];
        items.push_back(input->script ? ScriptedItem(input->list, path) : SampleItem{path, ""});
      }
    }
    return items;
  }

  Sample at(int64_t index) const override {
    if (index < 0 || index >= size_) throw Error(StrCat("sample ", index, " of ", size_, " does not exist"));
    Sample sample(inputs_.size());
    Symbols symbols = symbols_;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i]->kind == InputKind::kZero) continue;
      sample[i] = reader_.Read(*inputs_[i], index, batch_);
      LearnSymbols(*inputs_[i], sample[i].shape(), &symbols);
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i]->kind == InputKind::kZero) sample[i] = Zeros(*inputs_[i], symbols);
    }
    return sample;
  }

 private:
  // Where no input has data, that is said of the whole run.
  void WarnOfZeros() const {
    std::vector<std::string> zeros;
    bool data = false;
    for (const auto& input : inputs_) {
      data |= input->kind != InputKind::kZero;
      if (input->kind == InputKind::kZero) zeros.push_back(input->name);
    }
    if (!data || zeros.empty()) return;
    LogWarning("no data_list_path for ", StrJoin(zeros),
               ": all zeros in every sample, so ranges and figures of what depends on it are those of zeros; "
               "give data unless zeros are meant");
  }

  // Every list has the longest's length or 1.
  void CountFiles() {
    const SampleInput* longest = inputs_.empty() ? nullptr : inputs_.front().get();
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
    const bool single_image = inputs_.size() == 1 && (inputs_[0]->kind == InputKind::kImage ||
                                                      inputs_[0]->kind == InputKind::kScript);
    if (configured > 1)
      batch_ = configured;
    else if (single_image && !inputs_[0]->shape.empty())
      batch_ = std::max<int64_t>(1, inputs_[0]->shape[0]);
    if (std::all_of(inputs_.begin(), inputs_.end(),
                    [](const auto& input) { return input->kind == InputKind::kZero; })) {
      batch_ = 1;
    }
    const int64_t available = files_;
    size_ = available / batch_;
    const SampleInput* longest = nullptr;
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

  // Simplification counts on the sizes that input_shapes fixes: in a Reshape, for one.
  void RefuseFixedBatch(const std::vector<InputShape>& shapes) const {
    for (const InputShape& shape : shapes) {
      if (batch_ == 1 || shape.sizes.empty() || shape.sizes[0] < 0 || shape.sizes[0] == batch_) continue;
      throw Error(StrCat("puts ", batch_, " samples together, where input_shapes fixes the batch",
                         shape.name.empty() ? "" : " of input " + shape.name, " at ", shape.sizes[0]),
                  "calibration_parameters.calibration_batch_size",
                  StrCat("leave it out, or let input_shapes give ", batch_, " or -1 there"));
    }
  }

  // Item shapes and everything else that can be checked before the first decode.
  void Prepare(const std::string& source, SampleInput* input) {
    input->item = input->shape;
    if (batch_ > 1 && !input->shape.empty()) {
      int64_t& rows = input->shape[0];
      if (rows < 0 || rows == batch_) input->item[0] = 1;
      if (rows >= 0 && rows != batch_ && input->kind == InputKind::kImage) {
        LogWarning(input->where, ": calibration_batch_size puts ", batch_, " samples together, where input ",
                   input->name, " has the shape ", ToString(input->shape));
      }
    }
    switch (input->kind) {
      case InputKind::kZero:
        CheckZeros(*input);
        break;
      case InputKind::kImage:
        if (!input->item.empty()) input->item[0] = 1;
        FillImageSize(input);
        input->image = MakeImageSettings(input->entry, input->item, input->where);
        break;
      case InputKind::kRaw:
        if (!input->has_shape) FailUnknown(*input, "a raw file does not tell its shape");
        if (!input->item.empty() && input->item[0] < 0) input->item[0] = 1;
        if (CountUnknown(input->item) > 1) FailUnknown(*input, "a raw file tells one dimension at most");
        for (size_t i = 0; i < input->files.size(); ++i) {
          const std::string& path = input->files[i];
          Listed(*input, input->lines[i], [&] { CheckRaw(path, input->file_dtype, RawShape(*input, path)); });
        }
        break;
      case InputKind::kNpy:
        break;
      case InputKind::kScript: {
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
  void CheckZeros(const SampleInput& input) const {
    if (!input.has_shape) FailUnknown(input, "an input without data_list_path is filled with zeros");
    for (size_t i = 1; i < input.item.size(); ++i) {
      if (input.item[i] >= 0) continue;
      const std::string& symbol = SymbolOf(input, i);
      const bool told = std::any_of(inputs_.begin(), inputs_.end(), [&symbol](const auto& other) {
        return other->kind != InputKind::kZero && !symbol.empty() &&
               std::find(other->symbols.begin(), other->symbols.end(), symbol) != other->symbols.end();
      });
      if (!told) FailUnknown(input, "an input without data_list_path is filled with zeros");
    }
  }

  Tensor Zeros(const SampleInput& input, const Symbols& symbols) const {
    Shape shape = input.item;
    if (!shape.empty() && shape[0] >= 0) shape[0] = ElementCount({shape[0], batch_});  // refuses an overflow
    FillSymbols(input, symbols, &shape);
    if (!shape.empty() && shape[0] < 0) shape[0] = batch_;
    if (CountUnknown(shape) > 0) FailUnknown(input, "the data of the other inputs do not tell it");
    Tensor zeros(input.dtype, shape);
    std::fill(zeros.raw(), zeros.raw() + zeros.bytes(), std::byte{0});
    return zeros;
  }

  // Unknown height and width become the first image's.
  static void FillImageSize(SampleInput* input) {
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

  const std::vector<std::unique_ptr<SampleInput>> inputs_;
  Symbols symbols_;  // that input_shape fixes
  int64_t files_ = 1, batch_ = 1, size_ = 0;
  SampleReader reader_;
};

}  // namespace

std::string SampleSource::TitleOf(int64_t index) const { return StrCat("sample ", index + 1); }

std::vector<SampleItem> SampleSource::ItemsOf(int64_t) const { return {}; }

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
