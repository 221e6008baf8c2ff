// Which media ports are free. Ports come in pairs: even for RTP, the odd one above for RTCP.
// A local address can use the whole range, whatever other addresses use. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/session/media_sockets.h"

namespace relay {

struct PortSettings {
  uint16_t min = 35000;  // rounded up to even
  uint16_t max = 65000;  // the last pair ends at or below it
  bool sequential = false;
  int tos = 184;      // of new sockets; -1: leave alone
  uint64_t seed = 0;  // of the random order; 0: from the kernel
};

class PortPool;

// An open pair. Its destructor closes the sockets and gives the ports back.
class PortPair {
 public:
  PortPair(PortPair&& other) noexcept;
  PortPair& operator=(PortPair&& other) noexcept;
  ~PortPair();

  const Endpoint& local() const { return local_; }  // RTP; RTCP is one port higher
  int rtp_socket() const { return sockets_.rtp.get(); }
  int rtcp_socket() const { return sockets_.rtcp.get(); }

 private:
  friend class PortPool;
  PortPair(PortPool& pool, const Endpoint& local, SocketPair sockets)
      : pool_(&pool), local_(local), sockets_(std::move(sockets)) {}
  void give_back();

  PortPool* pool_;
  Endpoint local_;
  SocketPair sockets_;
};

struct PoolFailure {
  // Every pair, or every descriptor, is in use; otherwise the address itself is no good.
  bool exhausted = false;
  std::string message;
  bool no_descriptors = false;
};

class PortPool {
 public:
  // Requires: has_pairs(settings). `factory` outlives the pool, the pool its pairs.
  PortPool(const PortSettings& settings, SocketFactory& factory);
  static bool has_pairs(const PortSettings& settings);

  tl::expected<PortPair, PoolFailure> open(const IpAddress& local);

  // Open pairs, of all local addresses.
  size_t taken() const { return taken_; }
  size_t pairs_per_address() const { return slots_; }
  // `remote` is a socket of this pool; `factory` says which addresses are ours where a pair is
  // bound to the wildcard.
  bool is_own(const Endpoint& remote) const;

 private:
  friend class PortPair;
  // The free slots of one local address.
  struct Table {
    std::vector<uint64_t> used;   // a bit a slot
    std::vector<uint16_t> queue;  // ring of free slots, random mode only
    size_t head = 0, queued = 0;
    size_t taken = 0;
    bool is_used(size_t slot) const { return (used[slot / 64] >> (slot % 64) & 1) != 0; }
  };

  Table& table_of(const IpAddress& local);
  void drop_if_idle(const IpAddress& local);
  std::optional<size_t> next_random(Table& table);
  std::optional<size_t> next_sequential(const Table& table, size_t start) const;
  tl::expected<SocketPair, OpenFailure> try_slot(const IpAddress& local, size_t slot);
  tl::expected<PortPair, PoolFailure> open_random(const IpAddress& local, Table& table);
  tl::expected<PortPair, PoolFailure> open_sequential(const IpAddress& local, Table& table);
  PortPair take(const IpAddress& local, Table& table, size_t slot, SocketPair sockets);
  void put_back(Table& table, size_t slot);
  void give_back(const Endpoint& local);
  uint16_t port_of(size_t slot) const { return static_cast<uint16_t>(first_ + 2 * slot); }

  SocketFactory& factory_;
  const bool sequential_;
  const int tos_;
  uint16_t first_ = 0;
  size_t slots_ = 0;
  std::unordered_map<IpAddress, Table> tables_;
  std::array<size_t, 2> start_{0, 0};  // sequential: where to search next, IPv4 and IPv6
  size_t taken_ = 0;
  std::mt19937_64 random_;
};

}  // namespace relay
