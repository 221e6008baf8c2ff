// Replies to datagram commands, kept so that a retransmission gets the same bytes again and is not
// executed twice. Control thread only; no system calls.
//
// rtpproxy's key is the cookie alone. Here it is everything that tells one request from another:
// * the local socket and the peer: Kamailio's cookies are `PID_SEQ` counting from 0, and process
//   ids repeat in containers, so two clients do send the same cookie;
// * the command's text (as a 64-bit hash): a client that restarts within the lifetime on the same
//   port starts again at the same cookies, and an answer to another command would lose its call.
//   A real retransmission repeats its bytes, so it is still found.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"

namespace relay {

struct ReplyCacheLimits {
  // rtpproxy's lifetime. Kamailio's last retransmission comes 4 s after the first try.
  Duration lifetime = std::chrono::seconds(35);
  size_t entries = 262'144;
  size_t bytes = size_t{64} << 20;  // with an estimate of the bookkeeping of each entry
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

  // The stored reply, valid until the next call to insert() or expire(); nullptr when unknown.
  const std::string* find(const ReplyCacheKey& key, Instant now);
  // A reply already stored under this key stays. Returns how many replies that had not reached
  // their time were thrown out to make room, oldest first. `now` never goes back.
  size_t insert(const ReplyCacheKey& key, std::string reply, Instant now);
  // Work proportional to what expires.
  void expire(Instant now);

  size_t entries() const { return oldest_first_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    std::string reply;
    Instant until;
  };

  static size_t cost(const Entry& entry);
  void drop_oldest();

  ReplyCacheLimits limits_;
  size_t bytes_ = 0;
  // The lifetime is never refreshed, so the order of arrival is the order of expiry.
  std::list<Entry> oldest_first_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;  // views of Entry::key
};

}  // namespace relay
