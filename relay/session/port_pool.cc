#include "relay/session/port_pool.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "relay/base/assert.h"

namespace relay {
namespace {

// Tables of addresses that commands brought up (`l`, `r`) and that nothing uses any more.
constexpr size_t kIdleTables = 16;

uint64_t seed_or_random(uint64_t seed) {
  if (seed == 0 && ::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
    seed = static_cast<uint64_t>(std::random_device{}());
  }
  return seed;
}

PoolFailure to_pool_failure(OpenFailure failure) {
  const bool no_descriptors = failure.kind == OpenFailure::Kind::no_descriptors;
  return {no_descriptors, std::move(failure.message), no_descriptors};
}

int first_port(const PortSettings& settings) {
  return (std::max<int>(settings.min, 1) + 1) & ~1;
}
// The last even port whose odd neighbour is still within the range.
int last_port(const PortSettings& settings) {
  return (settings.max - 1) & ~1;
}

}  // namespace

PortPair::PortPair(PortPair&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      local_(other.local_),
      sockets_(std::move(other.sockets_)) {}

PortPair& PortPair::operator=(PortPair&& other) noexcept {
  if (this != &other) {
    give_back();
    pool_ = std::exchange(other.pool_, nullptr);
    local_ = other.local_;
    sockets_ = std::move(other.sockets_);
  }
  return *this;
}

PortPair::~PortPair() {
  give_back();
}

void PortPair::give_back() {
  if (pool_ == nullptr) return;
  // Closed before the pool may hand the number out again.
  sockets_.rtp.reset();
  sockets_.rtcp.reset();
  std::exchange(pool_, nullptr)->give_back(local_);
}

bool PortPool::has_pairs(const PortSettings& settings) {
  return first_port(settings) <= last_port(settings);
}

PortPool::PortPool(const PortSettings& settings, SocketFactory& factory)
    : factory_(factory),
      sequential_(settings.sequential),
      tos_(settings.tos),
      random_(seed_or_random(settings.seed)) {
  RELAY_ASSERT(has_pairs(settings));
  first_ = static_cast<uint16_t>(first_port(settings));
  slots_ = static_cast<size_t>(last_port(settings) - first_port(settings)) / 2 + 1;
}

PortPool::Table& PortPool::table_of(const IpAddress& local) {
  const auto [entry, is_new] = tables_.try_emplace(local);
  Table& table = entry->second;
  if (is_new) {
    table.used.assign((slots_ + 63) / 64, 0);
    if (!sequential_) {
      table.queue.resize(slots_);
      std::iota(table.queue.begin(), table.queue.end(), uint16_t{0});
      std::shuffle(table.queue.begin(), table.queue.end(), random_);
      table.queued = slots_;
    }
  }
  return table;
}

void PortPool::drop_if_idle(const IpAddress& local) {
  if (tables_.size() <= kIdleTables) return;
  const auto entry = tables_.find(local);
  if (entry != tables_.end() && entry->second.taken == 0) tables_.erase(entry);
}

// A slot from the half that has been free longest: nobody can guess it, and packets meant for the
// call that gave a port back find it closed for as long as possible.
std::optional<size_t> PortPool::next_random(Table& table) {
  if (table.queued == 0) return std::nullopt;
  const size_t older_half = (table.queued + 1) / 2;
  const size_t pick = std::uniform_int_distribution<size_t>(0, older_half - 1)(random_);
  std::swap(table.queue[table.head], table.queue[(table.head + pick) % slots_]);
  const size_t slot = table.queue[table.head];
  table.head = (table.head + 1) % slots_;
  --table.queued;
  return slot;
}

std::optional<size_t> PortPool::next_sequential(const Table& table, size_t start) const {
  // Word by word: a full table costs slots/64 steps, not one bind(2) a slot.
  const size_t words = table.used.size();
  for (size_t i = 0; i <= words; ++i) {
    const size_t word = (start / 64 + i) % words;
    uint64_t free = ~table.used[word];
    if (i == 0) free &= ~uint64_t{0} << (start % 64);
    if (free == 0) continue;
    const size_t slot = word * 64 + static_cast<size_t>(std::countr_zero(free));
    if (slot < slots_) return slot;
  }
  return std::nullopt;
}

tl::expected<SocketPair, OpenFailure> PortPool::try_slot(const IpAddress& local, size_t slot) {
  return factory_.open_pair({local, port_of(slot)}, tos_);
}

PortPair PortPool::take(const IpAddress& local, Table& table, size_t slot, SocketPair sockets) {
  table.used[slot / 64] |= uint64_t{1} << (slot % 64);
  ++table.taken;
  ++taken_;
  return {*this, Endpoint{local, port_of(slot)}, std::move(sockets)};
}

void PortPool::put_back(Table& table, size_t slot) {
  if (sequential_) return;
  table.queue[(table.head + table.queued) % slots_] = static_cast<uint16_t>(slot);
  ++table.queued;
}

void PortPool::give_back(const Endpoint& local) {
  Table& table = tables_.at(local.address);
  const size_t slot = static_cast<size_t>(local.port - first_) / 2;
  RELAY_ASSERT(table.is_used(slot));
  table.used[slot / 64] &= ~(uint64_t{1} << (slot % 64));
  --table.taken;
  --taken_;
  put_back(table, slot);
  drop_if_idle(local.address);
}

tl::expected<PortPair, PoolFailure> PortPool::open_random(const IpAddress& local, Table& table) {
  for (size_t tries = table.queued; tries > 0; --tries) {
    const size_t slot = *next_random(table);
    auto sockets = try_slot(local, slot);
    if (sockets) return take(local, table, slot, std::move(*sockets));
    put_back(table, slot);
    if (sockets.error().kind != OpenFailure::Kind::port_busy) {
      return tl::unexpected<PoolFailure>(to_pool_failure(std::move(sockets.error())));
    }
  }
  return tl::unexpected<PoolFailure>({.exhausted = true, .message = ""});
}

tl::expected<PortPair, PoolFailure> PortPool::open_sequential(const IpAddress& local,
                                                              Table& table) {
  size_t& next_start = start_[local.is_ipv6() ? 1 : 0];
  size_t start = next_start;
  size_t searched = 0;
  while (searched < slots_) {
    const auto slot = next_sequential(table, start);
    if (!slot) break;
    searched += (*slot + slots_ - start) % slots_ + 1;
    if (searched > slots_) break;
    start = (*slot + 1) % slots_;
    auto sockets = try_slot(local, *slot);
    if (sockets) {
      next_start = start;
      return take(local, table, *slot, std::move(*sockets));
    }
    if (sockets.error().kind != OpenFailure::Kind::port_busy) {
      return tl::unexpected<PoolFailure>(to_pool_failure(std::move(sockets.error())));
    }
  }
  return tl::unexpected<PoolFailure>({true, ""});
}

tl::expected<PortPair, PoolFailure> PortPool::open(const IpAddress& local) {
  Table& table = table_of(local);
  auto pair = sequential_ ? open_sequential(local, table) : open_random(local, table);
  if (pair) return pair;
  if (pair.error().exhausted && pair.error().message.empty()) {
    pair.error().message =
        fmt::format("no free port pair on {}: {} of {} pairs are this relay's own",
                    local.to_string(), table.taken, slots_);
  }
  drop_if_idle(local);
  return pair;
}

bool PortPool::is_own(const Endpoint& remote) const {
  if (remote.port < first_ || remote.port >= first_ + 2 * slots_) return false;
  const size_t slot = static_cast<size_t>(remote.port - first_) / 2;
  const auto has = [&](const IpAddress& local) {
    const auto entry = tables_.find(local);
    return entry != tables_.end() && entry->second.is_used(slot);
  };
  if (has(remote.address)) return true;
  return has(IpAddress::any(remote.address.family())) && factory_.is_local(remote.address);
}

}  // namespace relay
