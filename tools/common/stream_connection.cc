#include "tools/common/stream_connection.h"

#include <uv.h>

#include <array>

#include "tools/common/uv_handle.h"

namespace relay::tools {
namespace {

struct Write {
  uv_write_t request;
  std::string bytes;
};

StreamConnection* connection_of(uv_stream_t* stream) {
  return static_cast<StreamConnection*>(stream->data);  // null once closed
}

void on_buffer(uv_handle_t*, size_t, uv_buf_t* buffer) {
  // One thread a loop, and a read is handed on before the next one begins.
  static thread_local std::array<char, 65536> bytes;
  *buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
}

void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  StreamConnection* connection = connection_of(stream);
  if (connection == nullptr || size == 0) return;
  if (size > 0) {
    connection->observer().stream_received({buffer->base, static_cast<size_t>(size)});
    return;
  }
  uv_read_stop(stream);
  connection->observer().stream_ended(size == UV_EOF ? "connection closed"
                                                     : uv_strerror(static_cast<int>(size)));
}

void on_connected(uv_connect_t* request, int status) {
  uv_stream_t* stream = request->handle;
  delete request;
  StreamConnection* connection = connection_of(stream);
  if (connection == nullptr) return;
  if (status < 0) {
    connection->observer().stream_ended(uv_strerror(status));
  } else {
    uv_read_start(stream, on_buffer, on_read);
  }
}

uv_stream_t* open_tcp(EventLoop& loop, const Endpoint& relay) {
  auto* tcp = new uv_tcp_t;
  uv_tcp_init(loop.native(), tcp);
  uv_tcp_nodelay(tcp, 1);
  auto* request = new uv_connect_t;
  const SocketAddress target = to_socket_address(relay);
  if (uv_tcp_connect(request, tcp, target.get(), on_connected) < 0) delete request;
  return reinterpret_cast<uv_stream_t*>(tcp);
}

uv_stream_t* open_pipe(EventLoop& loop, const std::string& path) {
  auto* pipe = new uv_pipe_t;
  uv_pipe_init(loop.native(), pipe, 0);
  uv_pipe_connect(new uv_connect_t, pipe, path.c_str(), on_connected);
  return reinterpret_cast<uv_stream_t*>(pipe);
}

}  // namespace

StreamConnection::StreamConnection(EventLoop& loop, const ControlAddress& address,
                                   const Endpoint& resolved, StreamObserver& observer)
    : stream_(address.kind == ControlAddress::Kind::tcp ? open_tcp(loop, resolved)
                                                        : open_pipe(loop, address.path)),
      observer_(observer) {
  stream_->data = this;
}

StreamConnection::~StreamConnection() {
  if (stream_->type == UV_TCP) {
    close_handle(reinterpret_cast<uv_tcp_t*>(stream_));
  } else {
    close_handle(reinterpret_cast<uv_pipe_t*>(stream_));
  }
}

void StreamConnection::write(std::string bytes) {
  auto* write = new Write{{}, std::move(bytes)};
  write->request.data = write;
  const uv_buf_t buffer =
      uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  // A failed write is followed by a failed read, which is where it is told.
  const int error = uv_write(&write->request, stream_, &buffer, 1, [](uv_write_t* request, int) {
    delete static_cast<Write*>(request->data);
  });
  if (error < 0) delete write;
}

}  // namespace relay::tools
