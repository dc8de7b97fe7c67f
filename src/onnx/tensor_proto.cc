#include <onnx/onnx-data_pb.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/log.h"
#include "onnx/model_io.h"
#include "onnx/proto.h"
#include "tensor/packed_codes.h"
#include "xslim/error.h"

namespace xslim {
namespace {

namespace fs = std::filesystem;

// Bytes from which on a tensor is not copied out of its file, and out of its message.
constexpr int64_t kSmallestMapped = 64 << 10;
constexpr size_t kSmallestTaken = 4 << 10;
// Bytes of a sparse tensor with its zeros: a few values may claim any shape.
constexpr int64_t kLargestDense = int64_t{1} << 31;

size_t FileBytes(DType type, int64_t count) {
  const size_t n = static_cast<size_t>(count);
  const auto each = static_cast<size_t>(PerByte(type));
  return each > 1 ? (n + each - 1) / each : n * SizeOf(type);
}

// One byte for each element; int4 and int2 get their sign.
void Unpack(const char* packed, DType type, int64_t count, std::byte* out) {
  const int bits = 8 / PerByte(type), largest = (1 << (bits - 1)) - 1;
  const bool is_signed = type == DType::kInt4 || type == DType::kInt2;
  for (int64_t i = 0; i < count; ++i) {
    int code = CodeAt(reinterpret_cast<const uint8_t*>(packed), i, bits);
    if (is_signed && code > largest) code -= 1 << bits;
    out[i] = static_cast<std::byte>(code);
  }
}

// Elements as they lie in a file into those of a tensor.
void Unfile(const char* from, DType type, int64_t count, std::byte* out) {
  if (PerByte(type) > 1) return Unpack(from, type, count, out);
  if (count > 0) std::memcpy(out, from, FileBytes(type, count));
  if (type != DType::kBool) return;
  // Any byte but 0 is true; a C++ bool may only hold 0 or 1.
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(out[i] != std::byte{0});
}

// The file of external data, inside the folders and nowhere else.
fs::path ExternalFile(const std::string& location, const DataFolders& folders, const std::string& where) {
  const fs::path relative(location);
  if (folders.named.empty()) throw Error("external data is not allowed here.", where);
  if (location.empty() || location.find('\0') != std::string::npos) {
    throw Error("external data has no location.", where);
  }
  bool climbs = relative.is_absolute();
  for (const fs::path& part : relative) climbs = climbs || part == "..";
  if (climbs) {
    throw Error("external data at \"" + location + "\" is refused.", where,
                "it must lie in the model's folder");
  }
  std::error_code code;
  const fs::path root = fs::canonical(folders.named, code);
  const fs::path file = code ? fs::path() : fs::canonical(root / relative, code);
  if (code) {
    throw Error(
        "cannot find external data \"" + location + "\": " + code.message() + ".", where,
        "the file is a part of the model: put it to " + (fs::path(folders.named) / relative).string());
  }
  if (!IsBelow(file, root) && (folders.linked.empty() || !IsBelow(file, folders.linked))) {
    throw Error("external data at \"" + location + "\" is refused.", where,
                "a link leads out of the model's folder");
  }
  if (!fs::is_regular_file(file, code))
    throw Error("external data \"" + location + "\" is not a file.", where,
                "put the file of that name, a part of the model, in its place");
  return file;
}

int64_t ToNumber(const std::string& text, const std::string& key, const std::string& where) {
  int64_t number = 0;
  bool good = !text.empty();
  for (char c : text) {
    good = good && c >= '0' && c <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
           !__builtin_add_overflow(number, c - '0', &number);
  }
  if (!good) throw Error("external data has a bad " + key + " \"" + text + "\".", where);
  return number;
}

template <typename To, typename Field>
void Copy(const Field& field, Tensor* tensor) {
  To* out = reinterpret_cast<To*>(tensor->raw());
  for (int i = 0; i < field.size(); ++i) out[i] = static_cast<To>(field.Get(i));
}

// Elements from the typed fields; which type lies in which field is told in onnx.proto.
Tensor ReadTyped(const onnx::TensorProto& proto, DType type, const Shape& shape, int64_t count,
                 const std::string& where) {
  auto check = [&](int64_t have, int64_t want) {
    if (have == want) return;
    throw Error("tensor has " + std::to_string(have) + " elements, the shape " + ToString(shape) + " needs " +
                    std::to_string(want) + ".",
                where);
  };
  // Sizes are compared before anything is allocated.
  switch (type) {
    case DType::kFloat:
      check(proto.float_data_size(), count);
      break;
    case DType::kComplex64:
      check(proto.float_data_size(), 2 * count);
      break;
    case DType::kDouble:
      check(proto.double_data_size(), count);
      break;
    case DType::kComplex128:
      check(proto.double_data_size(), 2 * count);
      break;
    case DType::kInt64:
      check(proto.int64_data_size(), count);
      break;
    case DType::kUint32:
    case DType::kUint64:
      check(proto.uint64_data_size(), count);
      break;
    case DType::kString:
      check(proto.string_data_size(), count);
      break;
    case DType::kInt4:
    case DType::kUint4:
    case DType::kFloat4E2M1:
    case DType::kInt2:
    case DType::kUint2:
      check(proto.int32_data_size(), static_cast<int64_t>(FileBytes(type, count)));
      break;
    default:
      check(proto.int32_data_size(), count);
      break;
  }
  if (type == DType::kString) {
    return Tensor::Strings(shape, {proto.string_data().begin(), proto.string_data().end()});
  }
  Tensor tensor(type, shape);
  switch (type) {
    case DType::kFloat:
    case DType::kComplex64:
      Copy<float>(proto.float_data(), &tensor);
      break;
    case DType::kDouble:
    case DType::kComplex128:
      Copy<double>(proto.double_data(), &tensor);
      break;
    case DType::kInt64:
      Copy<int64_t>(proto.int64_data(), &tensor);
      break;
    case DType::kUint32:
      Copy<uint32_t>(proto.uint64_data(), &tensor);
      break;
    case DType::kUint64:
      Copy<uint64_t>(proto.uint64_data(), &tensor);
      break;
    case DType::kInt32:
      Copy<int32_t>(proto.int32_data(), &tensor);
      break;
    case DType::kBool:
      Copy<bool>(proto.int32_data(), &tensor);
      break;
    case DType::kInt4:
    case DType::kUint4:
    case DType::kFloat4E2M1:
    case DType::kInt2:
    case DType::kUint2: {
      std::string packed;
      for (int32_t byte : proto.int32_data()) packed.push_back(static_cast<char>(byte));
      Unpack(packed.data(), type, count, tensor.raw());
      break;
    }
    default:
      if (SizeOf(type) == 2) {
        Copy<uint16_t>(proto.int32_data(), &tensor);
      } else {
        Copy<uint8_t>(proto.int32_data(), &tensor);
      }
  }
  return tensor;
}

// Elements of a shape that a file names.
int64_t CheckedCount(const Shape& shape, const std::string& where) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0) throw Error("tensor has the negative dimension " + std::to_string(dim) + ".", where);
    empty = empty || dim == 0;
    if (dim > 0 && (__builtin_mul_overflow(count, dim, &count) || count > int64_t{1} << 46)) {
      throw Error("tensor shape " + ToString(shape) + " is too large.", where);
    }
  }
  return empty ? 0 : count;
}

}  // namespace

