#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "xslim/error.h"

namespace xslim {
namespace {

// An open file to read from, closed at the end whatever is thrown. Opening a named pipe does not wait for a
// writer.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }  // -1: could not be opened, errno says why

 private:
  const int number_;
};

// Its size; throws Error for what could not be opened, just now, or is no regular file.
size_t SizeOfRegular(const Descriptor& descriptor, const std::string& path) {
  if (descriptor < 0) throw Error("cannot open the file", path, std::strerror(errno));
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) throw Error("is a folder, not a file", path, "name a file in it");
    throw Error("is a pipe or a device, not a file", path, "save what it gives to a file, and name that");
  }
  return static_cast<size_t>(info.st_size);
}

// A name beside `path`, another one with each call. A process of the same number, in another container or
// long gone, may have taken it.
std::string HiddenName(const std::string& path, const char* ending) {
  static std::atomic<unsigned> number = 0;  // runs side by side in one process keep theirs apart
  return path.substr(0, path.rfind('/') + 1) + ".xslim" + std::to_string(getpid()) + "." +
         std::to_string(number++) + ending;
}

// Gives what stands at `path` a further name, or, where the system refuses that, only another one; "" when
// nothing stands there.
std::string KeepOld(const std::string& path) {
  for (;;) {
    const std::string name = HiddenName(path, ".before");
    if (link(path.c_str(), name.c_str()) == 0) return name;
    if (errno == EEXIST) continue;
    if (errno == ENOENT) return "";
    // No second name for this file: another owner's, or a file system without such names.
    struct stat info;
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return "";  // the renaming will refuse
    if (lstat(name.c_str(), &info) == 0) continue;
    if (rename(path.c_str(), name.c_str()) == 0) return name;
    if (errno == ENOENT) return "";  // where no file may have two names, that is said first
    throw Error("cannot keep the file that the output file replaces", path, std::strerror(errno));
  }
}

}  // namespace

bool IsBelow(const std::filesystem::path& file, const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first == folder.end();
}

std::string WhyNotCreated(const std::string& path, int reason) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  const bool homeless = !folder.empty() && !std::filesystem::is_directory(folder, ignored);
  return homeless ? "there is no folder " + folder.string() : std::strerror(reason);
}

std::string ReadFile(const std::string& path) {
  const Descriptor descriptor(path);
  const size_t size = SizeOfRegular(descriptor, path);
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = read(descriptor, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error("cannot read the file", path, got == 0 ? "it became shorter" : std::strerror(errno));
    }
    done += static_cast<size_t>(got);
  }
  return bytes;
}

void ReadInPieces(const std::string& path, const std::function<void(const char*, size_t)>& use) {
  const Descriptor descriptor(path);
  const size_t size = SizeOfRegular(descriptor, path);
  std::vector<char> piece(std::clamp<size_t>(size, 1, size_t{256} << 10));
  for (;;) {
    const ssize_t got = read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error("cannot read the file", path, std::strerror(errno));
    if (got == 0) break;
    use(piece.data(), static_cast<size_t>(got));
  }
}

bool IsUtf16(const std::string& text) {
  return text.rfind("\xff\xfe", 0) == 0 || text.rfind("\xfe\xff", 0) == 0;
}

std::string ReadFileOrPipe(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISFIFO(info.st_mode)) return ReadFile(path);
  constexpr size_t kMost = size_t{64} << 20, kChunk = 64 << 10;
  // A pipe that nobody writes to is at its end at once.
  const Descriptor descriptor(path);
  if (descriptor < 0) throw Error("cannot open the pipe", path, std::strerror(errno));
  std::string bytes;
  std::string failure;
  for (ssize_t got = 1; got != 0 && failure.empty();) {
    const size_t at = bytes.size();
    bytes.resize(at + kChunk);
    got = read(descriptor, bytes.data() + at, kChunk);
    const int reason = errno;
    bytes.resize(at + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && reason == EAGAIN) {
      pollfd wait{descriptor, POLLIN, 0};
      poll(&wait, 1, -1);
    } else if (got < 0 && reason != EINTR) {
      failure = std::strerror(reason);
    }
    if (bytes.size() > kMost) failure = "it gives over 64 MB";
  }
  if (!failure.empty()) throw Error("cannot read the pipe", path, failure);
  return bytes;
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor descriptor(path);
  size_ = SizeOfRegular(descriptor, path);
  if (size_ > 0) data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data_ == MAP_FAILED) throw Error("cannot map the file", path, std::strerror(errno));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(data_, size_);
}

