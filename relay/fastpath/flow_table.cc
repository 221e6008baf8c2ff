#include "relay/fastpath/flow_table.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "relay/fastpath/abi.h"

namespace relay {
namespace {

// A program that runs while its flow is removed may still write into the slot. It is done within
// microseconds.
constexpr Duration kSlotRest = std::chrono::seconds(1);

FastpathAddress to_abi(const IpAddress& address) {
  FastpathAddress result{};
  std::memcpy(&result, address.bytes().data(), sizeof result);
  return result;
}

IpAddress from_abi(const FastpathAddress& address, uint8_t family) {
  if (family == kFastpathIpv4) return IpAddress::from_ipv4(in_addr{address.words[0]});
  in6_addr bytes{};
  std::memcpy(&bytes, &address, sizeof bytes);
  return IpAddress::from_ipv6(bytes);
}

FastpathWay to_abi(const Way& way) {
  FastpathWay result{};
  result.ifindex = way.ifindex;
  if (!way.next_hop.valid()) return result;
  result.hop_family = way.next_hop.is_ipv6() ? AF_INET6 : AF_INET;
  result.hop = to_abi(way.next_hop);
  return result;
}

FastpathKey key_of(const Endpoint& local) {
  FastpathKey key{};
  key.address = to_abi(local.address);
  key.port = htons(local.port);
  key.family = local.address.is_ipv6() ? kFastpathIpv6 : kFastpathIpv4;
  return key;
}

FastpathFlow value_of(const KernelFlowSpec& spec) {
  FastpathFlow flow{};
  flow.source = to_abi(spec.source.address);
  flow.source_port = htons(spec.source.port);
  flow.egress = to_abi(spec.egress.address);
  flow.egress_port = htons(spec.egress.port);
  flow.destination = to_abi(spec.destination.address);
  flow.destination_port = htons(spec.destination.port);
  unsigned flags = 0;
  if (spec.component == Component::rtcp) flags |= kFlowIsRtcp;
  if (spec.tee_to_socket) flags |= kFlowTee;
  if (spec.tos >= 0) flags |= kFlowSetTos;
  if (spec.ssrc) flags |= kFlowPuntNewSsrc;
  if (spec.rtcp) {
    flags |= kFlowForwardRtcp;
    flow.rtcp_destination = to_abi(spec.rtcp->destination.address);
    flow.rtcp_destination_port = htons(spec.rtcp->destination.port);
    flow.rtcp_egress_port = htons(spec.rtcp->egress.port);
  }
  flow.flags = static_cast<uint8_t>(flags);
  flow.tos = static_cast<uint8_t>(std::max(spec.tos, 0));
  flow.ssrc = spec.ssrc.value_or(0);
  return flow;
}

KernelFlowSpec spec_of(const FastpathKey& key, const FastpathFlow& flow) {
  const auto endpoint = [&](const FastpathAddress& address, uint16_t port) {
    return Endpoint{from_abi(address, key.family), ntohs(port)};
  };
  KernelFlowSpec spec;
  spec.component = (flow.flags & kFlowIsRtcp) != 0 ? Component::rtcp : Component::rtp;
  spec.local = endpoint(key.address, key.port);
  spec.source = endpoint(flow.source, flow.source_port);
  spec.egress = endpoint(flow.egress, flow.egress_port);
  spec.destination = endpoint(flow.destination, flow.destination_port);
  if ((flow.flags & kFlowForwardRtcp) != 0) {
    spec.rtcp = {endpoint(flow.egress, flow.rtcp_egress_port),
                 endpoint(flow.rtcp_destination, flow.rtcp_destination_port)};
  }
  if ((flow.flags & kFlowSetTos) != 0) spec.tos = flow.tos;
  if ((flow.flags & kFlowPuntNewSsrc) != 0) spec.ssrc = flow.ssrc;
  spec.tee_to_socket = (flow.flags & kFlowTee) != 0;
  return spec;
}

Result<void> check_endpoint(const char* what, const Endpoint& endpoint, Family family) {
  const IpAddress& address = endpoint.address;
  if (!address.valid() || address.is_any() || endpoint.port == 0) {
    return fail(std::string(what) + " is not a concrete address and port");
  }
  if (address.family() != family) {
    return fail("from IPv4 to IPv6 or back: the kernel program does not translate");
  }
  const bool link_local =
      address.is_ipv6() && address.bytes()[0] == 0xFE && (address.bytes()[1] & 0xC0) == 0x80;
  if (address.is_multicast() || address.is_broadcast() || link_local) {
    return fail(std::string(what) + " " + endpoint.to_string() +
                " is multicast, broadcast or link-local");
  }
  return {};
}

}  // namespace

Result<void> check_kernel_flow(const KernelFlowSpec& spec) {
  const Family family = spec.local.address.family();
  std::vector<std::pair<const char*, const Endpoint*>> endpoints = {
      {"the local endpoint", &spec.local},
      {"the source", &spec.source},
      {"the egress endpoint", &spec.egress},
      {"the destination", &spec.destination}};
  if (spec.rtcp) {
    endpoints.emplace_back("the egress endpoint of RTCP", &spec.rtcp->egress);
    endpoints.emplace_back("the destination of RTCP", &spec.rtcp->destination);
  }
  for (const auto& [what, endpoint] : endpoints) {
    if (auto checked = check_endpoint(what, *endpoint, family); !checked) return checked;
  }
  if (spec.tos > 255) return fail("TOS " + std::to_string(spec.tos) + " is above 255");
  if (spec.rtcp && spec.rtcp->egress.address != spec.egress.address) {
    return fail("RTCP leaves from " + spec.rtcp->egress.to_string() + ", another address than RTP");
  }
  return {};
}

FlowTable::FlowTable(const BpfProgram& program, Routes& routes, const KernelFlowStats* mapped)
    : program_(&program), routes_(&routes), mapped_(mapped) {}

FlowTable::FlowTable(FlowTable&& other) noexcept
    : program_(other.program_),
      routes_(other.routes_),
      mapped_(std::exchange(other.mapped_, nullptr)),
      flows_(std::move(other.flows_)),
      fresh_slot_(other.fresh_slot_),
      freed_(std::move(other.freed_)),
      generation_(other.generation_) {}

FlowTable::~FlowTable() {
  if (mapped_ == nullptr) return;
  ::munmap(const_cast<KernelFlowStats*>(mapped_), program_->flows_max() * sizeof *mapped_);
}

Result<FlowTable> FlowTable::open(const BpfProgram& program, Routes& routes) {
  const size_t bytes = program.flows_max() * sizeof(KernelFlowStats);
  void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, program.map_fd(BpfMap::stats), 0);
  if (mapped == MAP_FAILED) return fail_errno("cannot map the kernel program's statistics");
  return FlowTable(program, routes, static_cast<const KernelFlowStats*>(mapped));
}

