// The slow path, one call deep each:
//   run           epoll_wait; ready sockets, then what they yielded is sent, then control's posts
//   serve         one socket: a packet, or a bounded burst when it was ready twice in a row
//                 (a party that has settled gets a socket of its own: socket_set.h)
//   receive_one   receive → decide → into the batch; what is not forwarded is counted at once
//   survive       a receive error: a pending ICMP error costs nothing, a dead descriptor is let go
//   finish_batch  taps → send → count
//   (a copy of what the kernel has relayed goes to the taps and is done with)
//   call_timed    sources and transforms whose time has come: prompts, voices, re-packetising
//   take_posts    install, update and remove groups; never while a round's events point at them
// Nothing here allocates, locks or logs; it waits in epoll_wait only.
#include "relay/dataplane/worker.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <system_error>

#include "relay/base/blocked_signals.h"
#include "relay/dataplane/consumers.h"
#include "relay/dataplane/party_socket.h"

namespace relay {
namespace {

constexpr int kEvents = 64;
constexpr int kBurstPackets = 16;
constexpr int kQueuePackets = 1024;  // more than a media socket's receive buffer holds
constexpr int kPostsPerRound = 64;
// Enough for eight calls; by what is paused, many are over.
constexpr int kSocketsSparedAtOnce = 32;
constexpr Duration kDescriptorsSpared = std::chrono::minutes(1);
constexpr uint32_t kErrorsInARow = 1000;
constexpr size_t kPostRing = 256;

GroupSockets& sockets_of(const FlowGroup& group) {
  return *static_cast<GroupSockets*>(group.plane_data);
}

// How often a source that has nowhere to send yet is looked at.
constexpr Duration kSilentLegLook = std::chrono::milliseconds(20);

}  // namespace

Result<std::unique_ptr<Worker>> Worker::start(unsigned number) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1");
  UniqueFd wake_up(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up) return fail_errno("eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // a MediaSocket otherwise
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) < 0) {
    return fail_errno("epoll_ctl on the wake-up descriptor");
  }
  std::unique_ptr<Worker> worker(new Worker(number, std::move(epoll), std::move(wake_up)));
  const BlockedSignals blocked;
  try {
    worker->thread_ = std::thread([w = worker.get()] { w->run(); });
  } catch (const std::system_error& error) {
    return fail("cannot start worker thread " + std::to_string(number) + ": " + error.what());
  }
  const std::string name = "relay/worker-" + std::to_string(number);
  pthread_setname_np(worker->thread_.native_handle(), name.substr(0, 15).c_str());
  return worker;
}

Worker::Worker(unsigned number, UniqueFd epoll, UniqueFd wake_up)
    : number_(number),
      sockets_(std::move(epoll)),
      wake_up_(std::move(wake_up)),
      posts_(kPostRing) {}

Worker::~Worker() {
  stop();
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
  while (take_posts()) {
  }
}

Result<void> Worker::set_realtime_priority(int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  const int error = pthread_setschedparam(thread_.native_handle(), SCHED_RR, &parameters);
  if (error == 0) {
    realtime_.store(true, std::memory_order_relaxed);
    return {};
  }
  return fail("realtime priority " + std::to_string(priority) + " of worker thread " +
              std::to_string(number_) + ": " + std::strerror(error) +
              "; expected 1 to 99, CAP_SYS_NICE or as much in RLIMIT_RTPRIO");
}

Duration Worker::cpu_time() {
  clockid_t clock = 0;
  timespec time{};
  if (!thread_.joinable() || pthread_getcpuclockid(thread_.native_handle(), &clock) != 0 ||
      ::clock_gettime(clock, &time) != 0) {
    return {};
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

uint64_t Worker::post_spec(FlowGroup& group, const FlowGroupSpec& spec) {
  Post message;
  message.group = &group;
  message.spec = spec;
  return post(std::move(message));
}

uint64_t Worker::post_remove(FlowGroup& group) {
  Post message;
  message.group = &group;
  message.kind = Post::Kind::remove;
  return post(std::move(message));
}

uint64_t Worker::post_copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) {
  Post message;
  message.group = &group;
  message.kind = Post::Kind::copy_stream;
  message.leg = leg;
  message.copy_to = &to;
  return post(std::move(message));
}

uint64_t Worker::post_resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  Post message;
  message.group = &group;
  message.kind = Post::Kind::resume_stream;
  message.leg = leg;
  message.resume_from = &from;
  return post(std::move(message));
}

uint64_t Worker::post_spare_descriptors() {
  Post message;
  message.kind = Post::Kind::spare_descriptors;
  return post(std::move(message));
}

uint64_t Worker::post(Post&& post) {
  if (!thread_.joinable()) {
    carry_out(post);
    processed_.store(++posted_, std::memory_order_release);
    return posted_;
  }
  while (!posts_.push(std::move(post))) {
    wake();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  if (!corked_) wake();
  return ++posted_;
}

void Worker::uncork() {
  corked_ = false;
  if (!posts_.empty()) wake();
}

// One eventfd write for all posts the worker has not looked at.
void Worker::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_up_.get(), &one, sizeof one);
}