const std::shared_ptr<MappedFile>& ExternalData::Map(const std::string& location, const std::string& where) {
  const std::string path = ExternalFile(location, folders_, where).string();
  std::shared_ptr<MappedFile>& file = mapped_[path];
  if (file) return file;
  try {
    file = std::make_shared<MappedFile>(path);
  } catch (const Error& error) {
    throw Error(error.what(), where);
  }
  return file;
}

std::vector<std::string> ExternalData::files() const {
  std::vector<std::string> paths;
  for (const auto& [path, file] : mapped_) paths.push_back(path);
  return paths;
}

Tensor ExternalData::Read(const onnx::TensorProto& proto, DType type, const Shape& shape, int64_t count,
                          const std::string& where) {
  std::string location;
  int64_t offset = 0, length = -1;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = ToNumber(entry.value(), "offset", where);
    if (entry.key() == "length") length = ToNumber(entry.value(), "length", where);
  }
  const std::shared_ptr<MappedFile>& file = Map(location, where);
  const int64_t wanted = static_cast<int64_t>(FileBytes(type, count));
  // Some writers leave the length out when the tensor takes the rest of the file.
  if (length >= 0 && length != wanted) {
    throw Error("external data is " + std::to_string(length) + " bytes long, the shape " + ToString(shape) +
                    " needs " + std::to_string(wanted) + ".",
                where);
  }
  const auto end = static_cast<int64_t>(file->size());
  if (offset > end || wanted > end - offset) {
    throw Error(
        "external data ends after the end of \"" + location + "\" (" + std::to_string(end) + " bytes).",
        where,
        "offset " + std::to_string(offset) + ", length " + std::to_string(wanted) +
            "; the file is cut off or of another model: copy or export both again");
  }
  const char* bytes = file->data() + offset;
  const bool aligned = reinterpret_cast<uintptr_t>(bytes) % SizeOf(type) == 0;
  if (wanted >= kSmallestMapped && aligned && PerByte(type) == 1 && type != DType::kBool) {
    auto* elements =
        reinterpret_cast<std::byte*>(const_cast<char*>(bytes));  // Tensor hands out no writable pointer
    return Tensor::Borrow(type, shape, std::shared_ptr<std::byte>(file, elements), true);
  }
  Tensor tensor(type, shape);
  Unfile(bytes, type, count, tensor.raw());
  return tensor;
}

