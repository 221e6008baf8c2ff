// The way of a packet: run() sends what the schedule says (send_slot, send), then takes what has
// come for any phone (receive_all, receive) and judges it (judge).
//
// Arrival is the kernel's receive stamp, so that a batch taken late is not a late packet, and one
// system call a millisecond finds all sockets that have something.
#include "tools/rtpp-load/media_thread.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "relay/base/assert.h"

namespace relay::tools {
namespace {

constexpr int64_t kSlotNs = 250'000;
constexpr uint64_t kSlotsAReceive = 4;
constexpr uint64_t kSlotsARtcpInterval = 5'000'000'000 / kSlotNs;
constexpr size_t kBatch = 8;
constexpr int kEvents = 512;

int64_t wall_now_ns() {
  timespec ts{};
  ::clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

void sleep_until(Instant when) {
  const int64_t ns = to_ns(when);
  const timespec ts{ns / 1'000'000'000, ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr) == EINTR) {
  }
}

int64_t receive_stamp_ns(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec ts{};
    std::memcpy(&ts, CMSG_DATA(part), sizeof ts);
    return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
  }
  return wall_now_ns();
}

}  // namespace

struct MediaThread::ReceiveBatch {
  std::array<epoll_event, kEvents> events;
  std::array<std::array<uint8_t, 2048>, kBatch> bytes;
  std::array<sockaddr_storage, kBatch> from;
  std::array<std::array<char, 64>, kBatch> control;
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages;

  void prepare() {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i] = {bytes[i].data(), bytes[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i].data();
      messages[i].msg_hdr.msg_controllen = control[i].size();
    }
  }
};

MediaThread::MediaThread(const MediaSettings& settings, Instant epoch)
    : settings_(settings),
      epoch_(epoch),
      orders_(1 << 16),
      wheel_(static_cast<size_t>(settings.ptime_ms * 1'000'000 / kSlotNs)),
      rtcp_wheel_(kSlotsARtcpInterval),
      rtp_packet_(kRtpHeaderBytes +
                  static_cast<size_t>(std::max(settings.payload_bytes, kPayloadBytesMtu))),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      batch_(std::make_unique<ReceiveBatch>()) {
  RELAY_ASSERT(epoll_.valid());
  thread_ = std::thread([this] { run(); });
}

MediaThread::~MediaThread() {
  finish();
}

void MediaThread::finish() {
  finishing_.store(true, std::memory_order_release);
  if (thread_.joinable()) thread_.join();
}

Instant MediaThread::slot_time(uint64_t slot) const {
  return epoch_ + Duration(static_cast<int64_t>(slot) * kSlotNs);
}

void MediaThread::run() {
  ::prctl(PR_SET_TIMERSLACK, 1000);  // the default of 50 us would show in the pacing
  uint64_t slot = 0;
  while (!finishing_.load(std::memory_order_acquire)) {
    for (Instant due = slot_time(slot); due <= steady_now(); due = slot_time(++slot)) {
      send_slot(slot, due);
      if (slot % kSlotsAReceive != 0) continue;
      take_orders();
      receive_all();
      published_.store(counters_);
    }
    sleep_until(slot_time(slot));
  }
  receive_all();
  published_.store(counters_);
}

void MediaThread::take_orders() {
  for (Order order; orders_.pop(order);) {
    switch (order.change) {
      case MediaEngine::Change::start:
        start(*order.call);
        break;
      case MediaEngine::Change::stop:
        for (Stream* stream : of_call_[order.call->index]) stream->silent = true;
        break;
      case MediaEngine::Change::move:
        move(*order.call);
        break;
    }
  }
}

void MediaThread::start(const Call& call) {
  auto& streams = of_call_[call.index];
  if (streams.empty()) {
    for (uint8_t side = 0; side < 2; ++side) {
      add_stream(call, side, ProbeKind::rtp);
      if (settings_.rtcp) add_stream(call, side, ProbeKind::rtcp);
    }
  }
  for (Stream* stream : streams) {
    const Phone& phone = call.phones[stream->side];
    aim(*stream, phone);
    stream->counted_from_turn = stream->next_turn + settings_.warm_up_turns;
    stream->last_delay_ns.reset();
    stream->silent = false;
  }
}

void MediaThread::aim(Stream& stream, const Phone& phone) {
  stream.expected_from = stream.kind == ProbeKind::rtp ? phone.relay_rtp : phone.relay_rtcp;
  stream.relay = to_socket_address(stream.expected_from);
}

void MediaThread::move(const Call& call) {
  for (Stream* stream : of_call_[call.index]) {
    const Phone& phone = call.phones[stream->side];
    aim(*stream, phone);
    const int fd = stream->kind == ProbeKind::rtp ? phone.rtp.get() : phone.rtcp.get();
    if (fd == stream->fd) continue;
    stream->fd = fd;
    listen(*stream, fd);
  }
}

// Streams take their places in the interval by number, so that the load is even at any time.
void MediaThread::add_stream(const Call& call, uint8_t side, ProbeKind kind) {
  const Phone& phone = call.phones[side];
  auto stream = std::make_unique<Stream>();
  stream->call = &call;
  stream->side = side;
  stream->kind = kind;
  stream->fd = kind == ProbeKind::rtp ? phone.rtp.get() : phone.rtcp.get();
  listen(*stream, stream->fd);
  auto& wheel = kind == ProbeKind::rtp ? wheel_ : rtcp_wheel_;
  const uint64_t number = uint64_t{call.index} * 2 + side;
  wheel[number * wheel.size() / (uint64_t{settings_.calls} * 2)].push_back(stream.get());
  of_call_[call.index].push_back(stream.get());
  streams_.push_back(std::move(stream));
}

