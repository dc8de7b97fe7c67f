#include "pipeline/output_paths.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.h"

namespace xslim {
namespace {
namespace fs = std::filesystem;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// In capitals, too.
bool IsEnding(const std::string& text) { return Lower(text) == ".onnx"; }

// What nobody calls a folder.
bool IsOtherFile(const fs::path& path) {
  constexpr const char* kEndings[] = {".bin", ".engine", ".h5",  ".json", ".md",     ".mnn", ".ncnn", ".ort",
                                      ".pb",  ".pt",     ".pth", ".rknn", ".tflite", ".trt", ".txt",  ".xml"};
  return std::find(std::begin(kEndings), std::end(kEndings), Lower(path.extension().string())) !=
         std::end(kEndings);
}

// "." and "..", which mean folders, and the like.
bool IsDots(const std::string& name) {
  return !name.empty() && name.find_first_not_of('.') == std::string::npos;
}

bool Same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::exists(b, error) && fs::equivalent(a, b, error);
}
}  // namespace

bool IsModelFile(const std::string& path) { return IsEnding(fs::path(path).extension().string()); }

OutputPaths ResolveOutputPaths(const Config& config, const RunOptions& options) {
  OutputPaths paths;
  paths.input = options.input_path.empty() ? config.model.onnx_model : options.input_path;
  if (paths.input.empty()) {
    throw Error("no input model", config.source, "give -i FILE or model_parameters.onnx_model");
  }
  std::error_code error;
  if (!fs::exists(paths.input, error)) {
    const fs::path beside = fs::path(config.source).parent_path() / paths.input;
    const bool elsewhere = options.input_path.empty() && fs::exists(beside, error);
    throw Error("cannot open the model", paths.input,
                elsewhere
                    ? "no such file; onnx_model starts at the current folder, and there is " + beside.string()
                    : "no such file; check -i or model_parameters.onnx_model");
  }
  const fs::path input(paths.input);
  const std::string stem = input.stem().string();
  const bool slimming = config.source.empty();
  std::string prefix =
      config.model.output_prefix.empty() ? stem + (slimming ? "" : ".q") : config.model.output_prefix;
  fs::path folder =
      config.model.working_dir.empty() ? input.parent_path() : fs::path(config.model.working_dir);
  std::string ending = ".onnx";
  bool named = false;  // whether the folder is all that -o says
  if (!options.output_path.empty()) {
    const fs::path output(options.output_path);
    if (IsEnding(output.filename().string()) || (IsModelFile(output) && IsDots(output.stem().string())))
      throw UsageError("has no name before .onnx", "-o " + options.output_path, "write e.g. -o model.q.onnx");
    if (IsModelFile(output) && !fs::is_directory(output, error)) {
      folder = output.parent_path();
      prefix = output.stem().string();
      ending = output.extension().string();
    } else {
      if (IsOtherFile(output) && !fs::exists(output, error)) {
        throw UsageError("is not the name of a .onnx file", "-o " + options.output_path,
                         "give a name that ends in .onnx, or a folder");
      }
      folder = output;
      named = true;
    }
  } else if (!options.input_path.empty()) {
    prefix = stem;
  }
  if (prefix.find('/') != std::string::npos || (prefix == config.model.output_prefix && IsDots(prefix))) {
    throw Error("output_prefix " + prefix + " is not a file name",
                config.source + ": model_parameters.output_prefix", "folders belong in working_dir");
  }
  if (folder.empty()) folder = ".";
  if (named && fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    throw Error("is neither a .onnx file nor a folder", folder.string(),
                "the output is a model in a file of its own: give a name that ends in .onnx, or a folder");
  }
  fs::path model = folder / (prefix + ending);
  if (Same(input, model)) {
    if (IsModelFile(options.output_path)) {
      throw Error("the output would overwrite the input", paths.input, "give -o another name");
    }
    model = folder / (stem + ".q.onnx");
    prefix = stem + ".q";
    LogWarning("the output would overwrite the input; writing ", model.string(), " instead");
    if (Same(input, model))
      throw Error("the output would overwrite the input", paths.input, "give -o another name");
  }
  paths.folder = folder.string();
  paths.model = model.lexically_normal().string();
  paths.report = (folder / (prefix + "_report.md")).lexically_normal().string();
  paths.verdict = (folder / (prefix + "_verdict.json")).lexically_normal().string();
  return paths;
}

void MakeFolder(OutputPaths* paths) {
  constexpr const char* kAdvice = "give another folder by -o or model_parameters.working_dir";
  const fs::path folder(paths->folder);
  std::error_code error;
  fs::path at = folder.lexically_normal();
  for (; !at.empty() && !fs::exists(at, error); at = at.parent_path()) paths->made.push_back(at.string());
  if (!at.empty() && !fs::is_directory(at, error)) {
    throw Error("the output cannot go into the folder " + paths->folder + ": there is a file of that name",
                at.string(), kAdvice);
  }
  fs::create_directories(folder, error);
  if (error) throw Error("cannot make the output folder: " + error.message(), paths->folder, kAdvice);
  if (access(folder.c_str(), W_OK) != 0)
    throw Error(std::string("the output folder is not writable: ") + std::strerror(errno), paths->folder,
                kAdvice);
}

void RemoveEmptyFolders(const OutputPaths& paths) {
  std::error_code ignored;
  for (const std::string& folder : paths.made) fs::remove(folder, ignored);
}

}  // namespace xslim
