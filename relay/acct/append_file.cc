#include "relay/acct/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay/base/log.h"

namespace relay {
namespace {

// Of the open file, so that it also excludes other threads, and outlives no descriptor.
int set_lock(int fd, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;  // from 0 on, to the end whereever that is
  return ::fcntl(fd, F_OFD_SETLKW, &lock);
}

class WriteLock {
 public:
  explicit WriteLock(int fd) : fd_(fd), held_(set_lock(fd, F_WRLCK) == 0) {}
  ~WriteLock() {
    if (held_) set_lock(fd_, F_UNLCK);
  }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;
  bool held() const { return held_; }

 private:
  const int fd_;
  const bool held_;
};

}  // namespace

Error AppendFile::error(const char* what, int error_number) const {
  return Error{quoted(path_, 512) + ": " + what + ": " + std::strerror(error_number)};
}

Result<void> AppendFile::open() {
  // Without O_NONBLOCK a named pipe would wait for its reader here.
  UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
  open_error_ = fd ? 0 : errno;
  if (!fd) return tl::unexpected(error("cannot open", open_error_));
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return tl::unexpected(error("cannot look at it", errno));
  if (!S_ISREG(status.st_mode)) return fail(quoted(path_, 512) + ": expected a regular file");
  fd_ = std::move(fd);
  return {};
}

bool AppendFile::is_in_place() const {
  if (!fd_) return false;
  struct stat ours {};
  struct stat named {};
  return ::fstat(fd_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

Result<void> AppendFile::append(std::string_view row) {
  if (!is_in_place()) {
    if (auto opened = open(); !opened) return opened;
  }
  const WriteLock lock(fd_.get());
  if (!lock.held()) return tl::unexpected(error("cannot lock", errno));
  return append_locked(row);
}

Result<void> AppendFile::append_locked(std::string_view row) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) < 0) return tl::unexpected(error("cannot look at it", errno));
  std::string with_header;
  if (status.st_size == 0 && !header_.empty()) {
    with_header.append(header_).append(row);
    row = with_header;
  }
  const ssize_t written = ::write(fd_.get(), row.data(), row.size());
  if (written == static_cast<ssize_t>(row.size())) return {};
  const int error_number = written < 0 ? errno : ENOSPC;
  // Half a row would spoil the next one too.
  if (written > 0 && ::ftruncate(fd_.get(), status.st_size) < 0) {
    return tl::unexpected(error("a row was cut off and cannot be taken back", errno));
  }
  return tl::unexpected(error("cannot append", error_number));
}

}  // namespace relay
