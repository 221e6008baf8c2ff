#include "relay/media/record_directory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "relay/base/log.h"

namespace relay {
namespace {

constexpr unsigned kFileMode = 0666;  // less the umask, as rtpproxy

// FNV-1a. Whoever finds two texts with one hash has two recordings overwrite each other, which two
// calls with one call-id do anyway.
uint64_t hash(std::string_view text) {
  uint64_t result = 0xCBF29CE484222325;
  for (const char c : text) result = (result ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return result;
}

}  // namespace

Result<RecordDirectory> RecordDirectory::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("directory of recordings {}", quoted(path)));
  return RecordDirectory(path, std::move(fd));
}

Result<UniqueFd> RecordDirectory::create(const std::string& name) const {
  // A link or a device is not followed but replaced, and whoever reads the old file keeps it.
  if (::unlinkat(fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_errno(fmt::format("replace {} in {}", quoted(name, NAME_MAX), quoted(path_)));
  }
  open_how how{};
  how.flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  how.mode = kFileMode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, fd_.get(), name.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(fmt::format("create {} in {}", quoted(name, NAME_MAX), quoted(path_)));
  return fd;
}

void RecordDirectory::remove(const std::string& name) const {
  ::unlinkat(fd_.get(), name.c_str(), 0);
}

bool RecordDirectory::can_move_to(const RecordDirectory& to) const {
  const auto mount_of = [](const UniqueFd& fd) -> uint64_t {
    struct statx facts {};
    const int failed = ::statx(fd.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &facts);
    return failed == 0 ? facts.stx_mnt_id : 0;
  };
  return mount_of(fd_) == mount_of(to.fd_);
}

Result<void> RecordDirectory::move(const std::string& name, const RecordDirectory& to) const {
  if (::renameat(fd_.get(), name.c_str(), to.fd_.get(), name.c_str()) == 0) return {};
  return fail_errno(fmt::format("move {} from {} to {}", quoted(name, NAME_MAX), quoted(path_),
                                quoted(to.path_)));
}

std::string file_name(std::string_view stem, std::string_view suffix) {
  std::string name;
  for (const char c : stem) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '/' || byte < 0x20 || byte == 0x7F) {
      name += fmt::format("%{:02X}", byte);
    } else {
      name += c;
    }
  }
  if (name.size() + suffix.size() > NAME_MAX) {
    const std::string mark = fmt::format("~{:016x}", hash(stem));
    name.resize(NAME_MAX - suffix.size() - mark.size());
    name += mark;
  }
  return name.append(suffix);
}

std::string call_stem(std::string_view call_id, std::string_view tag) {
  const size_t semicolon = tag.find(';');
  std::string stem = fmt::format("{}={}", call_id, tag.substr(0, semicolon));
  if (semicolon == std::string_view::npos) return stem;
  const std::string_view number = tag.substr(tag.rfind(';') + 1);
  if (number != "1") stem.append(".").append(number);
  return stem;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

}  // namespace relay
