// The .npy format: numpy's NEP 1 (magic, version, header length, a Python dict literal, elements).
#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

struct Header {
  DType dtype = DType::kUndefined;
  bool swapped = false, fortran = false;
  Shape shape;
  size_t data = 0;  // offset of the first element
};

// The text after `'key':` with leading blanks gone.
std::string ValueOf(const std::string& dict, const std::string& key, const std::string& path) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + key + quote;
    size_t at = dict.find(quoted);
    if (at == std::string::npos) continue;
    at = dict.find(':', at + quoted.size());
    if (at == std::string::npos) break;
    at = dict.find_first_not_of(" \t\n", at + 1);
    if (at != std::string::npos) return dict.substr(at);
  }
  throw Error(StrCat("the npy header has no '", key, "'"), path);
}

// The list that a structured type is: [('a', '<f4'), ('b', '<i2')].
std::string FieldList(const std::string& value) {
  int depth = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    depth += value[i] == '[' ? 1 : value[i] == ']' ? -1 : 0;
    if (depth == 0) return value.substr(0, i + 1);
  }
  return value;
}

void ParseDescr(const std::string& value, const std::string& path, Header* header) {
  const char quote = value[0];
  const size_t end = quote == '\'' || quote == '"' ? value.find(quote, 1) : std::string::npos;
  const std::string descr = end == std::string::npos ? FieldList(value) : value.substr(1, end - 1);
  static constexpr struct {
    const char* code;
    DType dtype;
  } kTypes[] = {{"f4", DType::kFloat},  {"f8", DType::kDouble}, {"f2", DType::kFloat16},
                {"b1", DType::kBool},   {"i1", DType::kInt8},   {"i2", DType::kInt16},
                {"i4", DType::kInt32},  {"i8", DType::kInt64},  {"u1", DType::kUint8},
                {"u2", DType::kUint16}, {"u4", DType::kUint32}, {"u8", DType::kUint64}};
  if (end != std::string::npos && descr.size() == 3 && std::strchr("<>|=", descr[0]) != nullptr) {
    for (const auto& type : kTypes) {
      if (descr.compare(1, 2, type.code) != 0) continue;
      header->dtype = type.dtype;
      header->swapped = descr[0] == '>' && SizeOf(type.dtype) > 1;
      return;
    }
  }
  throw Error(StrCat("npy element type ", descr, " is not supported"), path, "use bool, integers or floats");
}

void ParseShape(const std::string& value, const std::string& path, Header* header) {
  const size_t end = value.find(')');
  if (value[0] != '(' || end == std::string::npos) throw Error("the npy header's shape is not a tuple", path);
  int64_t dim = -1;
  for (size_t i = 1; i <= end; ++i) {
    const char c = value[i];
    if (std::isdigit(static_cast<unsigned char>(c))) {
      if (dim > (int64_t{1} << 46)) throw Error("the npy header's shape is too large", path);
      dim = std::max<int64_t>(dim, 0) * 10 + (c - '0');
    } else if (c == ',' || c == ')') {
      if (dim >= 0) header->shape.push_back(dim);
      dim = -1;
    } else if (c != ' ' && c != 'L') {  // Python 2 wrote 3L
      throw Error("the npy header's shape is not a tuple of sizes", path);
    }
  }
}

Header ParseHeader(const std::string& bytes, const std::string& path) {
  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0) {
    throw Error("not a npy file", path, "file_type npy takes what numpy.save writes");
  }
  const auto byte = [&bytes](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  const size_t version = byte(6);
  if (version < 1 || version > 3) throw Error(StrCat("npy version ", version, " is not supported"), path);
  size_t start = 10, length = byte(8) | byte(9) << 8;
  if (version > 1) {
    if (bytes.size() < 12) throw Error("the npy header is cut off", path);
    start = 12;
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (length > bytes.size() - start) throw Error("the npy header is cut off", path);
  const std::string dict = bytes.substr(start, length);
  Header header;
  header.data = start + length;
  ParseDescr(ValueOf(dict, "descr", path), path, &header);
  header.fortran = ValueOf(dict, "fortran_order", path).rfind("True", 0) == 0;
  ParseShape(ValueOf(dict, "shape", path), path, &header);
  return header;
}

// Copies elements stored first-axis-fastest to C order.
void FromFortran(const char* in, char* out, const Shape& shape, size_t width) {
  const int64_t count = ElementCount(shape);
  Shape index(shape.size(), 0), stride(shape.size(), 1);
  for (size_t axis = 1; axis < shape.size(); ++axis) stride[axis] = stride[axis - 1] * shape[axis - 1];
  int64_t from = 0;
  for (int64_t to = 0; to < count; ++to) {
    std::memcpy(out + static_cast<size_t>(to) * width, in + static_cast<size_t>(from) * width, width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += stride[axis];
      if (++index[axis] < shape[axis]) break;
      from -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

Tensor ReadNpy(const std::string& path) {
  const std::string bytes = ReadFile(path);
  const Header header = ParseHeader(bytes, path);
  const size_t width = SizeOf(header.dtype);
  const size_t wanted = static_cast<size_t>(ElementCount(header.shape)) * width;
  if (bytes.size() - header.data < wanted) {
    throw Error(StrCat("the npy file holds ", bytes.size() - header.data,
                       " bytes of elements, its header says ", wanted),
                path);
  }
  Tensor tensor(header.dtype, header.shape);
  if (wanted == 0) return tensor;
  char* out = reinterpret_cast<char*>(tensor.raw());
  if (header.fortran && header.shape.size() > 1) {
    FromFortran(bytes.data() + header.data, out, header.shape, width);
  } else {
    std::memcpy(out, bytes.data() + header.data, wanted);
  }
  if (header.swapped) {
    for (size_t i = 0; i < wanted; i += width) std::reverse(out + i, out + i + width);
  }
  return tensor;
}

}  // namespace xslim