void ForgetMapped(const void* data, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

OutputFile::OutputFile(std::string path, bool hashed) : path_(std::move(path)) {
  if (hashed) hash_.emplace();
  struct stat info;
  const bool stands = stat(path_.c_str(), &info) == 0;
  bool refused = !stands && errno == ENAMETOOLONG;
  if (stands && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
    throw Error("is a pipe or a device, and would be replaced by a file", path_, "give another name");
  while (descriptor_ < 0 && !refused) {
    temporary_ = HiddenName(path_, ".tmp");
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    refused = descriptor_ < 0 && errno != EEXIST;
  }
  if (refused)
    throw Error("cannot create the output file: " + WhyNotCreated(path_, errno), path_,
                "give a folder that exists and that you may write to");
  name_.emplace(temporary_);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::Fail(const char* what) { throw Error(what, path_, std::strerror(errno)); }

void OutputFile::Write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  if (hash_) hash_->Add(data, bytes);
  while (bytes > 0) {
    const ssize_t put = write(descriptor_, next, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) Fail("cannot write the output file");
    next += put;
    bytes -= static_cast<size_t>(put);
  }
}

void OutputFile::Finish() {
  if (fsync(descriptor_) != 0 && errno != EINVAL) Fail("cannot write the output file");
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0) Fail("cannot write the output file");
}

void OutputFile::Rename() {
  if (rename(temporary_.c_str(), path_.c_str()) != 0) Fail("cannot put the output file in its place");
  temporary_.clear();
  name_.reset();
}

void OutputFile::Commit() {
  Finish();
  Rename();
}

void CheckOutputPlace(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw Error("cannot write the output file: a folder of that name is there", path, "give another name");
  const OutputFile tried(path);
}

OutputFile* OutputFiles::Add(const std::string& path) {
  files_.push_back(std::make_unique<OutputFile>(path, hashed_));
  return files_.back().get();
}

std::vector<std::pair<std::string, std::string>> OutputFiles::Hashes() const {
  std::vector<std::pair<std::string, std::string>> hashes;
  for (const auto& file : files_) {
    if (file->hash_) hashes.emplace_back(file->path_, file->hash_->Hex());
  }
  return hashes;
}

void OutputFiles::Commit() {
  for (const auto& file : files_) file->Finish();
  const SignalsWait wait;
  // Names under which what stood there is kept until all are in place; "" where nothing did.
  std::vector<std::string> kept;
  kept.reserve(files_.size());
  size_t done = 0;
  // What could not be put back.
  const auto roll_back = [&] {
    std::string stray;
    for (size_t i = 0; i < kept.size(); ++i) {
      const std::string& path = files_[i]->path_;
      if (kept[i].empty()) {
        if (i < done) unlink(path.c_str());
        continue;
      }
      // Of two names of one file a renaming removes none.
      if (rename(kept[i].c_str(), path.c_str()) == 0) {
        unlink(kept[i].c_str());
      } else {
        stray += (stray.empty() ? "" : ", ") + path + " is now " + kept[i];
      }
    }
    return stray;
  };
  try {
    for (; done < files_.size(); ++done) {
      kept.push_back(KeepOld(files_[done]->path_));
      files_[done]->Rename();
    }
  } catch (const Error& error) {
    const std::string stray = roll_back();
    if (stray.empty()) throw;
    throw Error(error.what(), "", "and what was there before cannot be put back: " + stray);
  } catch (...) {  // too little memory for a name
    roll_back();
    throw;
  }
  for (const std::string& before : kept) {
    if (!before.empty()) unlink(before.c_str());
  }
  files_.clear();
}

}  // namespace xslim