bool HasNoData(const onnx::TensorProto& proto) {
  return !proto.has_raw_data() && proto.data_location() != onnx::TensorProto::EXTERNAL &&
         proto.float_data_size() + proto.int32_data_size() + proto.int64_data_size() +
                 proto.double_data_size() + proto.uint64_data_size() + proto.string_data_size() ==
             0;
}

Tensor ReadTensor(onnx::TensorProto* proto, ExternalData* external, const std::string& where) {
  if (proto->data_type() < 1 || proto->data_type() > static_cast<int>(DType::kInt2)) {
    throw Error("tensor has the unknown data type " + std::to_string(proto->data_type()) + ".", where);
  }
  const DType type = static_cast<DType>(proto->data_type());
  if (proto->has_segment()) throw Error("tensors in segments are not supported.", where);
  const Shape shape(proto->dims().begin(), proto->dims().end());
  const int64_t count = CheckedCount(shape, where);
  if (proto->data_location() == onnx::TensorProto::EXTERNAL) {
    if (type == DType::kString) throw Error("strings cannot be external data.", where);
    return external->Read(*proto, type, shape, count, where);
  }
  if (!proto->has_raw_data() || (proto->raw_data().empty() && count > 0)) {
    return ReadTyped(*proto, type, shape, count, where);
  }
  if (type == DType::kString) throw Error("strings cannot be raw data.", where);
  if (proto->raw_data().size() != FileBytes(type, count)) {
    throw Error("tensor has " + std::to_string(proto->raw_data().size()) + " bytes, the shape " +
                    ToString(shape) + " of " + NameOf(type) + " needs " +
                    std::to_string(FileBytes(type, count)) + ".",
                where);
  }
  if (proto->raw_data().size() >= kSmallestTaken && PerByte(type) == 1 && type != DType::kBool) {
    // The message's own bytes, not a copy: long strings lie on the heap, aligned for any element.
    const std::shared_ptr<std::string> bytes(proto->release_raw_data());
    auto* elements = reinterpret_cast<std::byte*>(bytes->data());
    return Tensor::Borrow(type, shape, std::shared_ptr<std::byte>(bytes, elements), false);
  }
  Tensor tensor(type, shape);
  Unfile(proto->raw_data().data(), type, count, tensor.raw());
  delete proto->release_raw_data();
  return tensor;
}

namespace {

// Place of element `i` in the dense tensor: its linear index, or what its row of indices comes to.
int64_t PlaceOf(const Tensor& indices, int64_t i, const Shape& shape, int64_t count,
                const std::string& where) {
  const auto check = [&](int64_t index, int64_t end) {
    if (index >= 0 && index < end) return;
    throw Error(StrCat("index ", index, " of element ", i, " is outside the shape ", ToString(shape), "."),
                where);
  };
  const int64_t* all = indices.data<int64_t>();
  if (indices.rank() == 1) {
    check(all[i], count);
    return all[i];
  }
  int64_t place = 0;
  const auto rank = static_cast<int64_t>(shape.size());
  for (int64_t axis = 0; axis < rank; ++axis) {
    const int64_t index = all[i * rank + axis], size = shape[static_cast<size_t>(axis)];
    check(index, size);
    place = place * size + index;
  }
  return place;
}

}  // namespace

