#include "pipeline/manifest.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/environment.h"
#include "base/json_text.h"
#include "base/log.h"

namespace xslim {
namespace {

// Checksums of files, each of which is read once.
class FileHashes {
 public:
  void Want(const std::vector<std::string>& files) {
    for (const std::string& file : files) hashes_.try_emplace(file);
  }

  void Compute(ThreadPool& pool) {
    std::vector<std::pair<const std::string, std::string>*> open;
    for (auto& entry : hashes_) open.push_back(&entry);
    pool.ParallelFor(std::ssize(open), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        auto& [file, hash] = *open[static_cast<size_t>(i)];
        hash = Sha256OfFile(file);
      }
    });
  }

  const std::string& Of(const std::string& file) const { return hashes_.at(file); }
  std::vector<std::string> Of(const std::vector<std::string>& files) const {
    std::vector<std::string> hashes;
    for (const std::string& file : files) hashes.push_back(Of(file));
    return hashes;
  }

 private:
  std::map<std::string, std::string> hashes_;
};

std::vector<std::string> IfAny(const std::string& text) {
  return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
}

// The samples that the run reads, in the order of the lists.
std::vector<int64_t> Used(const SampleChoice& choice) {
  std::vector<int64_t> used = choice.calibration;
  used.insert(used.end(), choice.report.begin(), choice.report.end());
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  return used;
}

constexpr char kOutput[] = "output", kOutputData[] = "output_data";

}  // namespace

bool IsOutput(const ManifestMember& member) { return member.name == kOutput || member.name == kOutputData; }

Manifest ManifestOfInputs(const Config& config, const RunOptions& options, const OutputPaths& paths,
                          const std::vector<std::string>& data_files, const SampleSource& samples,
                          const SampleChoice& choice, ThreadPool& pool) {
  std::vector<SampleItem> items;
  for (const int64_t index : Used(choice)) {
    const std::vector<SampleItem> own = samples.ItemsOf(index);
    items.insert(items.end(), own.begin(), own.end());
  }
  const std::vector<std::string> scripts = ScriptFiles(config);
  FileHashes hashes;
  hashes.Want({paths.input});
  for (const auto& files : {data_files, scripts, options.op_libraries, IfAny(options.load_stats)})
    hashes.Want(files);
  for (const SampleItem& item : items) hashes.Want(IfAny(item.file));
  hashes.Compute(pool);

  std::string data;  // what sha256sum says of the files, without their names
  for (const SampleItem& item : items) {
    data += item.file.empty() ? "-" : hashes.Of(item.file);
    data += (item.text.empty() ? "" : " " + item.text) + "\n";
  }
  std::vector<std::string> settings = options.settings;
  constexpr char kBias[] = "XQUANT_BIAS_TO_FP32";
  if (const std::string bias = EnvironmentText(kBias); !bias.empty())
    settings.push_back(StrCat(kBias, "=", bias));
  return {{"xslim", false, {Version()}},
          {"model", false, {hashes.Of(paths.input)}},
          {"model_data", true, hashes.Of(data_files)},
          {"config", false, IfAny(config.hash)},
          {"options", true, settings},
          {"data", false, IfAny(data.empty() ? "" : Sha256Of(data))},
          {"scripts", true, hashes.Of(scripts)},
          {"op_libraries", true, hashes.Of(options.op_libraries)},
          {"statistics", false, hashes.Of(IfAny(options.load_stats))}};
}

void AddOutputs(const OutputFiles& files, const OutputPaths& paths, Manifest* manifest) {
  ManifestMember model{kOutput, false, {}}, data{kOutputData, true, {}};
  for (const auto& [path, hash] : files.Hashes()) (path == paths.model ? model : data).texts.push_back(hash);
  manifest->push_back(std::move(model));
  manifest->push_back(std::move(data));
}

std::string ManifestJson(const Manifest& manifest) {
  std::string text = "{";
  for (const ManifestMember& member : manifest) {
    text += StrCat(text.size() > 1 ? "," : "", "\n    ", JsonQuoted(member.name), ": ");
    const std::string texts = StrJoin(member.texts, ", ", JsonQuoted);
    text += member.list ? "[" + texts + "]" : texts.empty() ? "null" : texts;
  }
  return text + "\n  }";
}

}  // namespace xslim
