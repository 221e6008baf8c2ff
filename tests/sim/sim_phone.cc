#include "tests/sim/sim_phone.h"

#include "relay/rtp/demux.h"

namespace relay::testing {
namespace {

using namespace std::chrono_literals;

constexpr size_t kHeaderBytes = 12;
constexpr uint32_t kPacketsPerReport = 250;

Endpoint rtcp_of(const Endpoint& rtp) {
  return {rtp.address, static_cast<uint16_t>(rtp.port + 1)};
}

}  // namespace

Packet marked_rtp(const Mark& mark, uint32_t ssrc, uint16_t sequence) {
  RtpFields fields;
  fields.sequence = sequence;
  fields.timestamp = uint32_t{sequence} * 160;
  fields.ssrc = ssrc;
  fields.payload_bytes = 0;
  Packet packet = rtp_packet(fields);
  append_be32(packet, mark.call);
  append_be32(packet, static_cast<uint32_t>(mark.side));
  return packet;
}

std::optional<Mark> mark_of(const Packet& packet) {
  if (demux(packet) != PacketKind::rtp || packet.size() != kHeaderBytes + 8) return std::nullopt;
  return Mark{read_be32(packet, kHeaderBytes),
              static_cast<Side>(read_be32(packet, kHeaderBytes + 4))};
}

void SimPhone::move_to(SimNat& nat, const Endpoint& inside, bool new_stream) {
  leave();
  nat_ = &nat;
  inside_ = inside;
  if (new_stream) {
    ssrc_ += 0x01010101;
    sequence_ = static_cast<uint16_t>(sequence_ * 31);
  }
  nat.attach(inside, [this](const Endpoint&, const Endpoint&, const Packet& p) { hear(p); });
  nat.attach(rtcp_of(inside), [](const Endpoint&, const Endpoint&, const Packet&) {});
}

void SimPhone::leave() {
  if (nat_ == nullptr) return;
  nat_->detach(inside_);
  nat_->detach(rtcp_of(inside_));
}

void SimPhone::talk_to(const Endpoint& remote) {
  remote_ = remote;
}

void SimPhone::start() {
  if (talking_) return;
  talking_ = true;
  tick(++turn_);
}

void SimPhone::tick(uint64_t turn) {
  if (turn != turn_) return;
  if (remote_) {
    nat_->send(inside_, *remote_, marked_rtp(mark_, ssrc_, ++sequence_));
    if (++sent_ % kPacketsPerReport == 1) {
      nat_->send(rtcp_of(inside_), rtcp_of(*remote_), rtcp_packet(ssrc_));
    }
  }
  queue_.after(20ms, [this, turn] { tick(turn); });
}

void SimPhone::hear(const Packet& packet) {
  const auto mark = mark_of(packet);
  if (!mark) return;
  if (mark->call != mark_.call || mark->side == mark_.side || mark->side == Side::stranger) {
    on_foreign_(*this, *mark);
    return;
  }
  ++heard_;
  last_heard_ = queue_.now();
}

}  // namespace relay::testing
