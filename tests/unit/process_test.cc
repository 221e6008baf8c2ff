#include "relay/base/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

namespace fs = std::filesystem;

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Runs `body` in a child process; what waitpid says of it.
int run_in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

bool exited_with(int status, int code) {
  return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

struct Pipe {
  UniqueFd reading, writing;
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    reading = UniqueFd(ends[0]);
    writing = UniqueFd(ends[1]);
  }
  // Everything until the last writer is gone.
  std::string drain() {
    writing.reset();
    std::string text;
    char chunk[256];
    for (ssize_t got = 0; (got = ::read(reading.get(), chunk, sizeof chunk)) > 0;) {
      text.append(chunk, static_cast<size_t>(got));
    }
    return text;
  }
};

void say(const Pipe& pipe, const std::string& text) {
  if (::write(pipe.writing.get(), text.data(), text.size()) < 0) ::_exit(99);
}

// A program that goes to the background and there runs `daemon`.
int start_daemon(const BackgroundOptions& options,
                 const std::function<void(StartSignal&)>& daemon) {
  return run_in_child([&] {
    auto started = go_to_background(options);
    if (!started) return 98;
    if (started->exit_status) return *started->exit_status;
    daemon(started->signal);
    return 0;
  });
}

std::string where_am_i() {
  std::error_code ignored;
  std::string text = fs::current_path(ignored).string();
  text += ::getsid(0) == ::getpid() ? " leader" : " follower";
  struct stat standard_error {};
  struct stat null {};
  const bool is_null = ::fstat(STDERR_FILENO, &standard_error) == 0 &&
                       ::stat("/dev/null", &null) == 0 && standard_error.st_rdev == null.st_rdev &&
                       S_ISCHR(standard_error.st_mode);
  return text + (is_null ? " null" : " open");
}

// Gives standard error a descriptor that is certainly not /dev/null.
void open_standard_error() {
  UniqueFd file(::open(fs::temp_directory_path().c_str(), O_RDONLY | O_DIRECTORY));
  if (::dup2(file.get(), STDERR_FILENO) < 0) ::_exit(97);
}

}  // namespace

TEST_CASE("the parent learns that the daemon is ready") {
  Pipe pipe;
  const int status = start_daemon({}, [&](StartSignal& signal) {
    open_standard_error();
    say(pipe, where_am_i());
    say(pipe, signal.ready() ? " ready " : " failed ");
    say(pipe, where_am_i());
  });
  CHECK(exited_with(status, 0));
  CHECK(pipe.drain() == "/ leader open ready / leader null");
}

TEST_CASE("working directory and standard streams stay when asked for") {
  Pipe pipe;
  const int status = start_daemon({true, true}, [&](StartSignal& signal) {
    open_standard_error();
    (void)signal.ready();
    say(pipe, where_am_i());
  });
  CHECK(exited_with(status, 0));
  CHECK(pipe.drain() == fs::current_path().string() + " leader open");
}

TEST_CASE("the parent learns that the start failed") {
  struct Case {
    std::string description;
    std::function<void(StartSignal&)> daemon;
  };
  const std::vector<Case> cases = {
      {"the daemon returns without a word", [](StartSignal&) {}},
      {"the daemon exits with status 0", [](StartSignal&) { ::_exit(0); }},
      {"the daemon is killed", [](StartSignal&) { ::raise(SIGKILL); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(exited_with(start_daemon({}, c.daemon), 1));
  }
}

TEST_CASE("in the foreground nobody waits for ready") {
  StartSignal signal;
  CHECK(signal.ready().has_value());
}

TEST_CASE("a pid file appears, tells the process id and goes") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("relay.pid");
  {
    auto file = PidFile::open(path);
    REQUIRE(file.has_value());
    CHECK(read_text(path).empty());
    REQUIRE(file->write().has_value());
    CHECK(read_text(path) == std::to_string(::getpid()) + "\n");
    const PidFile moved = std::move(*file);
    file->remove();
    CHECK(fs::exists(path));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("an old pid file is replaced when the start is complete, not before") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("relay.pid");
  std::ofstream(path) << "1234567890 and more\n";
  {
    auto file = PidFile::open(path);
    REQUIRE(file.has_value());
  }
  CHECK(read_text(path) == "1234567890 and more\n");
  {
    auto file = PidFile::open(path);
    REQUIRE(file.has_value());
    REQUIRE(file->write().has_value());
    CHECK(read_text(path) == std::to_string(::getpid()) + "\n");
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a pid file that was never written is removed only by who created it") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("relay.pid");
  { REQUIRE(PidFile::open(path).has_value()); }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what is not a regular file is no pid file and is left alone") {
  const TemporaryDirectory directory;
  struct Case {
    std::string description, path;
  };
  const std::string fifo = directory.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  const std::string folder = directory.file("folder");
  fs::create_directory(folder);
  const std::string target = directory.file("target");
  std::ofstream(target) << "kept";
  const std::string link = directory.file("link");
  fs::create_symlink(target, link);
  const std::vector<Case> cases = {
      {"a pipe", fifo}, {"a directory", folder}, {"a symbolic link", link}};
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto file = PidFile::open(c.path);
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().message.find(c.path) != std::string::npos);
    CHECK(fs::exists(fs::symlink_status(c.path)));
  }
  CHECK(read_text(target) == "kept");
  CHECK_FALSE(PidFile::open(directory.file("no/such/folder.pid")).has_value());
}

TEST_CASE("a pid file somebody else put in place stays") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("relay.pid");
  {
    auto file = PidFile::open(path);
    REQUIRE(file.has_value());
    REQUIRE(file->write().has_value());
    std::ofstream(directory.file("other")) << "42\n";
    fs::rename(directory.file("other"), path);
  }
  CHECK(read_text(path) == "42\n");
}

