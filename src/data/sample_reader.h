// From the files of an input to tensors. Internal to this folder.
#ifndef XSLIM_DATA_SAMPLE_READER_H_
#define XSLIM_DATA_SAMPLE_READER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "data/sample_input.h"

namespace xslim {

// The shape of a raw file's item: the one unknown dimension follows from the file's size; CheckRaw says when
// it does not come out.
Shape RawShape(const SampleInput& input, const std::string& path);

// Decodes on demand. What is odd about files is said of the first one alone. Thread-safe.
class SampleReader {
 public:
  // Batch `index` of an input with data: `batch` items along axis 0, as the input's type. Throws Error naming
  // the file and its line in the list.
  Tensor Read(const SampleInput& input, int64_t index, int64_t batch) const;

 private:
  Tensor Decode(const SampleInput& input, int64_t index, int64_t batch) const;
  Tensor ReadOne(const SampleInput& input, const std::string& path) const;
  Tensor RunScript(const SampleInput& input, const std::vector<std::string>& paths) const;
  Tensor Convert(const Tensor& tensor, DType dtype, const std::string& path) const;
  void WarnNonFinite(const Tensor& tensor, const std::string& path) const;

  mutable std::atomic<bool> warned_{false}, warned_type_{false}, warned_loss_{false}, warned_cut_{false};
};

}  // namespace xslim

#endif  // XSLIM_DATA_SAMPLE_READER_H_
