// Recycles the buffers of an executor's tensors, so that a run in steady state asks the system for no memory.
#ifndef XSLIM_RUNTIME_BUFFER_POOL_H_
#define XSLIM_RUNTIME_BUFFER_POOL_H_

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace xslim {

// Thread-safe. Blocks are cut from a few large areas, each request from the lowest place that it fits in, and
// join their free neighbours when they are freed: runs that ask alike get the same places, which the system
// has long filled with memory. Blocks may outlive the pool; what lies free between them then goes back to the
// system.
class BufferPool : public Allocator {
 public:
  BufferPool() : core_(std::make_shared<Core>()) {}
  ~BufferPool() override;
  std::shared_ptr<std::byte> Allocate(size_t bytes) override;

  struct Usage {
    size_t used, peak_used;  // bytes in blocks, now and at most
    size_t touched;          // bytes of areas that ever were in a block: what is held of the system's memory
    size_t areas;            // ever asked of the system
  };
  Usage usage() const;

 private:
  struct Area {
    std::byte* base = nullptr;
    size_t size = 0, used = 0, touched = 0;
    std::map<size_t, size_t> free;  // offset to length; never side by side
  };
  struct Core {
    ~Core();
    std::pair<Area*, size_t> Take(size_t size);  // where the block is; null when there is no memory
    void Release(Area* area, size_t offset, size_t size);
    void Close();
    Area* Map(size_t size);  // the mutex is held, as in what follows
    void Unmap(const Area* area);
    mutable std::mutex mutex;
    std::vector<std::unique_ptr<Area>> areas;
    Usage usage{};
    bool closed = false;
    bool fresh = true;  // what is touched, the blocks since the last moment without any have touched
    size_t needed = 0;  // what such blocks had touched when all were free again
  };
  std::shared_ptr<Core> core_;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_BUFFER_POOL_H_
