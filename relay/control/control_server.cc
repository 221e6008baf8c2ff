#include "relay/control/control_server.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "relay/base/log.h"

namespace relay {

namespace {

std::string quote(const ControlSocketConfig& socket) {
  return "control socket '" + socket.text + "'";
}

bool accepts_connections(const ControlSocketConfig& socket) {
  return socket.kind != ControlKind::udp && socket.kind != ControlKind::stdio;
}

// rtpproxy's rule: with stdio: the daemon lives on only for the sake of a datagram socket.
bool drains_at_end_of_input(const ControlSocketConfig& stdio, const StartupConfig& config) {
  return stdio.drain_at_end_of_input ||
         std::ranges::all_of(config.control_sockets, [&](const ControlSocketConfig& other) {
           return &other == &stdio || accepts_connections(other);
         });
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::create(EventLoop& loop,
                                                             const StartupConfig& config,
                                                             CommandExecutor& executor,
                                                             ControlCounters& counters,
                                                             std::function<void()> on_end_of_input,
                                                             ControlServerOptions options) {
  if (config.control_sockets.empty()) return fail("no control socket is configured (-s)");
  std::unique_ptr<ControlServer> server(
      new ControlServer(loop, executor, counters, std::move(on_end_of_input), std::move(options)));
  for (const ControlSocketConfig& socket : config.control_sockets) {
    if (auto opened = server->open(socket, config); !opened) return tl::unexpected(opened.error());
  }
  for (const auto& [text, unused] : server->options_.adopted)
    log_warning("inherited control socket is configured no more socket={}", quoted(text));
  server->options_.adopted.clear();
  server->sweep_timer_.start_repeating(std::chrono::seconds(1));
  return server;
}

ControlServer::ControlServer(EventLoop& loop, CommandExecutor& executor, ControlCounters& counters,
                             std::function<void()> on_end_of_input, ControlServerOptions options)
    : loop_(loop),
      executor_(executor),
      counters_(counters),
      on_end_of_input_(std::move(on_end_of_input)),
      options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : steady_clock_),
      reply_cache_(options_.reply_cache_limits),
      sweep_timer_(loop, [this] { sweep(); }) {}

Result<void> ControlServer::open(const ControlSocketConfig& socket, const StartupConfig& config) {
  switch (socket.kind) {
    case ControlKind::udp:
      return open_udp(socket);
    case ControlKind::stdio:
      return open_stdio(socket, config);
    case ControlKind::unix_one_shot:
    case ControlKind::unix_stream:
    case ControlKind::tcp:
    case ControlKind::systemd:
      return open_stream(socket, config);
  }
  return fail(quote(socket) + ": unknown kind of socket");
}

UniqueFd ControlServer::take_adopted(const std::string& text) {
  const auto found = options_.adopted.find(text);
  if (found == options_.adopted.end()) return UniqueFd();
  UniqueFd taken = std::move(found->second);
  options_.adopted.erase(found);
  return taken;
}

Result<void> ControlServer::open_udp(const ControlSocketConfig& socket) {
  UniqueFd fd = take_adopted(socket.text);
  if (fd) {
    if (auto prepared = prepare_udp_socket(fd.get(), socket.text); !prepared) return prepared;
  } else {
    auto made = make_udp_socket(socket);
    if (!made) return tl::unexpected(made.error());
    fd = std::move(*made);
  }
  const auto index = static_cast<uint32_t>(udp_.size());
  udp_.push_back(
      std::make_unique<UdpListener>(loop_, UdpListener::Settings{socket.text, std::move(fd), index},
                                    executor_, reply_cache_, counters_, clock_));
  return {};
}

Result<void> ControlServer::open_stream(const ControlSocketConfig& socket,
                                        const StartupConfig& config) {
  StreamListener::Settings settings;
  settings.text = socket.text;
  settings.limits = options_.stream_limits;
  if (socket.kind == ControlKind::unix_one_shot) settings.framing = StreamFraming::one_shot;
  const bool is_unix =
      socket.kind == ControlKind::unix_one_shot || socket.kind == ControlKind::unix_stream;
  settings.socket = take_adopted(socket.text);
  if (settings.socket) {
    auto prepared = prepare_inherited_listener(settings.socket.get(), socket.text);
    if (!prepared) return prepared;
    if (is_unix) settings.file = UnixSocketFile(socket.path);
  } else if (is_unix) {
    auto made = make_unix_listener(socket, config);
    if (!made) return tl::unexpected(made.error());
    settings.socket = std::move(made->socket);
    settings.file = std::move(made->file);
  } else {
    auto made =
        socket.kind == ControlKind::tcp ? make_tcp_listener(socket) : inherit_from_systemd(socket);
    if (!made) return tl::unexpected(made.error());
    settings.socket = std::move(*made);
  }
  streams_.push_back(
      std::make_unique<StreamListener>(loop_, std::move(settings), executor_, counters_, clock_));
  return {};
}

// LISTEN_PID is not looked at: daemonising has changed our process id since.
Result<UniqueFd> ControlServer::inherit_from_systemd(const ControlSocketConfig& socket) {
  const char* count = std::getenv("LISTEN_FDS");
  if (count == nullptr || std::string(count) != "1")
    return fail(fmt::format("{}: LISTEN_FDS is {}; expected exactly one socket from systemd",
                            quote(socket), count == nullptr ? "not set" : quoted(count)));
  const int fd = options_.systemd_descriptor;
  if (fd < 0) return fail(quote(socket) + ": the socket from systemd is in use already");
  if (auto prepared = prepare_inherited_listener(fd, socket.text); !prepared)
    return tl::unexpected(prepared.error());
  options_.systemd_descriptor = -1;
  return UniqueFd(fd);
}

Result<void> ControlServer::open_stdio(const ControlSocketConfig& socket,
                                       const StartupConfig& config) {
  if (!config.foreground)
    return fail(quote(socket) + ": standard input and output need -f (foreground)");
  if (stdio_) return fail(quote(socket) + ": standard input is in use already");
  std::function<void()> on_closed;
  if (drains_at_end_of_input(socket, config)) on_closed = on_end_of_input_;
  stdio_ = std::make_unique<StdioChannel>(loop_, options_.standard_input, options_.standard_output,
                                          executor_, counters_, clock_, std::move(on_closed));
  return {};
}

void ControlServer::sweep() {
  const Instant now = clock_.now();
  reply_cache_.expire(now);
  for (const auto& listener : streams_) listener->sweep(now);
}

std::vector<std::pair<std::string, int>> ControlServer::descriptors() const {
  std::vector<std::pair<std::string, int>> all;
  for (const auto& listener : udp_) all.emplace_back(listener->text(), listener->descriptor());
  for (const auto& listener : streams_) all.emplace_back(listener->text(), listener->descriptor());
  return all;
}

void ControlServer::keep_socket_files() {
  for (const auto& listener : streams_) listener->keep_file();
}

size_t ControlServer::connections() const {
  size_t total = 0;
  for (const auto& listener : streams_) total += listener->connections();
  return total;
}

}  // namespace relay
