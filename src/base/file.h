// Reading whole files, mapping them, and output files that appear whole or not at all.
#ifndef XSLIM_BASE_FILE_H_
#define XSLIM_BASE_FILE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "base/temporary_files.h"

namespace xslim {

// Why the file could not be created: that its folder is not there, or else the system's `reason` (errno).
std::string WhyNotCreated(const std::string& path, int reason);

// The file's bytes. Throws Error naming the file and the system's reason.
std::string ReadFile(const std::string& path);

// The same, piece by piece: files may be larger than memory.
void ReadInPieces(const std::string& path, const std::function<void(const char*, size_t)>& use);

// The same of a file or a pipe, like what a shell's <(...) names; of a pipe at most 64 MB.
std::string ReadFileOrPipe(const std::string& path);

// Whether the text begins with the byte order mark of UTF-16, as some editors save it.
bool IsUtf16(const std::string& text);

// Whether the file lies in the folder or in one inside it. Canonical paths: nothing is looked up.
bool IsBelow(const std::filesystem::path& file, const std::filesystem::path& folder);

// A file in memory, read by the system page by page where it is touched. Its bytes must not be written to.
class MappedFile {
 public:
  // Throws Error naming `path` and the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const char* data() const { return static_cast<const char*>(data_); }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// Gives back the memory of mapped bytes that were read; they are read again when they are touched again.
void ForgetMapped(const void* data, size_t bytes);

// A file that is written under a temporary name in the same folder and renamed by Commit(). Without Commit()
// the temporary file is removed. No two share a temporary name, in whatever run, process or container they
// are. Every failure (no such folder, full disk) throws Error naming `path`.
class OutputFile {
 public:
  // hashed: its checksum is made while it is written.
  explicit OutputFile(std::string path, bool hashed = false);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Write(const void* data, size_t bytes);
  void Write(const std::string& text) { Write(text.data(), text.size()); }
  void Commit();  // flush, sync, rename

 private:
  friend class OutputFiles;
  void Finish();  // flush, sync, close: what can still fail for want of space has then succeeded
  void Rename();
  [[noreturn]] void Fail(const char* what);
  std::string path_, temporary_;
  std::optional<TemporaryName> name_;  // while there is a file of that name
  int descriptor_ = -1;
  std::optional<Sha256> hash_;
};

// Throws the Error that an OutputFile of that path would end in, as far as that is known before there is
// anything to write: no such folder, no permission, a folder or a device of that name.
void CheckOutputPlace(const std::string& path);

// Files that belong together: Commit() renames none before all of them are whole. When one of them cannot be
// renamed, those before it are taken back, and what stood in their place is there again.
class OutputFiles {
 public:
  explicit OutputFiles(bool hashed = false) : hashed_(hashed) {}
  OutputFile* Add(const std::string& path);  // stays this object's
  void Commit();
  // Paths and SHA-256 of the files as far as they are written, in the order of Add(); none unless hashed.
  std::vector<std::pair<std::string, std::string>> Hashes() const;

 private:
  const bool hashed_;
  std::vector<std::unique_ptr<OutputFile>> files_;
};

}  // namespace xslim

#endif  // XSLIM_BASE_FILE_H_
