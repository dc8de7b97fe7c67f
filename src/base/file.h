// Reading whole files, and output files that appear whole or not at all.
#ifndef XSLIM_BASE_FILE_H_
#define XSLIM_BASE_FILE_H_

#include <cstdint>
#include <string>

namespace xslim {

// The file's bytes. Throws Error naming the file and the system's reason.
std::string ReadFile(const std::string& path);

// A file that is written under a temporary name in the same folder and renamed by Commit(). Without Commit()
// the temporary file is removed. Every failure (no such folder, full disk) throws Error naming `path`.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Write(const void* data, size_t bytes);
  void Write(const std::string& text) { Write(text.data(), text.size()); }
  void Commit();  // flush, sync, rename

 private:
  [[noreturn]] void Fail(const char* what);
  std::string path_, temporary_;
  int descriptor_ = -1;
};

}  // namespace xslim

#endif  // XSLIM_BASE_FILE_H_