void MediaThread::listen(Stream& stream, int fd) {
  stream.ears.push_back(std::make_unique<Ear>(Ear{&stream, fd}));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = stream.ears.back().get();
  RELAY_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void MediaThread::send_slot(uint64_t slot, Instant due) {
  if (!sending_.load(std::memory_order_acquire)) return;
  const auto& rtp = wheel_[slot % wheel_.size()];
  const auto& rtcp = rtcp_wheel_[slot % rtcp_wheel_.size()];
  if (rtp.empty() && rtcp.empty()) return;
  if (measures_times()) times_.send_lateness.record((steady_now() - due).count());
  for (Stream* stream : rtp) send_turn(*stream);
  for (Stream* stream : rtcp) send_turn(*stream);
}

void MediaThread::send_turn(Stream& stream) {
  if (stream.silent) return;
  const uint32_t turn_number = stream.next_turn++;
  Probe probe;
  probe.run = settings_.run;
  probe.call = stream.call->index;
  probe.direction = stream.side;
  probe.kind = stream.kind;
  probe.warm_up = turn_number < stream.counted_from_turn;
  if (stream.kind == ProbeKind::rtcp) {
    std::array<uint8_t, kRtcpBytes> packet;
    probe.sequence = stream.next_sequence++;
    probe.sent_ns = wall_now_ns();
    write_rtcp_probe(packet, probe);
    return send(stream, packet, probe.warm_up);
  }
  const Turn turn = turn_of(settings_.profile, stream.call->index * 2 + stream.side, turn_number,
                            settings_.payload_bytes);
  const ProfileTraits& traits = traits_of(settings_.profile);
  const uint32_t samples = static_cast<uint32_t>(settings_.ptime_ms) * traits.samples_per_ms;
  for (int i = 1; i <= turn.packets; ++i) {
    const bool last = i == turn.packets;
    const int payload_bytes = last ? turn.last_bytes : turn.payload_bytes;
    const auto packet =
        std::span(rtp_packet_).first(kRtpHeaderBytes + static_cast<size_t>(payload_bytes));
    probe.sequence = stream.next_sequence++;
    probe.sent_ns = wall_now_ns();
    write_rtp_probe(packet, probe,
                    {traits.payload_type, last && turn.marker, turn_number * samples});
    send(stream, packet, probe.warm_up);
  }
}

void MediaThread::send(Stream& stream, std::span<const uint8_t> packet, bool warm_up) {
  const ssize_t sent =
      ::sendto(stream.fd, packet.data(), packet.size(), 0, stream.relay.get(), stream.relay.length);
  if (sent < 0) {
    ++counters_.send_errors;
    return;
  }
  ++counters_.sent;
  if (!warm_up) ++counters_.expected;
}

void MediaThread::receive_all() {
  int ready = 0;
  do {
    ready = ::epoll_wait(epoll_.get(), batch_->events.data(), kEvents, 0);
    for (int i = 0; i < ready; ++i) {
      receive(*static_cast<Ear*>(batch_->events[static_cast<size_t>(i)].data.ptr));
    }
  } while (ready == kEvents);
}

void MediaThread::receive(const Ear& ear) {
  int received = 0;
  do {
    batch_->prepare();
    received = ::recvmmsg(ear.fd, batch_->messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < received; ++i) {
      const auto at = static_cast<size_t>(i);
      mmsghdr& message = batch_->messages[at];
      judge(*ear.stream, {batch_->bytes[at].data(), message.msg_len},
            reinterpret_cast<const sockaddr*>(&batch_->from[at]),
            receive_stamp_ns(message.msg_hdr));
    }
  } while (received == static_cast<int>(kBatch));
}

void MediaThread::judge(Stream& stream, std::span<const uint8_t> packet, const sockaddr* from,
                        int64_t arrived_ns) {
  const auto probe = read_probe(packet, stream.kind);
  if (!probe || probe->run != settings_.run) {
    ++counters_.foreign;
    return;
  }
  ++counters_.arrived;
  if (to_endpoint(from) != stream.expected_from) ++counters_.wrong_source;
  if (probe->call != stream.call->index || probe->direction != (stream.side ^ 1)) {
    ++counters_.misdelivered;
    return;
  }
  const auto arrival = stream.heard.record(probe->sequence);
  if (arrival == SequenceTracker::Arrival::duplicate) {
    ++counters_.duplicated;
    return;
  }
  if (measures_times()) {
    const int64_t delay_ns = arrived_ns - probe->sent_ns;
    times_.one_way_delay.record(delay_ns);
    if (stream.last_delay_ns) {
      times_.delay_variation.record(std::abs(delay_ns - *stream.last_delay_ns));
    }
    stream.last_delay_ns = delay_ns;
  }
  if (arrival == SequenceTracker::Arrival::reordered) ++counters_.reordered;
  if (!probe->warm_up) ++counters_.delivered;
}

}  // namespace relay::tools
