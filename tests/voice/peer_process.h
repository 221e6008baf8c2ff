// An endpoint of another hand as a child process: peer.py or peer.js.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <string>
#include <vector>

#include "relay/base/assert.h"
#include "relay/base/unique_fd.h"

extern char** environ;

namespace relay {

class PeerProcess {
 public:
  explicit PeerProcess(std::vector<std::string> words) {
    std::array<int, 2> in{}, out{};
    RELAY_ASSERT(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
    const UniqueFd child_in(in[0]), child_out(out[1]);
    input_ = UniqueFd(in[1]);
    output_ = UniqueFd(out[0]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, child_out.get(), 1);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    started_ = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    if (started_) read_port();
  }
  ~PeerProcess() { stop(); }
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  // 0: it does not serve; what it said instead is in said().
  int port() const { return port_; }
  const std::string& said() const { return said_; }

  // Ends its standard input; what it says until it ends.
  std::string finish() {
    input_.reset();
    std::string rest;
    std::array<char, 4096> piece{};
    for (ssize_t size; (size = ::read(output_.get(), piece.data(), piece.size())) > 0;) {
      rest.append(piece.data(), static_cast<size_t>(size));
    }
    return rest;
  }

 private:
  void read_port() {
    char c = 0;
    while (::read(output_.get(), &c, 1) == 1 && c != '\n') said_ += c;
    port_ = std::atoi(said_.c_str());
  }
  void stop() {
    if (!started_) return;
    input_.reset();
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid_ = 0;
  bool started_ = false;
  UniqueFd input_, output_;
  std::string said_;
  int port_ = 0;
};

}  // namespace relay
