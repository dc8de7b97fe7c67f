#include "data/sample_reader.h"

#include <algorithm>
#include <filesystem>

namespace xslim {
namespace {

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

}  // namespace

Shape RawShape(const SampleInput& input, const std::string& path) {
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

Tensor SampleReader::Read(const SampleInput& input, int64_t index, int64_t batch) const {
  if (input.files.size() > 1) return Decode(input, index, batch);
  std::lock_guard<std::mutex> lock(input.mutex);
  if (!input.constant) input.constant = Decode(input, 0, batch);
  return *input.constant;
}

Tensor SampleReader::Decode(const SampleInput& input, int64_t index, int64_t batch) const {
  std::vector<std::string> paths;
  std::vector<int64_t> lines;
  for (int64_t i = index * batch; i < (index + 1) * batch; ++i) {
    const size_t at = input.files.size() == 1 ? 0 : static_cast<size_t>(i);
    paths.push_back(input.files[at]);
    lines.push_back(input.lines[at]);
  }
  if (input.kind == InputKind::kScript) return RunScript(input, paths);
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

Tensor SampleReader::ReadOne(const SampleInput& input, const std::string& path) const {
  Tensor tensor;
  if (input.kind == InputKind::kImage) {
    bool cut = false;
    tensor = FromFloat32(ReadImage(path, input.image, &cut), input.dtype);
    if (cut && !warned_cut_.exchange(true))
      LogWarning(path,
                 ": the JPEG file is cut off, the rest of the picture is made up (further files are "
                 "not named)");
  } else if (input.kind == InputKind::kRaw) {
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

Tensor SampleReader::Convert(const Tensor& tensor, DType dtype, const std::string& path) const {
  bool lossy = false;
  Tensor converted = ConvertElements(tensor, dtype, path, &lossy);
  if (lossy && !warned_loss_.exchange(true)) {
    LogWarning(path, ": holds ", NameOf(tensor.dtype()), ", and the model input takes ", NameOf(dtype),
               ", in which some of the values are others (further files are not named)");
  }
  return converted;
}

Tensor SampleReader::RunScript(const SampleInput& input, const std::vector<std::string>& paths) const {
  const std::string where = StrCat(input.entry.preprocess_file, " on ", paths.front());
  const Tensor tensor = Convert(input.script->Call(paths), input.dtype, where);
  if (input.has_shape) {
    Shape expected = input.shape;
    const int64_t batch = std::ssize(paths);
    if (!expected.empty() && tensor.rank() > 0 && (tensor.dim(0) == batch || batch > 1)) expected[0] = -1;
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

void SampleReader::WarnNonFinite(const Tensor& tensor, const std::string& path) const {
  if (warned_.load() || !HasNonFinite(tensor) || warned_.exchange(true)) return;
  LogWarning(path, ": the data holds NaN or infinity (further files are not named)");
}

}  // namespace xslim
