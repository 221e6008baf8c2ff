#include <uv.h>

#include <fmt/core.h>

#include <array>
#include <deque>
#include <random>
#include <unordered_map>

#include "tools/common/control_clients.h"
#include "tools/common/reply_framing.h"
#include "tools/common/uv_handle.h"

namespace relay::tools {
namespace {

class DatagramClient final : public ControlClient {
 public:
  DatagramClient(EventLoop& loop, ControlAddress address, ControlClientSettings settings)
      : address_(std::move(address)),
        settings_(settings),
        socket_(new uv_udp_t),
        retry_timer_(loop, [this] { retransmit_due(); }),
        cookie_prefix_(fmt::format("{}_{:x}_", uv_os_getpid(), std::random_device{}())) {
    uv_udp_init(loop.native(), socket_);
    socket_->data = this;
  }
  ~DatagramClient() override { close_handle(socket_); }

  Result<void> connect(const Endpoint& relay);
  void ask(std::string command, Done done) override;

 private:
  struct Pending {
    std::string datagram;
    Done done;
    Instant first_sent;
    int transmissions = 1;
  };
  struct Due {
    Instant at;
    std::string cookie;
  };

  void send(const std::string& datagram);
  void schedule(const std::string& cookie, Instant now);
  void retransmit_due();
  void received(std::string_view datagram);
  void fail_all(const std::string& why);

  static void on_buffer(uv_handle_t* handle, size_t, uv_buf_t* buffer);
  static void on_received(uv_udp_t* socket, ssize_t size, const uv_buf_t* buffer, const sockaddr*,
                          unsigned);

  const ControlAddress address_;
  const ControlClientSettings settings_;
  uv_udp_t* socket_;
  Timer retry_timer_;
  const std::string cookie_prefix_;
  uint64_t next_cookie_ = 1;
  std::unordered_map<std::string, Pending> pending_;
  std::deque<Due> due_;  // in order of time, because all wait equally long
  std::array<char, 65536> buffer_;
};

Result<void> DatagramClient::connect(const Endpoint& relay) {
  const SocketAddress target = to_socket_address(relay);
  if (const int error = uv_udp_connect(socket_, target.get()); error < 0) {
    return fail(fmt::format("{}: {}", address_.to_string(), uv_strerror(error)));
  }
  int wanted_bytes = 1 << 20;
  uv_recv_buffer_size(as_handle(socket_), &wanted_bytes);
  if (const int error = uv_udp_recv_start(socket_, on_buffer, on_received); error < 0) {
    return fail(fmt::format("{}: {}", address_.to_string(), uv_strerror(error)));
  }
  return {};
}

void DatagramClient::ask(std::string command, Done done) {
  const std::string cookie = cookie_prefix_ + std::to_string(next_cookie_++);
  const Instant now = steady_now();
  Pending pending{cookie + " " + command, std::move(done), now, 1};
  send(pending.datagram);
  pending_.emplace(cookie, std::move(pending));
  schedule(cookie, now);
}

// A datagram the kernel does not take counts as lost on the way: it is sent again.
void DatagramClient::send(const std::string& datagram) {
  const uv_buf_t buffer =
      uv_buf_init(const_cast<char*>(datagram.data()), static_cast<unsigned>(datagram.size()));
  uv_udp_try_send(socket_, &buffer, 1, nullptr);
}

void DatagramClient::schedule(const std::string& cookie, Instant now) {
  due_.push_back({now + settings_.retry_after, cookie});
  if (!retry_timer_.armed()) retry_timer_.start(settings_.retry_after);
}

void DatagramClient::retransmit_due() {
  const Instant now = steady_now();
  while (!due_.empty()) {
    if (!pending_.contains(due_.front().cookie)) {
      due_.pop_front();
      continue;
    }
    if (due_.front().at > now) break;
    const std::string cookie = std::move(due_.front().cookie);
    due_.pop_front();
    const auto found = pending_.find(cookie);
    if (found->second.transmissions >= settings_.attempts) {
      const Done done = std::move(found->second.done);
      pending_.erase(found);
      done(fail(
          fmt::format("{}: no answer, asked {} times", address_.to_string(), settings_.attempts)));
      continue;
    }
    ++found->second.transmissions;
    send(found->second.datagram);
    schedule(cookie, now);
  }
  if (!due_.empty()) retry_timer_.start(due_.front().at - now);
}

void DatagramClient::received(std::string_view datagram) {
  const auto cooked = split_cooked_reply(datagram);
  if (!cooked) return;
  const auto found = pending_.find(std::string(cooked->cookie));
  if (found == pending_.end()) return;  // a late copy, or somebody else's
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  pending.done(
      Answer{std::string(cooked->reply), steady_now() - pending.first_sent, pending.transmissions});
}

void DatagramClient::fail_all(const std::string& why) {
  auto failed = std::move(pending_);
  pending_.clear();
  for (auto& [cookie, pending] : failed) pending.done(fail(why));
}

void DatagramClient::on_buffer(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  auto* client = static_cast<DatagramClient*>(handle->data);
  *buffer = uv_buf_init(client->buffer_.data(), static_cast<unsigned>(client->buffer_.size()));
}

void DatagramClient::on_received(uv_udp_t* socket, ssize_t size, const uv_buf_t* buffer,
                                 const sockaddr* from, unsigned) {
  auto* client = static_cast<DatagramClient*>(socket->data);
  if (size < 0) {
    // An ICMP unreachable, as a rule: nobody is there, so asking again is waste.
    client->fail_all(
        fmt::format("{}: {}", client->address_.to_string(), uv_strerror(static_cast<int>(size))));
  } else if (from != nullptr) {
    client->received({buffer->base, static_cast<size_t>(size)});
  }
}

}  // namespace

Result<std::unique_ptr<ControlClient>> open_datagram_client(EventLoop& loop,
                                                            const ControlAddress& address,
                                                            ControlClientSettings settings) {
  const auto relay = resolve(address);
  if (!relay) return tl::unexpected(relay.error());
  auto client = std::make_unique<DatagramClient>(loop, address, settings);
  if (const auto connected = client->connect(*relay); !connected) {
    return tl::unexpected(connected.error());
  }
  return client;
}

}  // namespace relay::tools
