// The process as the operating system sees it: background, pid file, privileges, limits, systemd.
// For start and stop of a program; before any thread exists unless said otherwise.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

// --- into the background ---

struct BackgroundOptions {
  bool keep_working_directory = false;  // else chdir("/")
  bool keep_standard_streams = false;   // else /dev/null, from ready() on
};

// The child's word to the waiting parent. Destroyed without ready(), or the process dying, makes
// the parent report failure.
class StartSignal {
 public:
  StartSignal() = default;  // foreground: nobody waits
  StartSignal(UniqueFd pipe, bool redirect) : pipe_(std::move(pipe)), redirect_(redirect) {}
  // The start is complete: lets go of the standard streams and of the parent. Once.
  Result<void> ready();

 private:
  UniqueFd pipe_;
  bool redirect_ = false;
};

struct BackgroundStart {
  std::optional<int> exit_status;  // the parent: exit with this now
  StartSignal signal;              // the child
};

// Forks. The child leads its own session. The parent returns when the child said ready() (status 0)
// or failed to start (status 1); the child's messages went to the parent's standard error till
// then.
Result<BackgroundStart> go_to_background(const BackgroundOptions& options);

// --- pid file ---

// Opened early, so that a bad path fails the start; written when the start is complete. Removed on
// destruction if the path is still the file it opened, by the process that wrote it.
class PidFile {
 public:
  PidFile() = default;  // none
  // Refuses anything that exists and is not a regular file; symbolic links too.
  static Result<PidFile> open(const std::string& path);
  PidFile(PidFile&& other) noexcept;
  PidFile& operator=(PidFile&& other) noexcept;
  ~PidFile() { remove(); }

  Result<void> write();  // the calling process's id
  void remove();

 private:
  std::string path_;
  UniqueFd fd_;
  bool created_ = false;  // by open(): removed even if nothing was written
  pid_t owner_ = 0;
};

// --- privileges ---

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;  // the primary group
};
Result<UserIds> find_user(const std::string& name);
Result<gid_t> find_group(const std::string& name);

// Either name may be empty. Without a group the user's primary group is taken; supplementary groups
// are dropped. Fails if root's privileges could be had back.
// `keep` may leave the calling thread CAP_BPF and CAP_NET_ADMIN, which changing maps of a kernel
// program takes (capabilities(7)); threads that exist already lose all.
enum class KeptCapabilities : uint8_t { none, bpf };
Result<void> drop_privileges(const std::string& user, const std::string& group,
                             KeptCapabilities keep = KeptCapabilities::none);

// --- limits and scheduling ---

// With a limit: soft and hard. Without: the soft limit is raised to the hard one. The new soft one.
Result<rlim_t> set_open_files_limit(std::optional<int> limit);
Result<void> raise_core_limit();
Result<void> set_nice(int nice);
// "fifo" or "rr", at the highest priority, for the calling thread and those it starts.
Result<void> set_realtime_policy(const std::string& policy);

// --- threads ---

// First thing in a thread that may wait for disks and networks: its name (up to 15 characters),
// no signals, and no realtime policy.
void enter_background_thread(const char* name);

// --- signals ---

// End the daemon; the second one ends it at once. As rtpproxy.
inline constexpr std::array kStopSignals{SIGTERM, SIGINT,  SIGUSR1,   SIGUSR2,
                                         SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF};
// A write to a closed connection is EPIPE, not the end.
void ignore_broken_pipes();
// From now on the signal ends the process at once with status 128 + its number. Any time.
void exit_at_once_on(int signal_number);

// --- systemd, sd_notify(3) ---

// Sends e.g. "READY=1" or "STATUS=…". False when no service manager listens.
Result<bool> notify_service_manager(std::string_view state);

}  // namespace relay
