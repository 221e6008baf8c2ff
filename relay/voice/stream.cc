#include "relay/voice/stream.h"

#include <fmt/core.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>

#include "relay/base/assert.h"
#include "relay/base/log.h"
#include "relay/base/socket_options.h"
#include "relay/voice/uv_handle.h"

namespace relay {
namespace {

constexpr int kSendBufferBytes = 64 * 1024;
constexpr int kNotSentBytesMax = 16 * 1024;
constexpr int kUserTimeoutMs = 10'000;

// Audio that waits in the kernel is late and cannot be dropped there: little room, no delay.
void tune(uv_tcp_t* socket) {
  uv_tcp_nodelay(socket, 1);
  uv_os_fd_t fd = -1;
  if (uv_fileno(as_uv_handle(socket), &fd) != 0) return;
  set_option(fd, SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotSentBytesMax);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

constexpr size_t kReadBytesMax = 64 * 1024;

// One buffer serves all streams of the thread: each read is used up before the next.
void give_buffer(uv_handle_t*, size_t, uv_buf_t* buffer) {
  thread_local std::array<char, kReadBytesMax> bytes;
  *buffer = uv_buf_init(bytes.data(), bytes.size());
}

}  // namespace

struct Stream::Write {
  uv_write_t request;
  std::vector<uint8_t> bytes;
};

// What libuv calls; handles and requests of a stream that is gone have no data.
struct Stream::Callbacks {
  static void connected(uv_connect_t* request, int status) {
    auto* stream = static_cast<Stream*>(request->handle->data);
    delete request;
    if (stream == nullptr) return;
    if (status == 0) return stream->connected();
    if (stream->has_next_address()) return stream->connect_next();
    stream->fail(VoiceError::unreachable,
                 fmt::format("{}:{}: {}", stream->host_, stream->port_, uv_strerror(status)));
  }
  static void received(uv_stream_t* socket, ssize_t size, const uv_buf_t* buffer) {
    auto* stream = static_cast<Stream*>(socket->data);
    if (stream == nullptr || size == 0) return;
    if (size < 0) return stream->lost(static_cast<int>(size));
    if (static_cast<size_t>(size) == kReadBytesMax) stream->give_way();
    stream->received({reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(size)});
  }
  static void written(uv_write_t* request, int status) {
    auto* stream = static_cast<Stream*>(request->handle->data);
    delete static_cast<Write*>(request->data);
    if (stream == nullptr) return;
    --stream->writes_;
    if (status < 0) return stream->lost(status);
    if (stream->writes_ == 0 && stream->open_) stream->observer_.stream_writable();
  }
};

Stream::Stream(VoiceLoop& loop, std::string host, uint16_t port,
               std::shared_ptr<const TlsContext> tls, const std::string& tls_name,
               StreamObserver& observer)
    : loop_(loop), host_(std::move(host)), port_(port), observer_(observer), resume_(loop, [this] {
        read_on();
      }) {
  if (tls != nullptr) {
    tls_ = std::make_unique<TlsSession>(std::move(tls), tls_name.empty() ? host_ : tls_name);
  }
  lookup_ = loop.resolver().look_up(host_, port_, [this](const auto& found) { looked_up(found); });
}

Stream::~Stream() {
  if (socket_ != nullptr) close_uv_handle(socket_);
}

void Stream::looked_up(const Result<Resolver::Addresses>& found) {
  if (!found) {
    return fail(VoiceError::unreachable,
                fmt::format("{}: {}", quoted(host_), found.error().message));
  }
  addresses_ = *found;
  connect_next();
}

void Stream::connect_next() {
  if (socket_ != nullptr) close_uv_handle(socket_);
  const SocketAddress& address = addresses_[next_address_++];
  socket_ = new uv_tcp_t;
  uv_tcp_init(loop_.native(), socket_);
  socket_->data = this;
  auto* request = new uv_connect_t;
  // An error here (no route, no IPv6) comes to the callback on Linux.
  const int status = uv_tcp_connect(request, socket_, address.get(), Callbacks::connected);
  if (status == 0) return;
  delete request;
  if (has_next_address()) return connect_next();
  fail(VoiceError::unreachable, fmt::format("{}:{}: {}", host_, port_, uv_strerror(status)));
}

void Stream::connected() {
  tune(socket_);
  read_on();
  if (tls_ != nullptr) return received({});
  open_ = true;
  observer_.stream_open();
}

void Stream::read_on() {
  uv_read_start(reinterpret_cast<uv_stream_t*>(socket_), give_buffer, Callbacks::received);
}

// There is more: libuv would read up to 32 times in a row, and an endpoint that sends without end
// would keep all other sessions' frames waiting. It goes on after one turn of the loop.
void Stream::give_way() {
  uv_read_stop(reinterpret_cast<uv_stream_t*>(socket_));
  resume_.start(Duration::zero());
}

void Stream::received(Octets data) {
  if (tls_ == nullptr) return observer_.stream_data(data);
  std::vector<uint8_t> out;
  plain_.clear();
  const auto result = tls_->receive(data, plain_, out);
  if (!out.empty()) write_raw(std::move(out));
  if (!result) {
    return fail(VoiceError::tls, result.error().message);
  }
  // The observer may destroy the stream: what is left to do is decided before.
  const bool opens = !open_ && tls_->is_ready();
  const bool ends = tls_->peer_closed();
  const std::vector<uint8_t> plain = std::move(plain_);
  const std::weak_ptr<bool> alive = alive_;
  open_ = open_ || opens;
  if (opens) observer_.stream_open();
  if (!alive.expired() && !plain.empty()) observer_.stream_data(plain);
  if (!alive.expired() && ends) observer_.stream_ended();
}

void Stream::lost(int status) {
  resume_.stop();
  uv_read_stop(reinterpret_cast<uv_stream_t*>(socket_));
  if (status == UV_EOF && open_) return observer_.stream_ended();
  fail(VoiceError::unreachable, status == UV_EOF ? "closed by the endpoint" : uv_strerror(status));
}

bool Stream::write(Octets data) {
  RELAY_ASSERT(open_);
  sealed_.clear();
  if (tls_ == nullptr) {
    sealed_.assign(data.begin(), data.end());
  } else if (!tls_->send(data, sealed_)) {
    return true;  // a session that is broken: the reading side says so
  }
  return write_raw(sealed_);
}

bool Stream::write_raw(std::vector<uint8_t> bytes) {
  auto* const socket = reinterpret_cast<uv_stream_t*>(socket_);
  size_t sent = 0;
  if (writes_ == 0) {
    uv_buf_t buffer =
        uv_buf_init(reinterpret_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    const int result = uv_try_write(socket, &buffer, 1);
    if (result > 0) sent = static_cast<size_t>(result);
    if (sent == bytes.size()) return true;
  }
  auto* write = new Write;
  write->bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(sent), bytes.end());
  write->request.data = write;
  uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(write->bytes.data()),
                                static_cast<unsigned>(write->bytes.size()));
  const int status = uv_write(&write->request, socket, &buffer, 1, Callbacks::written);
  if (status != 0) {
    delete write;
    return true;  // the reading side says so
  }
  ++writes_;
  return false;
}

void Stream::fail(VoiceError error, const std::string& text) {
  observer_.stream_failed(error, text);
}

}  // namespace relay
