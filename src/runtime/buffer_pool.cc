#include "runtime/buffer_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/memory.h"
#include "base/sanitizer.h"

#if defined(XSLIM_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace xslim {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallestArea = size_t{32} << 20;  // of addresses; memory comes when it is written to

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

size_t PageSize() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Tools that check memory accesses see no blocks in an area: they are told, and blocks are kept apart.
#if defined(XSLIM_ADDRESS_SANITIZER)
constexpr size_t kGap = kLine;
void Forbid(const std::byte* at, size_t bytes) { __asan_poison_memory_region(at, bytes); }
void Allow(const std::byte* at, size_t bytes) { __asan_unpoison_memory_region(at, bytes); }
#else
constexpr size_t kGap = 0;
void Forbid(const std::byte*, size_t) {}
void Allow(const std::byte*, size_t) {}
#endif

std::byte* MapBytes(size_t bytes) {
  if (!HasMemoryFor(bytes)) return nullptr;
  void* area = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return area == MAP_FAILED ? nullptr : static_cast<std::byte*>(area);
}

// Gives the memory of the whole pages in [begin, end) back.
void GiveBack(std::byte* base, size_t begin, size_t end) {
  begin = RoundUp(begin, PageSize());
  end = end / PageSize() * PageSize();
  if (begin < end) madvise(base + begin, end - begin, MADV_DONTNEED);
}

}  // namespace

BufferPool::~BufferPool() { core_->Close(); }

std::shared_ptr<std::byte> BufferPool::Allocate(size_t bytes) {
  const size_t size = std::max(RoundUp(bytes, kLine), kLine) + kGap;
  const auto [area, offset] = core_->Take(size);
  if (area == nullptr) return AllocateAligned(bytes);  // says that there is no memory
  std::byte* const block = area->base + offset;
  Allow(block, bytes);
  return {block, [core = core_, area = area, offset = offset, size](std::byte*) {
            core->Release(area, offset, size);
          }};
}

BufferPool::Usage BufferPool::usage() const {
  std::lock_guard<std::mutex> lock(core_->mutex);
  return core_->usage;
}

BufferPool::Core::~Core() {
  while (!areas.empty()) Unmap(areas.back().get());
}

std::pair<BufferPool::Area*, size_t> BufferPool::Core::Take(size_t size) {
  std::lock_guard<std::mutex> lock(mutex);
  Area* area = nullptr;
  std::map<size_t, size_t>::iterator found;
  for (const auto& each : areas) {
    found = std::find_if(each->free.begin(), each->free.end(),
                         [size](const auto& range) { return range.second >= size; });
    if (found == each->free.end()) continue;
    area = each.get();
    break;
  }
  if (area == nullptr) {
    area = Map(size);
    if (area == nullptr) return {nullptr, 0};
    found = area->free.begin();
  }
  const auto [offset, length] = *found;
  area->free.erase(found);
  if (length > size) area->free.emplace(offset + size, length - size);
  area->used += size;
  if (offset + size > area->touched) {
    usage.touched += offset + size - area->touched;
    area->touched = offset + size;
  }
  usage.used += size;
  usage.peak_used = std::max(usage.peak_used, usage.used);
  return {area, offset};
}

void BufferPool::Core::Release(Area* area, size_t offset, size_t size) {
  std::lock_guard<std::mutex> lock(mutex);
  Forbid(area->base + offset, size);
  usage.used -= size;
  area->used -= size;
  auto range = area->free.emplace(offset, size).first;
  const auto next = std::next(range);
  if (next != area->free.end() && range->first + range->second == next->first) {
    range->second += next->second;
    area->free.erase(next);
  }
  if (range != area->free.begin()) {
    const auto before = std::prev(range);
    if (before->first + before->second == range->first) {
      before->second += range->second;
      area->free.erase(range);
      range = before;
    }
  }
  if (closed) {
    GiveBack(area->base, range->first, std::min(range->first + range->second, area->touched));
    if (area->used == 0) Unmap(area);
    return;
  }
  // What runs of several shapes have touched goes back all together, so that the next one finds its places
  // anew. What that takes by itself is kept, however much lies free between its blocks.
  if (usage.used > 0) return;
  if (fresh) needed = usage.touched;
  fresh = usage.touched > std::max(needed, usage.peak_used + usage.peak_used / 2);
  if (!fresh) return;
  while (!areas.empty()) Unmap(areas.back().get());
}

void BufferPool::Core::Close() {
  std::lock_guard<std::mutex> lock(mutex);
  closed = true;
  for (size_t i = areas.size(); i-- > 0;) {
    Area* area = areas[i].get();
    if (area->used == 0) {
      Unmap(area);
      continue;
    }
    for (const auto& [offset, length] : area->free) {
      GiveBack(area->base, offset, std::min(offset + length, area->touched));
    }
  }
}

BufferPool::Area* BufferPool::Core::Map(size_t size) {
  size_t wanted = kSmallestArea;
  for (const auto& area : areas) wanted += area->size;
  wanted = RoundUp(std::max(wanted, size), kHugePage);
  auto area = std::make_unique<Area>();
  area->size = wanted;
  area->base = MapBytes(wanted);
  if (area->base == nullptr) {
    area->size = RoundUp(size, PageSize());
    area->base = MapBytes(area->size);
  }
  if (area->base == nullptr) return nullptr;
  // Fewer and larger pages, but not for the little that a small model needs.
  if (area->size > kHugePage) madvise(area->base + kHugePage, area->size - kHugePage, MADV_HUGEPAGE);
  Forbid(area->base, area->size);
  area->free.emplace(0, area->size);
  areas.push_back(std::move(area));
  ++usage.areas;
  return areas.back().get();
}

void BufferPool::Core::Unmap(const Area* area) {
  const auto found =
      std::find_if(areas.begin(), areas.end(), [area](const auto& a) { return a.get() == area; });
  usage.touched -= area->touched;
  Allow(area->base, area->size);
  munmap(area->base, area->size);
  areas.erase(found);
}

}  // namespace xslim