Tensor ReadSparse(onnx::SparseTensorProto* proto, ExternalData* external, const std::string& where) {
  const Tensor values = ReadTensor(proto->mutable_values(), external, where);
  const Shape shape(proto->dims().begin(), proto->dims().end());
  const int64_t count = CheckedCount(shape, where), stored = values.size();
  const DType type = values.dtype();
  if (type == DType::kString) throw Error("sparse tensors of strings are not supported.", where);
  if (static_cast<int64_t>(SizeOf(type)) * count > kLargestDense)
    throw Error("the shape " + ToString(shape) + " is over 2 GiB with its zeros.", where);
  if (values.rank() != 1)
    throw Error("the values have the shape " + ToString(values.shape()) + ", not one axis.", where);
  // Without values no indices are needed, which some writers leave out whole.
  Tensor indices(DType::kInt64, {0});
  if (stored > 0 || proto->indices().data_type() != 0)
    indices = ReadTensor(proto->mutable_indices(), external, where + ": indices");
  const Shape rows = {stored, static_cast<int64_t>(shape.size())};
  if (indices.dtype() != DType::kInt64 || (indices.shape() != Shape{stored} && indices.shape() != rows)) {
    throw Error(StrCat("the indices are ", NameOf(indices.dtype()), " ", ToString(indices.shape()),
                       ", expected int64 ", ToString(Shape{stored}), " or ", ToString(rows), "."),
                where);
  }
  Tensor dense(type, shape);
  std::fill(dense.raw(), dense.raw() + dense.bytes(), std::byte{0});
  const size_t size = SizeOf(type);
  int64_t last = -1;
  for (int64_t i = 0; i < stored; ++i) {
    const int64_t place = PlaceOf(indices, i, shape, count, where);
    if (place <= last)
      throw Error(StrCat("the indices do not rise at element ", i, "."), where,
                  "each place stands once, in order");
    last = place;
    const std::byte* element = values.raw() + static_cast<size_t>(i) * size;
    std::copy(element, element + size, dense.raw() + static_cast<size_t>(place) * size);
  }
  return dense;
}

std::string_view RawData(const Tensor& tensor, std::string* storage) {
  const char* bytes = reinterpret_cast<const char*>(tensor.raw());
  const int bits = 8 / PerByte(tensor.dtype());
  if (bits == 8) return {bytes, tensor.bytes()};
  storage->assign(FileBytes(tensor.dtype(), tensor.size()), '\0');
  auto* run = reinterpret_cast<uint8_t*>(storage->data());
  for (int64_t i = 0; i < tensor.size(); ++i) PutCode(run, i, bits, bytes[i]);
  return *storage;
}

void WriteTensorHead(const Tensor& tensor, onnx::TensorProto* proto) {
  proto->clear_dims();
  for (int64_t dim : tensor.shape()) proto->add_dims(dim);
  proto->set_data_type(static_cast<int>(tensor.dtype()));
  proto->clear_raw_data();
  proto->clear_float_data();
  proto->clear_int32_data();
  proto->clear_int64_data();
  proto->clear_double_data();
  proto->clear_uint64_data();
  proto->clear_string_data();
  proto->clear_external_data();
  proto->clear_data_location();
  if (tensor.dtype() != DType::kString) return;
  for (const std::string& text : tensor.strings()) proto->add_string_data(text);
}

void WriteTensor(const Tensor& tensor, onnx::TensorProto* proto) {
  WriteTensorHead(tensor, proto);
  if (tensor.dtype() == DType::kString) return;
  std::string storage;
  const std::string_view raw = RawData(tensor, &storage);
  proto->set_raw_data(raw.data(), raw.size());
}

namespace {

template <typename Message>
Message Parse(const std::string& bytes, const char* what) {
  Message message;
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !message.ParseFromString(bytes)) {
    throw Error(std::string("not a serialized ONNX ") + what + ".");
  }
  return message;
}

Tensor FromProto(onnx::TensorProto proto) {
  ExternalData none({});
  return ReadTensor(&proto, &none, "tensor \"" + proto.name() + "\"");
}

Tensor FromProto(const onnx::SequenceProto& proto) {
  std::vector<Tensor> items;
  for (const onnx::TensorProto& item : proto.tensor_values()) items.push_back(FromProto(item));
  return Tensor::Sequence(std::move(items));
}

}  // namespace

Tensor ParseTensorProto(const std::string& bytes) {
  return FromProto(Parse<onnx::TensorProto>(bytes, "tensor"));
}

Tensor ParseValueProto(const std::string& bytes, const Value& declared) {
  const onnx::TypeProto type = Parse<onnx::ValueInfoProto>(declared.source, "type").type();
  if (type.has_sequence_type()) return FromProto(Parse<onnx::SequenceProto>(bytes, "sequence"));
  if (!type.has_optional_type()) return ParseTensorProto(bytes);
  const auto optional = Parse<onnx::OptionalProto>(bytes, "optional");
  if (optional.has_tensor_value()) return FromProto(optional.tensor_value());
  return optional.has_sequence_value() ? FromProto(optional.sequence_value()) : Tensor::EmptyOptional();
}

}  // namespace xslim
