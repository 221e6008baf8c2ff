#include "relay/control/reply_cache.h"

#include <functional>

namespace relay {

namespace {

// List and hash nodes, their string heads and allocator overhead; from sizeof on a 64-bit build.
constexpr size_t kEntryOverheadBytes = 224;

template <typename T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string flatten(const ReplyCacheKey& key) {
  std::string out;
  out.reserve(48 + key.cookie.size());
  append_bytes(out, key.socket_index);
  append_bytes(out, key.peer_scope);
  append_bytes(out, key.peer.port);
  append_bytes(out, key.peer.address.family());
  append_bytes(out, key.peer.address.bytes());
  append_bytes(out, std::hash<std::string_view>{}(key.command));
  out += key.cookie;  // last: the only part of variable length
  return out;
}

}  // namespace

size_t ReplyCache::cost(const Entry& entry) {
  return kEntryOverheadBytes + entry.key.size() + entry.reply.size();
}

const std::string* ReplyCache::find(const ReplyCacheKey& key, Instant now) {
  const auto found = by_key_.find(flatten(key));
  if (found == by_key_.end() || found->second->until <= now) return nullptr;
  return &found->second->reply;
}

size_t ReplyCache::insert(const ReplyCacheKey& key, std::string reply, Instant now) {
  expire(now);
  std::string flat = flatten(key);
  if (by_key_.contains(flat)) return 0;
  oldest_first_.push_back(Entry{std::move(flat), std::move(reply), now + limits_.lifetime});
  const auto added = std::prev(oldest_first_.end());
  by_key_.emplace(added->key, added);
  bytes_ += cost(*added);
  size_t evicted = 0;
  while (oldest_first_.size() > limits_.entries || bytes_ > limits_.bytes) {
    drop_oldest();
    ++evicted;
  }
  return evicted;
}

void ReplyCache::expire(Instant now) {
  while (!oldest_first_.empty() && oldest_first_.front().until <= now) drop_oldest();
}

void ReplyCache::drop_oldest() {
  const Entry& oldest = oldest_first_.front();
  bytes_ -= cost(oldest);
  by_key_.erase(oldest.key);
  oldest_first_.pop_front();
}

}  // namespace relay
