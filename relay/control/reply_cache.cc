#include "relay/control/reply_cache.h"

#include <algorithm>
#include <functional>
#include <new>
#include <utility>

namespace relay {

namespace {

// Some thousand replies to U, L and D.
constexpr size_t kChunkBytes = 262'144;
constexpr size_t kSlotsMin = 64;
// A table that is at most three quarters full has on average two slots for an entry.
constexpr size_t kSlotsOfAnEntry = 2;

template <typename T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void flatten(const ReplyCacheKey& key, std::string& out) {
  out.clear();
  append_bytes(out, key.socket_index);
  append_bytes(out, key.peer_scope);
  append_bytes(out, key.peer.port);
  append_bytes(out, key.peer.address.family());
  append_bytes(out, key.peer.address.bytes());
  append_bytes(out, std::hash<std::string_view>{}(key.command));
  out += key.cookie;  // last: the only part of variable length
}

uint64_t hash_of(std::string_view key) {
  return std::hash<std::string_view>{}(key);
}

}  // namespace

size_t ReplyCache::Entry::size(size_t key_bytes, size_t reply_bytes) {
  const size_t bytes = sizeof(Entry) + key_bytes + reply_bytes;
  return (bytes + alignof(Entry) - 1) / alignof(Entry) * alignof(Entry);
}

std::string_view ReplyCache::Entry::key() const {
  return {reinterpret_cast<const char*>(this + 1), key_bytes};
}

std::string_view ReplyCache::Entry::reply() const {
  return {reinterpret_cast<const char*>(this + 1) + key_bytes, reply_bytes};
}

size_t ReplyCache::cost(const Entry& entry) {
  return Entry::size(entry.key_bytes, entry.reply_bytes) + kSlotsOfAnEntry * sizeof(Slot);
}

std::optional<std::string_view> ReplyCache::find(const ReplyCacheKey& key, Instant now) {
  if (table_.empty()) return std::nullopt;
  flatten(key, flat_key_);
  const Entry* entry = table_[find_slot(flat_key_, hash_of(flat_key_))].entry;
  if (entry == nullptr || entry->until <= now) return std::nullopt;
  return entry->reply();
}

size_t ReplyCache::insert(const ReplyCacheKey& key, std::string_view reply, Instant now) {
  expire(now);
  if ((entries_ + 1) * 4 > table_.size() * 3) resize_table(std::max(kSlotsMin, table_.size() * 2));
  flatten(key, flat_key_);
  const uint64_t hash = hash_of(flat_key_);
  Slot& slot = table_[find_slot(flat_key_, hash)];
  if (slot.entry != nullptr) return 0;
  slot = {hash, &append(flat_key_, reply, now + limits_.lifetime)};
  ++entries_;
  bytes_ += cost(*slot.entry);
  size_t evicted = 0;
  for (; entries_ > limits_.entries || bytes_ > limits_.bytes; ++evicted) drop_oldest();
  return evicted;
}

void ReplyCache::expire(Instant now) {
  while (entries_ > 0 && oldest().until <= now) drop_oldest();
}

size_t ReplyCache::allocated_bytes() const {
  size_t bytes = table_.capacity() * sizeof(Slot);
  for (const Chunk& chunk : log_) bytes += chunk.capacity;
  return bytes;
}

const ReplyCache::Entry& ReplyCache::append(std::string_view key, std::string_view reply,
                                            Instant until) {
  const size_t size = Entry::size(key.size(), reply.size());
  if (log_.empty() || log_.back().capacity - log_.back().end < size) {
    const size_t capacity = std::max(kChunkBytes, size);
    log_.push_back({std::make_unique_for_overwrite<std::byte[]>(capacity), capacity, 0});
  }
  Chunk& chunk = log_.back();
  auto* entry = new (&chunk.bytes[chunk.end])
      Entry{until, static_cast<uint32_t>(key.size()), static_cast<uint32_t>(reply.size())};
  auto* text = reinterpret_cast<char*>(entry + 1);
  key.copy(text, key.size());
  reply.copy(text + key.size(), reply.size());
  chunk.end += size;
  return *entry;
}

const ReplyCache::Entry& ReplyCache::oldest() const {
  return *std::launder(reinterpret_cast<const Entry*>(&log_.front().bytes[oldest_at_]));
}

void ReplyCache::drop_oldest() {
  const Entry& entry = oldest();
  free_slot(find_slot(entry.key(), hash_of(entry.key())));
  --entries_;
  bytes_ -= cost(entry);
  oldest_at_ += Entry::size(entry.key_bytes, entry.reply_bytes);
  if (oldest_at_ == log_.front().end) {
    log_.pop_front();
    oldest_at_ = 0;
  }
  if (entries_ == 0) {
    std::vector<Slot>().swap(table_);
  } else if (table_.size() > kSlotsMin && entries_ * 8 < table_.size()) {
    resize_table(table_.size() / 2);
  }
}

size_t ReplyCache::find_slot(std::string_view key, uint64_t hash) const {
  const size_t mask = table_.size() - 1;
  size_t slot = hash & mask;
  while (table_[slot].entry != nullptr &&
         (table_[slot].hash != hash || table_[slot].entry->key() != key)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

// What follows moves up as far as its hash allows, so that every probe still ends at a free slot.
void ReplyCache::free_slot(size_t slot) {
  const size_t mask = table_.size() - 1;
  for (size_t next = (slot + 1) & mask; table_[next].entry != nullptr; next = (next + 1) & mask) {
    const size_t from_home = (next - table_[next].hash) & mask;
    if (from_home < ((next - slot) & mask)) continue;
    table_[slot] = table_[next];
    slot = next;
  }
  table_[slot] = {};
}

void ReplyCache::resize_table(size_t slots) {
  const std::vector<Slot> old = std::exchange(table_, std::vector<Slot>(slots));
  const size_t mask = slots - 1;
  for (const Slot& moved : old) {
    if (moved.entry == nullptr) continue;
    size_t slot = moved.hash & mask;
    while (table_[slot].entry != nullptr) slot = (slot + 1) & mask;
    table_[slot] = moved;
  }
}

}  // namespace relay
