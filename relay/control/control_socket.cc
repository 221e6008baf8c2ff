#include "relay/control/control_socket.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <filesystem>
#include <utility>

#include "relay/base/log.h"
#include "relay/base/socket_options.h"

namespace relay {

namespace {

// 64 workers probing several relays at once send some hundred datagrams within milliseconds.
constexpr int kReceiveBufferBytes = 1 << 20;
constexpr int kBacklog = 512;

std::string quote(const std::string& text) {
  return "control socket '" + text + "'";
}

Result<UniqueFd> open_bound(const ControlSocketConfig& config, int type) {
  const bool ipv6 = config.endpoint.address.is_ipv6();
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(quote(config.text) + ": cannot open a socket");
  // `udp:*` and `udp6:*` on one port are two sockets, as with rtpproxy.
  if (ipv6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1))
    return fail_errno(quote(config.text) + ": cannot restrict the socket to IPv6");
  if (type == SOCK_STREAM && !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1))
    return fail_errno(quote(config.text) + ": cannot set SO_REUSEADDR");
  const SocketAddress address = to_socket_address(config.endpoint);
  if (::bind(fd.get(), address.get(), address.length) != 0)
    return fail_errno(quote(config.text) + ": cannot bind to " + config.endpoint.to_string());
  return fd;
}

Result<void> listen_on(int fd, const std::string& text) {
  if (::listen(fd, kBacklog) != 0) return fail_errno(quote(text) + ": cannot listen");
  return {};
}

Result<sockaddr_un> unix_address(const ControlSocketConfig& config) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (config.path.empty()) return fail(quote(config.text) + ": expected a path");
  if (config.path.size() >= sizeof address.sun_path)
    return fail(fmt::format("{}: the path has {} bytes, a unix socket's may have at most {}",
                            quote(config.text), config.path.size(), sizeof address.sun_path - 1));
  config.path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// A stream socket file is stale when connecting to it is refused; anything else means an owner.
Result<void> check_stale(const ControlSocketConfig& config, const sockaddr_un& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return fail_errno(quote(config.text) + ": cannot open a socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) return {};
    // EAGAIN: its backlog is full; EPROTOTYPE: it takes datagrams.
    if (errno != EAGAIN && errno != EPROTOTYPE)
      return fail_errno(quote(config.text) + ": cannot tell whether a process serves this socket");
  }
  return fail(quote(config.text) + ": another process serves this socket");
}