void Worker::run() {
  std::array<epoll_event, kEvents> events;
  bool more_posts = false;
  while (!stopping_.load(std::memory_order_acquire)) {
    const int n = ::epoll_wait(sockets_.epoll(), events.data(), kEvents,
                               more_posts ? 0 : milliseconds_to_wait());
    ++round_;
    bool posted = more_posts;
    for (int i = 0; i < n; ++i) {
      auto* socket = static_cast<MediaSocket*>(events[static_cast<size_t>(i)].data.ptr);
      if (socket != nullptr) {
        serve(*socket);
      } else {
        posted = true;
      }
    }
    finish_batch();
    if (next_due_ != Instant::max()) call_timed();
    // serve() may have put off a packet for a post that nobody has woken us for so far.
    if (posted || !posts_.empty()) more_posts = take_posts();
  }
}

// Most sockets have one packet when they wake us, and a second read would only fetch EAGAIN. Level
// triggering brings a socket with more straight back in the next round, and that earns it a burst:
// enough to drain a queue, too little to keep the others waiting.
void Worker::serve(MediaSocket& socket) {
  if (socket.fd < 0) return;  // let go in this round
  // The post that completes a session leaves before the reply that lets the parties send, so a
  // packet must not overtake it. Level triggering brings the socket back when it is carried out.
  if (!socket.group->spec.complete && !posts_.empty()) return;
  const bool backlogged = socket.served_round + 1 == round_;
  socket.served_round = round_;
  read_from(socket, backlogged ? kBurstPackets : 1);
  if (!socket.party_has_settled()) return;
  GroupSockets& group = sockets_of(*socket.group);
  if (!sockets_.connect_to_party(group, socket, steady_now())) return;
  // What is still in the open socket came before what will come by the party's own.
  read_from(socket, kQueuePackets);
}

void Worker::read_from(MediaSocket& socket, int packets) {
  while (packets-- > 0 && receive_one(socket)) {
  }
}

bool Worker::receive_one(MediaSocket& socket) {
  const std::span buffer = std::span(batch_.buffers[batch_.size]).first<kReceiveBufferBytes>();
  ReceivedPacket received;
  const auto receive_from = socket.tells_copies  ? receive_with_mark
                            : socket.on_wildcard ? receive_with_local
                                                 : receive;
  const int error = receive_from(socket.fd, buffer, received);
  if (error != 0) return survive(socket, error);
  socket.errors_in_a_row = 0;
  FlowGroup& group = *socket.group;
  const bool is_copy = sockets_.is_copy(received.mark);
  if (received.truncated() && is_copy) return true;
  if (received.truncated()) {
    drop_truncated(group, socket.leg, socket.component, received.wire_bytes, totals_);
    return true;
  }
  const IngressPacket packet{socket.leg, socket.component, received.source, received.bytes};
  if (socket.connected && realtime_.load(std::memory_order_relaxed)) {
    cpus_.packet_came_by(socket.fd);
  }
  // The clock is read for every packet: jitter is measured by it, and it costs 22 ns.
  const Instant arrival = steady_now();
  if (is_copy) {
    offer_copy(group, packet, arrival, *this);
    return true;
  }
  const Verdict verdict = decide(group, packet, arrival);
  if (is_accepted(verdict)) {
    socket.heard_from(received.source);
    if (socket.on_wildcard) socket.local = received.local;
  }
  if (verdict.kind != Verdict::Kind::forward) {
    finish_packet(group, packet, verdict, arrival, *this, totals_);
    return true;
  }
  batch_.decided[batch_.size++] = {&group, packet, verdict, arrival};
  if (batch_.size == Batch::kPackets) finish_batch();
  return true;
}

// Sixteen receives and then sixteen sends cost 4 to 8 % less than turn and turn about
// (bench/README.md): each half of the UDP stack stays in the instruction cache.
void Worker::finish_batch() {
  for (const Batch::Decided& next : std::span(batch_.decided).first(batch_.size)) {
    finish_packet(*next.group, next.packet, next.verdict, next.arrival, *this, totals_);
  }
  batch_.size = 0;
}

// Rounded up: waking before the time would only make another round.
int Worker::milliseconds_to_wait() const {
  if (next_due_ == Instant::max()) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next_due_ - steady_now());
  return static_cast<int>(std::clamp<int64_t>(wait.count(), 0, 1000));
}

void Worker::call_timed() {
  const Instant now = steady_now();
  if (now < next_due_) return;
  next_due_ = Instant::max();
  for (TimedPart* part = timed_; part != nullptr; part = part->next) {
    if (part->due <= now) call(*part, now);
    next_due_ = std::min(next_due_, part->due);
  }
}

void Worker::call(TimedPart& part, Instant now) {
  if (part.transform != nullptr) {
    part.due = flush_transform(*part.group, part.leg, now, *this, totals_);
    return;
  }
  if (!can_send(*part.group, part.leg, now)) {
    part.due = now + kSilentLegLook;
    return;
  }
  const bool first = !part.started;
  part.started = true;
  part.due = play_source(*part.group, part.leg, first, now, *this, totals_);
}

