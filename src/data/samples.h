// Calibration and evaluation data as a stream of samples. Never all in memory: at() decodes on demand, and
// SampleStream decodes ahead on another thread.
#ifndef XSLIM_DATA_SAMPLES_H_
#define XSLIM_DATA_SAMPLES_H_

#include <cstdint>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "tensor/tensor.h"
#include "xslim/config.h"

namespace xslim {

// What the model says of an input; dims of -1 are unknown. Dimensions of one symbol are equal in a sample.
struct ModelInput {
  std::string name;
  DType dtype;
  Shape dims;
  bool has_shape;
  std::vector<std::string> symbols = {};  // by dimension, "" = none; may be shorter than dims
};

// One sample = one batch = one tensor per model input, in the order of `ModelInput`s.
using Sample = std::vector<Tensor>;
int64_t BytesOf(const Sample& sample);

// What an item of a sample is read from: a file, "" where a line handed to a preprocessing function names
// none; and what else the function is handed: the rest of the line, without the list's folder.
struct SampleItem {
  std::string file, text;
};

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual int64_t size() const = 0;                  // batches
  virtual Sample at(int64_t index) const = 0;        // thread-safe; throws Error naming the file
  virtual std::string Describe() const = 0;          // "64 samples of data/calib.txt"
  virtual std::string TitleOf(int64_t index) const;  // "sample 3 (data/calib.txt:3)"
  // A checksum that differs where at(index) does. Files that are decoded the same way every time count by
  // their bytes and by how they are decoded, which is much quicker; anything else by the tensors.
  virtual std::string Fingerprint(int64_t index) const;
  virtual std::vector<SampleItem> ItemsOf(int64_t index) const;  // none where no files are read
};

// Matches config entries to the model's inputs (by name, else by position), reads the list files and checks
// everything that can be checked before the first decode. Rules: lists of length 1 are broadcast; a missing
// list means one all-zero sample; a model without inputs has one sample and takes no entries. Unknown
// dimensions: input_shape fixes them, for all inputs that share their symbol; else arrays tell them, sample
// by sample, and images by the first one's size; a raw file's size tells one; an unknown batch that nothing
// tells is 1, anything else an Error. Batch size = calibration_batch_size when > 1, else input_shape[0] for a
// single image input, else 1; the tail that does not fill a batch is dropped. `limit` = samples at most (0 =
// all). Throws Error with XSlim's wording
// ("Calibration input xxx finds 0 items.").
std::unique_ptr<SampleSource> OpenSamples(const Config& config, const std::vector<ModelInput>& inputs,
                                          int64_t limit);

// The files that the config names for calibration: lists, what they list, preprocess scripts. Of a list that
// cannot be read, the list alone.
std::vector<std::string> DataFiles(const Config& config);

// The preprocess scripts of inputs that have a list.
std::vector<std::string> ScriptFiles(const Config& config);

// Whether the config names data for any input; the others are filled with zeros.
bool HasData(const Config& config);

// Whether the samples of `indices` hold a finite element other than 0 in an input of floats (true where the
// model has none). Decodes until it knows. Throws Error ("no finite sample") for a float input that is NaN or
// infinite throughout.
bool HoldValues(const SampleSource& source, const std::vector<int64_t>& indices,
                const std::vector<ModelInput>& inputs);

// Walks over chosen samples in order, decoding one ahead on another thread (where the system refuses one,
// when it is asked for).
class SampleStream {
 public:
  SampleStream(const SampleSource& source, std::vector<int64_t> indices);
  bool Next(Sample* sample);  // false at the end; throws what decoding threw

 private:
  void ReadAhead();

  const SampleSource& source_;
  const std::vector<int64_t> indices_;
  size_t at_ = 0;  // of the indices: the sample that is read ahead
  std::future<Sample> ahead_;
};

constexpr int64_t kDrawnBytes = int64_t{64} << 20;  // of drawn samples that are held at once

// `count` of the samples that `indices` names (all when there are fewer), decoded: a seeded choice, in order.
// Those that hold NaN are left out, unless all do. Fewer where they take more than most_bytes, but at least
// 2: as many as would fit if all were of the first one's size, and of these, in order, those that do fit.
std::vector<Sample> DrawSamples(const SampleSource& source, const std::vector<int64_t>& indices,
                                int64_t count, uint64_t seed, ThreadPool& pool,
                                int64_t most_bytes = std::numeric_limits<int64_t>::max());

}  // namespace xslim

#endif  // XSLIM_DATA_SAMPLES_H_
