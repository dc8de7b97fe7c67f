#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

void CheckBytes(const std::string& path, size_t bytes, DType dtype, const Shape& shape) {
  const size_t expected = static_cast<size_t>(ElementCount(shape)) * SizeOf(dtype);
  if (bytes == expected) return;
  throw Error(StrCat("the file has ", bytes, " bytes, expected ", expected), path,
              StrCat(NameOf(dtype), " elements of shape ", ToString(shape)));
}

}  // namespace

void CheckRaw(const std::string& path, DType dtype, const Shape& shape) {
  std::error_code code;
  const auto bytes = std::filesystem::file_size(path, code);
  if (code) throw Error("cannot read the file's size", path, code.message());
  CheckBytes(path, static_cast<size_t>(bytes), dtype, shape);
}

Tensor ReadRaw(const std::string& path, DType dtype, const Shape& shape) {
  const std::string bytes = ReadFile(path);
  CheckBytes(path, bytes.size(), dtype, shape);
  Tensor tensor(dtype, shape);
  if (!bytes.empty()) std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace xslim