Result<uint32_t> FlowTable::take_slot(Instant now) {
  if (!freed_.empty() && now - freed_.front().freed >= kSlotRest) {
    const uint32_t slot = freed_.front().slot;
    freed_.pop_front();
    return slot;
  }
  if (fresh_slot_ < program_->flows_max()) return fresh_slot_++;
  return fail("all " + std::to_string(program_->flows_max()) + " flows of the kernel are in use");
}

Result<void> FlowTable::clear_slot(uint32_t slot, const RtpStreamState& stream) {
  const KernelFlowStats zero{};
  FastpathStream value{};
  value.state = stream;
  if (bpf_map_update_elem(program_->map_fd(BpfMap::stats), &slot, &zero, BPF_ANY) != 0 ||
      bpf_map_update_elem(program_->map_fd(BpfMap::streams), &slot, &value, BPF_ANY) != 0) {
    return fail_errno("cannot clear slot " + std::to_string(slot) + " of the kernel's flows");
  }
  return {};
}

Result<void> FlowTable::find_ways(Flow& flow) {
  const auto find_way = [&](const Endpoint& destination) {
    return routes_->find_way(destination.address, flow.spec.egress.address);
  };
  const auto way = find_way(flow.spec.destination);
  flow.way = flow.rtcp_way = way.value_or(Way{});
  if (!way) return tl::unexpected<Error>(way.error());
  if (flow.spec.rtcp && flow.spec.rtcp->destination.address != flow.spec.destination.address) {
    const auto rtcp_way = find_way(flow.spec.rtcp->destination);
    flow.rtcp_way = rtcp_way.value_or(Way{});
    if (!rtcp_way) return tl::unexpected<Error>(rtcp_way.error());
  }
  return {};
}

Result<void> FlowTable::write(uint32_t slot, const Flow& flow, uint64_t map_flags) {
  const FastpathKey key = key_of(flow.spec.local);
  FastpathFlow value = value_of(flow.spec);
  value.slot = slot;
  value.generation = flow.generation;
  value.way = to_abi(flow.way);
  value.rtcp_way = to_abi(flow.rtcp_way);
  if (bpf_map_update_elem(program_->map_fd(BpfMap::flows), &key, &value, map_flags) == 0) return {};
  if (errno == EEXIST) {
    return fail("a flow of the kernel has " + flow.spec.local.to_string() + " already");
  }
  return fail_errno("cannot write the flow at " + flow.spec.local.to_string());
}

const FlowTable::Flow* FlowTable::find(KernelFlowId id) const {
  const auto found = flows_.find(id.slot);
  if (found == flows_.end() || found->second.generation != id.generation) return nullptr;
  return &found->second;
}

