// What the config and the model say of one input, together. Internal to this folder.
#ifndef XSLIM_DATA_SAMPLE_INPUT_H_
#define XSLIM_DATA_SAMPLE_INPUT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/log.h"
#include "data/readers.h"
#include "data/samples.h"
#include "xslim/error.h"

namespace xslim {

enum class InputKind { kZero, kImage, kNpy, kRaw, kScript };

// One model input, resolved against its config entry. `item`, `image` and `script` are settled once all
// inputs are known (samples.cc).
struct SampleInput {
  std::string name, where, list;  // where: JSON path of the entry
  DType dtype = DType::kFloat, file_dtype = DType::kFloat;
  bool has_shape = false;
  std::vector<std::string> symbols;  // of the dimensions
  Shape shape;                       // of a batch; -1 unknown
  Shape item;                        // of what one file holds
  InputParameters entry;
  InputKind kind = InputKind::kZero;
  ImageSettings image;
  std::unique_ptr<Script> script;
  std::vector<std::string> files;
  std::vector<int64_t> lines;  // of `list`, by file
  // The batch of a list of length 1, the same for every sample.
  mutable std::mutex mutex;
  mutable std::optional<Tensor> constant;
};

// The model's inputs in order, with their lists read. Entries go to inputs by name, the unnamed in order over
// what is left. Throws Error where entry and input do not go together or a list is empty; warns of what has
// no effect.
std::vector<std::unique_ptr<SampleInput>> ResolveInputs(const Config& config,
                                                        const std::vector<ModelInput>& models);

// Sizes by the symbols of unknown dimensions.
using Symbols = std::map<std::string, int64_t>;

// "" = none.
const std::string& SymbolOf(const SampleInput& input, size_t axis);
// Puts what the symbols stand for into unknown dimensions.
void FillSymbols(const SampleInput& input, const Symbols& symbols, Shape* shape);
// Learns what the symbols of an input's unknown dimensions stand for; the first one to tell counts.
void LearnSymbols(const SampleInput& input, const Shape& shape, Symbols* symbols);

int64_t CountUnknown(const Shape& shape);
// Throws Error about the input's unknown dimensions; `why` ends the hint.
[[noreturn]] void FailUnknown(const SampleInput& input, const char* why);

// What a file's bytes and an input's shape leave open of how it is read.
void AddReading(const SampleInput& input, Hasher* hasher);

// What `read` gives for a line of the input's list; errors name it.
template <typename Function>
auto Listed(const SampleInput& input, int64_t line, const Function& read) {
  try {
    return read();
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    throw Error(error.what(), StrCat(input.list, ":", line));
  }
}

}  // namespace xslim

#endif  // XSLIM_DATA_SAMPLE_INPUT_H_