Result<void> make_room(const ControlSocketConfig& config, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(config.path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(quote(config.text) + ": cannot look at the path");
  }
  if (S_ISSOCK(found.st_mode)) {
    if (auto stale = check_stale(config, address); !stale) return stale;
  } else if (!S_ISREG(found.st_mode) || found.st_size != 0) {
    return fail(fmt::format("{}: the path is {}; expected nothing, a stale socket or an empty file",
                            quote(config.text),
                            S_ISREG(found.st_mode)   ? "a file with contents"
                            : S_ISDIR(found.st_mode) ? "a directory"
                            : S_ISLNK(found.st_mode) ? "a symbolic link"
                                                     : "a device or pipe"));
  }
  if (::unlink(config.path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(quote(config.text) + ": cannot delete what is left at the path");
  return {};
}

std::optional<unsigned> number(const std::string& text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<void> set_owner_and_mode(const ControlSocketConfig& config, const StartupConfig& startup) {
  uid_t owner = static_cast<uid_t>(-1);
  gid_t group = static_cast<gid_t>(-1);
  if (!startup.user.empty()) {
    if (const passwd* entry = ::getpwnam(startup.user.c_str())) {
      owner = entry->pw_uid;
      group = entry->pw_gid;
    } else if (const auto id = number(startup.user)) {
      owner = *id;
    } else {
      return fail(quote(config.text) + ": there is no user '" + startup.user + "'");
    }
  }
  if (!startup.group.empty()) {
    if (const ::group* entry = ::getgrnam(startup.group.c_str())) {
      group = entry->gr_gid;
    } else if (const auto id = number(startup.group)) {
      group = *id;
    } else {
      return fail(quote(config.text) + ": there is no group '" + startup.group + "'");
    }
  }
  if ((!startup.user.empty() || !startup.group.empty()) &&
      ::lchown(config.path.c_str(), owner, group) != 0)
    return fail_errno(fmt::format("{}: cannot give the socket to '{}:{}'", quote(config.text),
                                  startup.user, startup.group));
  if (startup.group.empty() && !startup.unix_socket_mode) return {};  // the umask's mode stays
  const unsigned mode = startup.unix_socket_mode.value_or(0755);
  if (::chmod(config.path.c_str(), mode) != 0)
    return fail_errno(fmt::format("{}: cannot set mode {:04o}", quote(config.text), mode));
  return {};
}

}  // namespace

UnixSocketFile::UnixSocketFile(const std::string& path) {
  // Daemonising changes the working directory before the file is deleted.
  std::error_code ignored;
  path_ = std::filesystem::absolute(path, ignored).string();
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return;
  device_ = found.st_dev;
  inode_ = found.st_ino;
}

UnixSocketFile::UnixSocketFile(UnixSocketFile&& other) noexcept
    : path_(std::move(other.path_)),
      device_(std::exchange(other.device_, std::nullopt)),
      inode_(other.inode_) {}

UnixSocketFile& UnixSocketFile::operator=(UnixSocketFile&& other) noexcept {
  if (this != &other) {
    unlink_own();
    path_ = std::move(other.path_);
    device_ = std::exchange(other.device_, std::nullopt);
    inode_ = other.inode_;
  }
  return *this;
}

void UnixSocketFile::unlink_own() {
  if (!device_) return;
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0 || found.st_dev != *device_ || found.st_ino != inode_)
    return;
  if (::unlink(path_.c_str()) != 0)
    log_debug("control socket file stays path={} reason={}", relay::quoted(path_),
              std::strerror(errno));
}

Result<UniqueFd> make_udp_socket(const ControlSocketConfig& config) {
  auto fd = open_bound(config, SOCK_DGRAM);
  if (!fd) return fd;
  if (auto prepared = prepare_udp_socket(fd->get(), config.text); !prepared)
    return tl::unexpected(prepared.error());
  return fd;
}

Result<void> prepare_udp_socket(int fd, const std::string& text) {
  if (option_of(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM)
    return fail(quote(text) + ": the inherited descriptor is not a datagram socket");
  const bool ipv6 = option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
  if (!(ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
             : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)))
    return fail_errno(quote(text) + ": cannot ask for the address each datagram was sent to");
  // The forced form may exceed net.core.rmem_max and needs CAP_NET_ADMIN.
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferBytes))
    set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);  // only for the counter
  if (::fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno(quote(text) + ": cannot make the descriptor non-blocking");
  return {};
}

Result<UniqueFd> make_tcp_listener(const ControlSocketConfig& config) {
  auto fd = open_bound(config, SOCK_STREAM);
  if (!fd) return fd;
  if (auto listening = listen_on(fd->get(), config.text); !listening)
    return tl::unexpected(listening.error());
  return fd;
}

Result<UnixListener> make_unix_listener(const ControlSocketConfig& config,
                                        const StartupConfig& startup) {
  const auto address = unix_address(config);
  if (!address) return tl::unexpected(address.error());
  if (auto room = make_room(config, *address); !room) return tl::unexpected(room.error());
  UnixListener made;
  made.socket = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made.socket) return fail_errno(quote(config.text) + ": cannot open a socket");
  // Linux takes the file's mode from the unbound socket (unix_bind since 2.6), less the umask: so
  // nobody can connect between bind and chmod.
  if ((!startup.group.empty() || startup.unix_socket_mode) &&
      ::fchmod(made.socket.get(), 0600) != 0)
    return fail_errno(quote(config.text) + ": cannot restrict the socket's mode");
  if (::bind(made.socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return fail_errno(quote(config.text) + ": cannot bind");
  made.file = UnixSocketFile(config.path);
  if (auto set = set_owner_and_mode(config, startup); !set) return tl::unexpected(set.error());
  if (auto listening = listen_on(made.socket.get(), config.text); !listening)
    return tl::unexpected(listening.error());
  return made;
}

Result<void> prepare_inherited_listener(int fd, const std::string& text) {
  if (option_of(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM ||
      option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
    return fail(fmt::format("{}: descriptor {} is not a listening stream socket", quote(text), fd));
  if (::fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno(quote(text) + ": cannot make the descriptor non-blocking");
  return {};
}

}  // namespace relay
