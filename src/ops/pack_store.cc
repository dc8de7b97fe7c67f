#include "ops/pack_store.h"

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>

#include "kernels/kernels.h"

namespace xslim {
namespace {

using Bytes = std::shared_ptr<const std::byte>;

// The address tells constants apart as long as they live; an entry whose constant is gone says nothing of
// what lies at its address now.
struct Key {
  const std::byte* address;
  const kernels::Table* table;  // its tiles are the panels
  PackLayout::Kind kind;
  std::vector<int64_t> numbers;

  bool operator<(const Key& other) const {
    return std::tie(address, table, kind, numbers) <
           std::tie(other.address, other.table, other.kind, other.numbers);
  }
};

struct Entry {
  std::weak_ptr<const std::byte> constant;
  std::weak_ptr<std::byte> pack;
  int64_t size = 0;  // elements
};

class Store {
 public:
  static Store& Get() {
    static Store store;
    return store;
  }

  Tensor Find(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(key);
    return found == entries_.end() ? Tensor() : PackOf(found->second);
  }

  Tensor Share(Key key, const Bytes& constant, Tensor pack) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (entries_.size() >= sweep_at_) Sweep();
    Entry& entry = entries_[std::move(key)];
    if (Tensor other = PackOf(entry); other.defined()) return other;
    entry = {constant, pack.storage(), pack.size()};
    return pack;
  }

 private:
  static Tensor PackOf(const Entry& entry) {
    if (entry.constant.expired()) return Tensor();
    std::shared_ptr<std::byte> pack = entry.pack.lock();
    return pack ? Tensor::Borrow(DType::kFloat, {entry.size}, std::move(pack), false) : Tensor();
  }

  void Sweep() {
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (it->second.constant.expired() || it->second.pack.expired()) {
        it = entries_.erase(it);
      } else {
        ++it;
      }
    }
    sweep_at_ = 2 * entries_.size() + kFewest;
  }

  static constexpr size_t kFewest = 64;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  size_t sweep_at_ = kFewest;  // entries
};

Key KeyOf(const Tensor& constant, const PackLayout& layout) {
  return {constant.raw(), &kernels::Active(), layout.kind, layout.numbers};
}

}  // namespace

Tensor FindPack(const Tensor& constant, const PackLayout& layout) {
  return Store::Get().Find(KeyOf(constant, layout));
}

Tensor SharePack(const Tensor& constant, const PackLayout& layout, Tensor pack) {
  return Store::Get().Share(KeyOf(constant, layout), constant.storage(), std::move(pack));
}

}  // namespace xslim
