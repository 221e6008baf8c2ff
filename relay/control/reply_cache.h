// Replies to datagram commands, kept so that a retransmission gets the same bytes again and is not
// executed twice. Control thread only; no system calls.
//
// rtpproxy's key is the cookie alone. Here it is everything that tells one request from another:
// * the local socket and the peer: Kamailio's cookies are `PID_SEQ` counting from 0, and process
//   ids repeat in containers, so two clients do send the same cookie;
// * the command's text (as a 64-bit hash): a client that restarts within the lifetime on the same
//   port starts again at the same cookies, and an answer to another command would lose its call.
//   A real retransmission repeats its bytes, so it is still found.
//
// The lifetime is never refreshed, so the order of arrival is the order of expiry: entries lie in a
// log of chunks, written at one end and given back at the other, and a hash table points there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"

namespace relay {

struct ReplyCacheLimits {
  // rtpproxy's lifetime. Kamailio's last retransmission comes 4 s after the first try.
  Duration lifetime = std::chrono::seconds(35);
  size_t entries = 262'144;
  size_t bytes = size_t{64} << 20;  // with each entry's share of the bookkeeping
};

struct ReplyCacheKey {
  uint32_t socket_index = 0;
  Endpoint peer;
  uint32_t peer_scope = 0;  // interface of a link-local IPv6 peer
  std::string_view cookie;
  std::string_view command;
};

class ReplyCache {
 public:
  explicit ReplyCache(const ReplyCacheLimits& limits) : limits_(limits) {}

  // The stored reply, valid until the next call to insert() or expire().
  std::optional<std::string_view> find(const ReplyCacheKey& key, Instant now);
  // A reply already stored under this key stays. Returns how many replies that had not reached
  // their time were thrown out to make room, oldest first. `now` never goes back.
  size_t insert(const ReplyCacheKey& key, std::string_view reply, Instant now);
  // Work proportional to what expires.
  void expire(Instant now);

  size_t entries() const { return entries_; }
  size_t bytes() const { return bytes_; }
  // Of the log and the table, room that is not in use with it.
  size_t allocated_bytes() const;

 private:
  // Followed by the bytes of the key and of the reply.
  struct Entry {
    Instant until;
    uint32_t key_bytes, reply_bytes;

    static size_t size(size_t key_bytes, size_t reply_bytes);
    std::string_view key() const;
    std::string_view reply() const;
  };
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    size_t capacity, end;
  };
  struct Slot {
    uint64_t hash = 0;
    const Entry* entry = nullptr;  // nullptr: free
  };

  static size_t cost(const Entry& entry);
  const Entry& append(std::string_view key, std::string_view reply, Instant until);
  const Entry& oldest() const;
  void drop_oldest();
  // Where the key is, or where it would go. Requires: a slot.
  size_t find_slot(std::string_view key, uint64_t hash) const;
  void free_slot(size_t slot);
  void resize_table(size_t slots);

  ReplyCacheLimits limits_;
  size_t entries_ = 0, bytes_ = 0;
  std::deque<Chunk> log_;    // oldest first, none of them empty
  size_t oldest_at_ = 0;     // in the first chunk
  std::vector<Slot> table_;  // open addressing with linear probing; none, or a power of two
  std::string flat_key_;
};

}  // namespace relay
