// The directory recordings go to, and what their files are called. Whatever a call-id, a tag or a
// command's argument says, a file is made in the directory itself and nowhere else.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

// Any thread; may block on the file system.
class RecordDirectory {
 public:
  // Fails unless `path` is a directory. The directory stays the same one if it is moved later on.
  static Result<RecordDirectory> open(const std::string& path);

  // A new empty file, to be written; one that has the name loses it. A directory is not replaced.
  // `name` is a file_name().
  Result<UniqueFd> create(const std::string& name) const;
  void remove(const std::string& name) const;
  // Whether the two are on one mount, which move() takes.
  bool can_move_to(const RecordDirectory& to) const;
  Result<void> move(const std::string& name, const RecordDirectory& to) const;
  const std::string& path() const { return path_; }

 private:
  RecordDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;  // for messages
  UniqueFd fd_;
};

// `stem` and `suffix` as a file's name: `/` and control characters of the stem become %XX, and what
// is longer than a file's name may be is cut and told apart by a hash.
std::string file_name(std::string_view stem, std::string_view suffix);

// CALLID=TAG, or CALLID=TAG.N for the media of a call whose number N is not 1. `tag` is a session's
// from-tag, with number.
std::string call_stem(std::string_view call_id, std::string_view tag);

// What C may name: nothing with a `/`, and neither `.` nor `..`.
bool is_plain_name(std::string_view name);

}  // namespace relay