Result<KernelFlowId> FlowTable::install(const KernelFlowSpec& spec, const RtpStreamState& stream,
                                        Instant now) {
  if (auto checked = check_kernel_flow(spec); !checked) {
    return tl::unexpected<Error>(checked.error());
  }
  Flow flow{spec, ++generation_, {}, {}};
  if (auto found = find_ways(flow); !found) return tl::unexpected<Error>(found.error());
  const auto slot = take_slot(now);
  if (!slot) return tl::unexpected<Error>(slot.error());
  auto written =
      clear_slot(*slot, stream).and_then([&] { return write(*slot, flow, BPF_NOEXIST); });
  if (!written) {
    freed_.push_back({*slot, now});
    return tl::unexpected<Error>(written.error());
  }
  flows_.emplace(*slot, flow);
  return KernelFlowId{*slot, flow.generation};
}

Result<void> FlowTable::update(KernelFlowId id, const KernelFlowSpec& spec) {
  const Flow* known = find(id);
  if (known == nullptr) return fail("there is no such flow in the kernel");
  if (known->spec.local != spec.local) {
    return fail("a flow cannot move from " + known->spec.local.to_string() + " to " +
                spec.local.to_string());
  }
  if (auto checked = check_kernel_flow(spec); !checked) return checked;
  Flow flow = *known;
  flow.spec = spec;
  if (auto found = find_ways(flow); !found) return found;
  if (auto written = write(id.slot, flow, BPF_EXIST); !written) return written;
  flows_[id.slot] = flow;
  return {};
}

KernelFlowReport FlowTable::remove(KernelFlowId id, Instant now) {
  const Flow* flow = find(id);
  if (flow == nullptr) return {};
  const FastpathKey key = key_of(flow->spec.local);
  bpf_map_delete_elem(program_->map_fd(BpfMap::flows), &key);
  const KernelFlowReport last = report(id);
  flows_.erase(id.slot);
  freed_.push_back({id.slot, now});
  return last;
}

KernelFlowReport FlowTable::report(KernelFlowId id) const {
  if (find(id) == nullptr) return {};
  KernelFlowReport result;
  // The mapping is read word by word: the kernel is writing.
  const auto* from = reinterpret_cast<const __u64*>(&mapped_[id.slot]);
  auto* to = reinterpret_cast<__u64*>(&result.stats);
  for (size_t i = 0; i < sizeof result.stats / sizeof *to; ++i) {
    to[i] = read_kernel_counter(from[i]);
  }
  FastpathStream stream{};
  if (bpf_map_lookup_elem_flags(program_->map_fd(BpfMap::streams), &id.slot, &stream, BPF_F_LOCK) ==
      0) {
    result.stream = stream.state;
  }
  return result;
}

const KernelFlowStats* FlowTable::stats(KernelFlowId id) const {
  return find(id) == nullptr ? nullptr : &mapped_[id.slot];
}

void FlowTable::refresh_routes() {
  for (auto& [slot, flow] : flows_) {
    const Flow before = flow;
    // Without a way the flow stays and its packets are punted: the slow path's sockets say why.
    (void)find_ways(flow);
    if (before.way == flow.way && before.rtcp_way == flow.rtcp_way) continue;
    (void)write(slot, flow, BPF_EXIST);
  }
}

std::vector<AdoptedFlow> FlowTable::adopt() {
  const int map = program_->map_fd(BpfMap::flows);
  std::vector<FastpathKey> keys;
  FastpathKey key{};
  for (const FastpathKey* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0;
       previous = &keys.back()) {
    if (keys.size() == keys.capacity()) keys.reserve(std::max<size_t>(keys.size() * 2, 64));
    keys.push_back(key);
  }
  std::vector<AdoptedFlow> adopted;
  for (const FastpathKey& each : keys) {
    FastpathFlow value{};
    if (bpf_map_lookup_elem(map, &each, &value) != 0) continue;
    const Flow flow{spec_of(each, value), value.generation, {}, {}};
    const bool sensible = value.slot < program_->flows_max() && value.generation != 0 &&
                          check_kernel_flow(flow.spec) && !flows_.contains(value.slot);
    if (!sensible) {
      bpf_map_delete_elem(map, &each);
      continue;
    }
    flows_.emplace(value.slot, flow);
    generation_ = std::max(generation_, value.generation);
    adopted.push_back({{value.slot, value.generation}, flow.spec});
  }
  for (const auto& [slot, flow] : flows_) fresh_slot_ = std::max(fresh_slot_, slot + 1);
  for (uint32_t slot = 0; slot < fresh_slot_; ++slot) {
    if (!flows_.contains(slot)) freed_.push_back({slot, from_ns(0)});
  }
  return adopted;
}

}  // namespace relay
