// The readers behind SampleSource: one list entry in, one tensor out. Internal to this folder.
#ifndef XSLIM_DATA_READERS_H_
#define XSLIM_DATA_READERS_H_

#include <sys/types.h>

#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/samples.h"
#include "tensor/tensor.h"
#include "xslim/config.h"

namespace xslim {

// The paths of a list file: one per line, relative to the list's folder or absolute; blank lines skipped,
// ends of lines (LF, CRLF or CR) and a byte order mark tolerated. A line that names no file stands for the
// longest part before a blank that does ("path label", where the path may hold blanks). Throws Error naming
// `field` (the JSON field) and the list, for a missing entry also its line. `lines`: takes the line that each
// path stands in. `scripted`: whole lines behind the list's folder, files or not, as XSlim hands them to a
// preprocessing function.
std::vector<std::string> ReadListFile(const std::string& list, const std::string& field,
                                      std::vector<int64_t>* lines = nullptr, bool scripted = false);

// What a preprocessing function is handed for a line of the list; path: as ReadListFile gives it.
SampleItem ScriptedItem(const std::string& list, const std::string& path);

// `path` itself, or else below the folder of the config file `source` when only that exists.
std::string ResolvePath(const std::string& path, const std::string& source);

// "file.py:function" with the file's path resolved like that. A file that does not exist may be meant as a
// module, whose file has .py behind the name.
std::string ResolveScript(const std::string& spec, const std::string& source);

// `tensor` as `dtype`: floats rounded to nearest even, to integers without their fractions; to booleans:
// whether it is not 0. Sets `lossy` where that changes a value, but for floats to narrower floats. A value
// that the integer type does not have throws Error naming `path`, and so do texts.
Tensor ConvertElements(const Tensor& tensor, DType dtype, const std::string& path, bool* lossy);

// Float32 to any numeric type: integers are rounded to nearest even and saturated, NaN becomes 0.
Tensor FromFloat32(const Tensor& tensor, DType dtype);

// Whether a float tensor holds NaN or infinity; false for other types.
bool HasNonFinite(const Tensor& tensor);

// "[?,3,224,224]": a shape whose -1 are unknown.
std::string DimsText(const Shape& shape);

// Lets `tensor` pass as `shape` (-1 = any): equal, or equal but for a missing leading 1. Throws Error naming
// `path` and the model's input.
Tensor FitShape(const Tensor& tensor, const Shape& shape, const std::string& path, const std::string& input);

// A .npy file (versions 1 to 3, either byte order, C or Fortran order) in C order, its own element type.
Tensor ReadNpy(const std::string& path);

// Flat little-endian elements of `dtype` as `shape`. CheckRaw compares the file's size only.
void CheckRaw(const std::string& path, DType dtype, const Shape& shape);
Tensor ReadRaw(const std::string& path, DType dtype, const Shape& shape);

enum class Preset { kNone, kPtImagenet, kImagenet, kLetterbox };

// What the word stands for; kNone where it is none, a function of the user's.
Preset PresetOf(const std::string& preprocess_file);

// How an image becomes a [1,C,H,W] (or [1,H,W,C]) float32 tensor.
struct ImageSettings {
  int channels = 3, height = 0, width = 0;
  bool channels_last = false, rgb = false;
  Preset preset = Preset::kNone;
  std::vector<double> mean, std;  // `channels` values each
};

// Layout, sizes and normalisation of an image input from its shape (rank 4) and config entry. Throws Error
// naming `where` when they do not describe an image.
ImageSettings MakeImageSettings(const InputParameters& entry, const Shape& shape, const std::string& where);
// Leaves other bytes than those of a PNG file alone. Throws Error naming `path` for one that is cut off,
// damaged or too long, which libpng would say on stderr itself; takes out what it would warn of there and not
// use: chunks beside the picture that are damaged, and colour profiles.
void CheckPng(const std::string& path, std::string* bytes);
// Height and width of the decoded image.
std::pair<int, int> ImageSize(const std::string& path);
// cut: whether the file ends before its picture does, and the rest is made up.
Tensor ReadImage(const std::string& path, const ImageSettings& settings, bool* cut);

// The part of an image that is kept, within its sides.
struct PixelWindow {
  int top, left, height, width;
};

// Pillow's Image.resize(..., BILINEAR) of an 8-bit image, bit for bit, or a window of the result. `in` is
// height x width x channels.
std::vector<uint8_t> PillowBilinear(const uint8_t* in, int height, int width, int channels, int new_height,
                                    int new_width, std::optional<PixelWindow> window = std::nullopt);

// Mean of the covered area, as OpenCV's INTER_AREA does it on x86-64 when both sides shrink (or stay) and not
// both by whole factors, which is what NeedsAreaShrink says: weights in double, then floats, each product and
// sum rounded, along rows first; half to even. Pixels as above.
bool NeedsAreaShrink(int height, int width, int new_height, int new_width);
std::vector<uint8_t> AreaShrink(const uint8_t* pixels, int height, int width, int channels, int new_height,
                                int new_width);

// What a preprocess function gets as its entry, as JSON: [all keys of XSlim's with their defaults, the keys
// as they were written]. Sizes that nobody knows are null, an unknown batch is 1.
std::string ScriptEntry(const InputParameters& entry, const std::string& input, const Shape* shape);

// "file.py:function" in a Python child process that lives as long as this object. The interpreter is python3,
// or what XSLIM_PYTHON names. Throws Error with Python's last traceback line.
class Script {
 public:
  // `spec` is "file.py:function" with the file resolved; `entry` is what ScriptEntry gives; arrays come back
  // as `dtype`, which the function finds in its entry.
  Script(const std::string& spec, const std::string& entry, DType dtype);
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  // function(paths, entry) as a tensor with the batch on axis 0. Thread-safe. The first failure ends the
  // Python process; every later call fails with the same error.
  Tensor Call(const std::vector<std::string>& paths) const;

 private:
  void Send(const void* data, size_t bytes) const;
  void Receive(void* data, size_t bytes) const;
  // paths: that the code was called with, of which a failure names one that is not there.
  void CheckReply(const std::string& where, const std::vector<std::string>& paths = {}) const;
  Tensor CallOnce(const std::vector<std::string>& paths) const;
  void Stop();

  std::string spec_, file_;
  DType dtype_;
  pid_t child_ = -1;
  int socket_ = -1;
  mutable std::mutex mutex_;
  mutable std::exception_ptr failure_;
};

}  // namespace xslim

#endif  // XSLIM_DATA_READERS_H_