void Worker::set_timed(TimedPart& part, const TimedPart& wanted) {
  if (part.source == wanted.source && part.transform == wanted.transform) return;
  if (part.source != nullptr || part.transform != nullptr) {
    (part.previous != nullptr ? part.previous->next : timed_) = part.next;
    if (part.next != nullptr) part.next->previous = part.previous;
  }
  part = wanted;
  if (part.source == nullptr && part.transform == nullptr) return;
  part.due = steady_now();
  part.next = timed_;
  if (timed_ != nullptr) timed_->previous = &part;
  timed_ = &part;
  next_due_ = part.due;
}

// Without a spec: none.
void Worker::set_timed(FlowGroup& group, const FlowGroupSpec* spec) {
  GroupSockets& sockets = sockets_of(group);
  for (const LegId leg : kLegs) {
    TimedPart source, transform;
    source.group = transform.group = &group;
    source.leg = transform.leg = leg;
    if (spec != nullptr) {
      source.source = spec->legs[index(leg)].source;
      transform.transform = spec->legs[index(leg)].transform;
    }
    set_timed(sockets.sources[index(leg)], source);
    set_timed(sockets.transforms[index(leg)], transform);
  }
}

// True: read on. Reading an error takes it off the socket, so level triggering does not repeat it.
// A descriptor that is no socket, or one that yields nothing but errors, would; it is let go.
bool Worker::survive(MediaSocket& socket, int error) {
  switch (error) {
    case EAGAIN:
      return false;
    case EBADF:
    case ENOTSOCK:
    case EINVAL:
    case EFAULT:
      break;
    default:
      if (++socket.errors_in_a_row < kErrorsInARow) return true;
  }
  sockets_.let_go(sockets_of(*socket.group), socket);
  return false;
}

// True when more posts wait. Bounded, so that a burst of new calls does not hold up the running.
bool Worker::take_posts() {
  uint64_t wakes = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_up_.get(), &wakes, sizeof wakes);
  woken_.exchange(false, std::memory_order_acq_rel);
  Post post;
  for (int i = 0; i < kPostsPerRound; ++i) {
    if (!posts_.pop(post)) return false;
    carry_out(post);
    processed_.store(processed_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  return true;
}

void Worker::carry_out(const Post& post) {
  if (post.kind == Post::Kind::spare_descriptors) return spare_descriptors();
  FlowGroup& group = *post.group;
  switch (post.kind) {
    case Post::Kind::spare_descriptors:
      return;
    case Post::Kind::spec:
      finish_transforms(group, post.spec, steady_now(), *this, totals_);
      apply_spec(group, post.spec, steady_now());
      set_timed(group, &post.spec);
      return sockets_.watch(sockets_of(group), &post.spec);
    case Post::Kind::remove:
      set_timed(group, nullptr);
      return sockets_.watch(sockets_of(group), nullptr);
    case Post::Kind::copy_stream:
      *post.copy_to = group.analyser[index(post.leg)].state();
      return;
    case Post::Kind::resume_stream:
      return resume_stream(group, post.leg, *post.resume_from);
  }
}

void Worker::spare_descriptors() {
  sockets_.pause_connecting(steady_now() + kDescriptorsSpared);
  for (int left = kSocketsSparedAtOnce; left > 0; --left) {
    PartySocket* socket = sockets_.newest_connected();
    if (socket == nullptr) break;
    turn_away(socket->fd);
    read_from(*socket, kQueuePackets);  // closing it loses what it holds
    sockets_.disconnect(*socket);
  }
  finish_batch();  // the next post may remove its groups
}

// On a wildcard socket the kernel would pick the source address by route; a party behind a NAT or a
// symmetric peer only takes what comes from the address it sends to.
int Worker::send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
                 Bytes bytes) {
  const MediaSockets& all = sockets_of(group);
  const auto& sockets = all.legs[index(leg)];
  const MediaSocket& socket = sockets[index(component)];
  if (socket.fd < 0) return EBADF;
  const PartySocket& party = all.parties[index(leg)];
  if (component == Component::rtp && party.fd >= 0 && party.party == destination &&
      relay::send_connected(party.fd, bytes) == 0) {
    return 0;  // else an ICMP error for an earlier packet was in the way, for this socket only
  }
  if (!socket.on_wildcard) return relay::send(socket.fd, destination, bytes);
  const IpAddress& local = socket.local.valid() ? socket.local : sockets[0].local;
  if (!local.valid()) return relay::send(socket.fd, destination, bytes);
  return send_from(socket.fd, local, destination, bytes);
}

Endpoint Worker::local_of(const FlowGroup& group, LegId leg, Component component) const {
  Endpoint local = PacketSender::local_of(group, leg, component);
  const MediaSocket& socket = sockets_of(group).legs[index(leg)][index(component)];
  if (socket.on_wildcard && socket.local.valid()) local.address = socket.local;
  return local;
}

}  // namespace relay
