#include "relay/base/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstdlib>

#include "relay/base/log.h"

namespace relay {
namespace {

Result<void> redirect_standard_streams() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return fail_errno("cannot open /dev/null");
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), stream) < 0) return fail_errno("cannot redirect the standard streams");
  }
  return {};
}

// The parent's part: one byte means the child is ready, end of file that it is not.
int wait_for_child(UniqueFd pipe, pid_t child) {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe.get(), &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) return 0;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return 1;
}

}  // namespace

Result<void> StartSignal::ready() {
  if (!pipe_) return {};
  if (redirect_) {
    if (auto redirected = redirect_standard_streams(); !redirected) return redirected;
  }
  const char byte = 1;
  ssize_t sent = 0;
  do {
    sent = ::write(pipe_.get(), &byte, 1);
  } while (sent < 0 && errno == EINTR);
  pipe_.reset();
  if (sent != 1) return fail_errno("cannot tell the parent process that the start is complete");
  return {};
}

Result<BackgroundStart> go_to_background(const BackgroundOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return fail_errno("cannot create a pipe");
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot go to the background");
  if (child > 0) {
    writing.reset();
    return BackgroundStart{wait_for_child(std::move(reading), child), {}};
  }
  reading.reset();
  // A fresh child leads no process group, so this cannot fail (setsid(2)).
  ::setsid();
  if (!options.keep_working_directory && ::chdir("/") < 0) return fail_errno("cannot chdir to /");
  return BackgroundStart{std::nullopt,
                         StartSignal(std::move(writing), !options.keep_standard_streams)};
}

Result<PidFile> PidFile::open(const std::string& path) {
  PidFile file;
  constexpr int kFlags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file.fd_ = UniqueFd(::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0644));
  file.created_ = file.fd_.valid();
  if (!file.fd_ && errno == EEXIST) file.fd_ = UniqueFd(::open(path.c_str(), kFlags));
  if (!file.fd_) return fail_errno(fmt::format("cannot open the pid file {}", quoted(path)));
  struct stat status {};
  if (::fstat(file.fd_.get(), &status) < 0 || !S_ISREG(status.st_mode)) {
    return fail(fmt::format("the pid file {} exists and is not a regular file", quoted(path)));
  }
  file.path_ = path;
  return file;
}

PidFile::PidFile(PidFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::move(other.fd_)),
      created_(std::exchange(other.created_, false)),
      owner_(std::exchange(other.owner_, 0)) {}

PidFile& PidFile::operator=(PidFile&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::move(other.path_);
    fd_ = std::move(other.fd_);
    created_ = std::exchange(other.created_, false);
    owner_ = std::exchange(other.owner_, 0);
  }
  return *this;
}

Result<void> PidFile::write() {
  if (!fd_) return {};
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd_.get(), 0) < 0 ||
      ::pwrite(fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(fmt::format("cannot write the pid file {}", quoted(path_)));
  }
  owner_ = ::getpid();
  return {};
}

void PidFile::remove() {
  if (!fd_) return;
  struct stat opened {};
  struct stat present {};
  const bool same = ::fstat(fd_.get(), &opened) == 0 && ::lstat(path_.c_str(), &present) == 0 &&
                    opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
  const bool ours = owner_ != 0 ? owner_ == ::getpid() : created_;
  // May fail after privileges were dropped; a stale pid file is no harm then.
  if (same && ours) ::unlink(path_.c_str());
  fd_.reset();
}

Result<UserIds> find_user(const std::string& name) {
  errno = 0;
  if (const passwd* entry = ::getpwnam(name.c_str())) return UserIds{entry->pw_uid, entry->pw_gid};
  return fail(fmt::format("there is no user {}", quoted(name)));
}

Result<gid_t> find_group(const std::string& name) {
  if (const group* entry = ::getgrnam(name.c_str())) return entry->gr_gid;
  return fail(fmt::format("there is no group {}", quoted(name)));
}

