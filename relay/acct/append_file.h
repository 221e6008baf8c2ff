// A file that rows are appended to while others read, rotate or write it: each row is one write
// under a write lock, and a file that was renamed or removed is made anew. One thread at a time;
// calls wait for the disk and for the lock.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

class AppendFile {
 public:
  // `header` is what a file that is empty begins with.
  AppendFile(std::string path, std::string header)
      : path_(std::move(path)), header_(std::move(header)) {}

  // Makes the file if need be, with mode 0644 less the umask.
  Result<void> open();
  // All of `row`, or nothing and an error.
  Result<void> append(std::string_view row);
  // Why open() failed, as errno.
  int open_error() const { return open_error_; }

 private:
  bool is_in_place() const;
  Result<void> append_locked(std::string_view row);
  Error error(const char* what, int error_number) const;

  std::string path_, header_;
  UniqueFd fd_;
  int open_error_ = 0;
};

}  // namespace relay
