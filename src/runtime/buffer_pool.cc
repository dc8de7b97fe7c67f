#include "runtime/buffer_pool.h"

#include <algorithm>
#include <utility>

namespace xslim {

std::shared_ptr<std::byte> BufferPool::Allocate(size_t bytes) {
  const size_t wanted = std::max<size_t>((bytes + 63) / 64 * 64, 64);
  size_t size = wanted;
  std::shared_ptr<std::byte> block;
  {
    std::lock_guard<std::mutex> lock(core_->mutex);
    auto found = core_->free.lower_bound(wanted);
    if (found != core_->free.end() && found->first <= 2 * wanted + 4096) {
      size = found->first;
      block = std::move(found->second);
      core_->free.erase(found);
      core_->usage.free -= size;
    }
    core_->usage.used += size;
    core_->usage.peak_used = std::max(core_->usage.peak_used, core_->usage.used);
    if (!block) {
      core_->usage.fresh++;
      core_->Trim();
    }
  }
  if (!block) {
    try {
      block = AllocateAligned(size);
    } catch (...) {
      std::lock_guard<std::mutex> lock(core_->mutex);
      core_->usage.used -= size;
      throw;
    }
  }
  std::byte* raw = block.get();
  return std::shared_ptr<std::byte>(raw, [core = core_, size, owner = std::move(block)](std::byte*) mutable {
    core->Release(size, std::move(owner));
  });
}

BufferPool::Usage BufferPool::usage() const {
  std::lock_guard<std::mutex> lock(core_->mutex);
  return core_->usage;
}

void BufferPool::Core::Release(size_t size, std::shared_ptr<std::byte> block) {
  std::lock_guard<std::mutex> lock(mutex);
  usage.used -= size;
  usage.free += size;
  free.emplace(size, std::move(block));
  Trim();
}

void BufferPool::Core::Trim() {
  const size_t limit = usage.peak_used + usage.peak_used / 2;
  while (!free.empty() && usage.used + usage.free > limit) {
    auto largest = std::prev(free.end());
    usage.free -= largest->first;
    free.erase(largest);
  }
}

}  // namespace xslim