namespace {

Result<void> keep_only_bpf_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (const unsigned capability : {unsigned{CAP_BPF}, unsigned{CAP_NET_ADMIN}}) {
    sets[CAP_TO_INDEX(capability)].permitted |= CAP_TO_MASK(capability);
    sets[CAP_TO_INDEX(capability)].effective |= CAP_TO_MASK(capability);
  }
  if (::syscall(SYS_capset, &header, sets.data()) < 0) {
    return fail_errno("cannot keep CAP_BPF and CAP_NET_ADMIN for the fast path");
  }
  return {};
}

}  // namespace

Result<void> drop_privileges(const std::string& user, const std::string& group,
                             KeptCapabilities keep) {
  if (user.empty() && group.empty()) return {};
  UserIds ids{::geteuid(), ::getegid()};
  if (!user.empty()) {
    const auto found = find_user(user);
    if (!found) return tl::unexpected(found.error());
    ids = *found;
  }
  if (!group.empty()) {
    const auto found = find_group(group);
    if (!found) return tl::unexpected(found.error());
    ids.gid = *found;
  }
  const std::string who = fmt::format("{}:{}", user, group);
  if (::setgroups(1, &ids.gid) < 0) return fail_errno("cannot set the groups for " + who);
  if (::setgid(ids.gid) < 0) return fail_errno("cannot change to the group of " + who);
  if (user.empty()) return {};
  const bool keeps = keep == KeptCapabilities::bpf && ids.uid != 0;
  if (keeps && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fail_errno("PR_SET_KEEPCAPS");
  if (::setuid(ids.uid) < 0) return fail_errno("cannot change to the user of " + who);
  if (keeps) {
    if (auto kept = keep_only_bpf_capabilities(); !kept) return kept;
  }
  if (ids.uid != 0 && ::setuid(0) == 0) return fail("superuser privileges survived " + who);
  return {};
}

Result<rlim_t> set_open_files_limit(std::optional<int> limit) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) < 0) return fail_errno("cannot read the limit of files");
  if (limit) {
    files.rlim_cur = files.rlim_max = static_cast<rlim_t>(*limit);
  } else {
    files.rlim_cur = files.rlim_max;
  }
  if (::setrlimit(RLIMIT_NOFILE, &files) < 0) {
    return fail_errno(fmt::format("cannot set the limit of open files to {}", files.rlim_cur));
  }
  return files.rlim_cur;
}

Result<void> raise_core_limit() {
  rlimit core{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &core) == 0) return {};
  if (::getrlimit(RLIMIT_CORE, &core) == 0) {
    core.rlim_cur = core.rlim_max;
    if (::setrlimit(RLIMIT_CORE, &core) == 0) return {};
  }
  return fail_errno("cannot raise the limit of core files");
}

Result<void> set_nice(int nice) {
  if (::setpriority(PRIO_PROCESS, 0, nice) < 0) {
    return fail_errno(fmt::format("cannot set the scheduling priority to {}", nice));
  }
  return {};
}

Result<void> set_realtime_policy(const std::string& policy) {
  const int number = policy == "fifo" ? SCHED_FIFO : SCHED_RR;
  sched_param parameters{};
  parameters.sched_priority = ::sched_get_priority_max(number);
  if (::sched_setscheduler(0, number, &parameters) < 0) {
    return fail_errno("cannot set the realtime scheduling policy " + policy);
  }
  return {};
}

void enter_background_thread(const char* name) {
  pthread_setname_np(pthread_self(), name);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  const sched_param parameters{};
  ::sched_setscheduler(0, SCHED_OTHER, &parameters);  // to give it up is never refused
}

void ignore_broken_pipes() {
  std::signal(SIGPIPE, SIG_IGN);
}

void exit_at_once_on(int signal_number) {
  struct sigaction action {};
  action.sa_handler = [](int number) { ::_exit(128 + number); };
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal_number, &action, nullptr);
}

Result<bool> notify_service_manager(std::string_view state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return false;
  const std::string_view name(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((name[0] != '/' && name[0] != '@') || name.size() >= sizeof address.sun_path) {
    return fail(fmt::format("NOTIFY_SOCKET is {}, expected a path or @name", quoted(name)));
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace, unix(7)
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("cannot open a socket to the service manager");
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), length) < 0) {
    return fail_errno(fmt::format("cannot notify the service manager at {}", quoted(name)));
  }
  return true;
}

}  // namespace relay
