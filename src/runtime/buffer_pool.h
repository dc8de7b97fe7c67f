// Recycles the buffers of an executor's tensors, so that a run in steady state asks the system for no memory.
#ifndef XSLIM_RUNTIME_BUFFER_POOL_H_
#define XSLIM_RUNTIME_BUFFER_POOL_H_

#include <map>
#include <memory>
#include <mutex>

#include "tensor/tensor.h"

namespace xslim {

// Thread-safe. A freed block goes to the list of free ones and is handed out again to a request that it fits
// (best fit, at most twice as large and 4 KiB more). Free and used blocks together stay under one and a half
// times the most that was ever in use at once. Blocks may outlive the pool.
class BufferPool : public Allocator {
 public:
  BufferPool() : core_(std::make_shared<Core>()) {}
  std::shared_ptr<std::byte> Allocate(size_t bytes) override;

  struct Usage {
    size_t used, free, peak_used;  // bytes
    size_t fresh;                  // blocks ever asked of the system
  };
  Usage usage() const;

 private:
  struct Core {
    std::mutex mutex;
    std::multimap<size_t, std::shared_ptr<std::byte>> free;  // by size
    Usage usage{};
    void Release(size_t size, std::shared_ptr<std::byte> block);
    void Trim();  // the mutex is held
  };
  std::shared_ptr<Core> core_;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_BUFFER_POOL_H_