TEST_CASE("a child process that ends does not take the pid file along") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("relay.pid");
  auto file = PidFile::open(path);
  REQUIRE(file.has_value());
  REQUIRE(file->write().has_value());
  CHECK(exited_with(run_in_child([&] {
                      file->remove();
                      return 0;
                    }),
                    0));
  CHECK(fs::exists(path));
}

TEST_CASE("privileges are dropped for good, or the start fails") {
  const auto user = find_user("nobody");
  REQUIRE(user.has_value());
  const int status = run_in_child([&] {
    const auto dropped = drop_privileges("nobody", "");
    if (::geteuid() != 0 && !dropped) return 77;  // an ordinary user may not change
    if (!dropped) return 1;
    gid_t groups[8];
    const int count = ::getgroups(8, groups);
    if (::getuid() != user->uid || ::geteuid() != user->uid || ::getgid() != user->gid) return 2;
    if (count != 1 || groups[0] != user->gid) return 3;
    return ::setuid(0) == 0 ? 4 : 0;
  });
  CHECK(exited_with(status, ::geteuid() == 0 ? 0 : 77));
}

TEST_CASE("without names privileges stay") {
  CHECK(exited_with(run_in_child([] { return drop_privileges("", "") ? 0 : 1; }), 0));
}

TEST_CASE("unknown users and groups are told by name") {
  CHECK(find_user("no-such-user").error().message == "there is no user \"no-such-user\"");
  CHECK(find_group("no-such-group").error().message == "there is no group \"no-such-group\"");
  CHECK(drop_privileges("no-such-user", "").error().message.find("no-such-user") !=
        std::string::npos);
  CHECK(drop_privileges("", "no-such-group").error().message.find("no-such-group") !=
        std::string::npos);
}

TEST_CASE("limits of open files") {
  CHECK(exited_with(run_in_child([] {
                      rlimit files{100, 200};
                      if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return 1;
                      if (set_open_files_limit(std::nullopt) != rlim_t{200}) return 2;
                      ::getrlimit(RLIMIT_NOFILE, &files);
                      return files.rlim_cur == 200 ? 0 : 3;
                    }),
                    0));
  CHECK(exited_with(run_in_child([] {
                      if (set_open_files_limit(64) != rlim_t{64}) return 1;
                      rlimit files{};
                      ::getrlimit(RLIMIT_NOFILE, &files);
                      return files.rlim_cur == 64 && files.rlim_max == 64 ? 0 : 2;
                    }),
                    0));
}

TEST_CASE("a limit the kernel refuses is an error that quotes it") {
  // Above fs.nr_open not even the superuser may go (setrlimit(2)).
  std::ifstream file("/proc/sys/fs/nr_open");
  long most = 0;
  file >> most;
  REQUIRE(most > 0);
  if (most >= 2'000'000'000) return;
  const int above = static_cast<int>(most) + 1;
  const auto set = set_open_files_limit(above);
  REQUIRE_FALSE(set.has_value());
  CHECK(set.error().message.find(std::to_string(above)) != std::string::npos);
}

TEST_CASE("core files and priority") {
  CHECK(exited_with(run_in_child([] {
                      if (!raise_core_limit()) return 1;
                      rlimit core{};
                      ::getrlimit(RLIMIT_CORE, &core);
                      return core.rlim_cur == core.rlim_max ? 0 : 2;
                    }),
                    0));
  CHECK(exited_with(run_in_child([] {
                      if (!set_nice(5)) return 1;
                      return ::getpriority(PRIO_PROCESS, 0) == 5 ? 0 : 2;
                    }),
                    0));
}

TEST_CASE("the signal that comes second ends the process at once") {
  const int status = run_in_child([] {
    exit_at_once_on(SIGTERM);
    ::raise(SIGTERM);
    return 0;
  });
  CHECK(exited_with(status, 128 + SIGTERM));
}

TEST_CASE("a broken pipe is an error, not the end") {
  const int status = run_in_child([] {
    ignore_broken_pipes();
    Pipe pipe;
    pipe.reading.reset();
    return ::write(pipe.writing.get(), "x", 1) < 0 && errno == EPIPE ? 0 : 2;
  });
  CHECK(exited_with(status, 0));
}

TEST_CASE("the service manager is told") {
  const TemporaryDirectory directory;
  struct Case {
    std::string description, address;
  };
  const std::vector<Case> cases = {
      {"a socket with a path", directory.file("notify")},
      {"an abstract socket", "@process_test." + std::to_string(::getpid())}};
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, c.address.data(), c.address.size());
    if (c.address[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + c.address.size());
    REQUIRE(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    ::setenv("NOTIFY_SOCKET", c.address.c_str(), 1);
    CHECK(notify_service_manager("READY=1") == true);
    char text[64];
    const ssize_t got = ::recv(manager.get(), text, sizeof text, 0);
    CHECK(std::string(text, static_cast<size_t>(std::max<ssize_t>(got, 0))) == "READY=1");
  }
  ::setenv("NOTIFY_SOCKET", "relative/path", 1);
  CHECK(notify_service_manager("READY=1").error().message.find("\"relative/path\"") !=
        std::string::npos);
  ::setenv("NOTIFY_SOCKET", directory.file("nobody").c_str(), 1);
  CHECK_FALSE(notify_service_manager("READY=1").has_value());
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(notify_service_manager("READY=1") == false);
}

}  // namespace relay
