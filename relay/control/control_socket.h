// Makes the sockets behind -s: and the file that a unix socket leaves on disk. Errors quote the
// configured text. Control thread, start-up only.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/config/config.h"

namespace relay {

// Remembers the inode that bind(2) made at a path, so that only that one is ever deleted.
class UnixSocketFile {
 public:
  UnixSocketFile() = default;
  // Takes what is at `path` now, when it is a socket; otherwise holds nothing.
  explicit UnixSocketFile(const std::string& path);
  UnixSocketFile(UnixSocketFile&& other) noexcept;
  UnixSocketFile& operator=(UnixSocketFile&& other) noexcept;
  ~UnixSocketFile() { unlink_own(); }

  // Leaves the file to whoever serves the socket after us.
  void release() { device_.reset(); }

 private:
  void unlink_own();

  std::string path_;
  std::optional<dev_t> device_;  // nothing: no file of ours
  ino_t inode_ = 0;
};

struct UnixListener {
  UniqueFd socket;
  UnixSocketFile file;
};

// Non-blocking, close-on-exec, bound; the source address of replies can be chosen on it.
Result<UniqueFd> make_udp_socket(const ControlSocketConfig& config);
// Sets what the daemon needs on a datagram socket made by someone else.
Result<void> prepare_udp_socket(int fd, const std::string& text);

Result<UniqueFd> make_tcp_listener(const ControlSocketConfig& config);

// Something already at the path is deleted only when nothing can be lost: a socket that nobody
// listens on, or an empty regular file (scripts reserve the name with mktemp). Owner and mode are
// set as -u and -w say before anyone can connect.
Result<UnixListener> make_unix_listener(const ControlSocketConfig& config,
                                        const StartupConfig& startup);

// For descriptors that come from outside: must be a listening stream socket; made non-blocking
// and close-on-exec.
Result<void> prepare_inherited_listener(int fd, const std::string& text);

}  // namespace relay
