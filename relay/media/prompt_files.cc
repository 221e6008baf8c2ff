#include "relay/media/prompt_files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "relay/base/log.h"
#include "relay/media/wav_encoder.h"

namespace relay {
namespace {

constexpr std::string_view kWavSuffix = ".wav";
constexpr int kRaceTries = 16;

// Beneath `directory` whatever the path says; nothing leads out of the root, where links are
// followed. Again while somebody renames directories under us (openat2(2), EAGAIN).
UniqueFd open_beneath(int directory, const std::string& path, bool is_root) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how.resolve = (is_root ? RESOLVE_IN_ROOT : RESOLVE_BENEATH) | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kRaceTries; ++i) {
    const long fd = ::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return UniqueFd();
}

// What is left of an absolute path inside `directory`.
std::optional<std::string_view> path_in(std::string_view directory, std::string_view path) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.remove_suffix(1);
  if (!path.starts_with(directory)) return std::nullopt;
  path.remove_prefix(directory.size());
  if (!directory.ends_with('/') && !path.starts_with('/')) return std::nullopt;
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

Result<std::vector<std::byte>> read_all(int file, size_t bytes) {
  std::vector<std::byte> content(bytes);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::read(file, content.data() + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

}  // namespace

PromptFiles::PromptFiles(std::vector<std::string> directories)
    : PromptFiles(std::move(directories), Bounds()) {}

PromptFiles::PromptFiles(std::vector<std::string> directories, const Bounds& bounds)
    : directories_(std::move(directories)), bounds_(bounds) {}

Result<std::shared_ptr<const PromptAudio>> PromptFiles::load(std::string_view name,
                                                             uint8_t payload_type) {
  const auto codec = prompt_codec(payload_type);
  if (!codec) return fail(fmt::format("payload type {} cannot be played", payload_type));
  auto raw = open(name, fmt::format(".{}", payload_type));
  if (raw) return load(*raw, *codec, false);
  if (!can_transcode(*codec)) return tl::unexpected(raw.error());
  const auto wav = open(name, name.ends_with(kWavSuffix) ? "" : kWavSuffix);
  if (wav) return load(*wav, *codec, true);
  return fail(fmt::format("{}, {}", raw.error().message, wav.error().message));
}

// In the first of the directories that has it.
Result<PromptFiles::Opened> PromptFiles::open(std::string_view name,
                                              std::string_view suffix) const {
  Error error{fmt::format("{}{} is in none of the prompt directories", quoted(name), suffix)};
  for (const std::string& directory : directories_) {
    const bool is_absolute = name.starts_with('/');
    const auto inside = is_absolute ? path_in(directory, name) : name;
    if (!inside) continue;
    const UniqueFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
      error = fail_errno(fmt::format("prompt directory {}", quoted(directory))).value();
      continue;
    }
    const std::string path = fmt::format("{}{}", *inside, suffix);
    const bool is_root = directory == "/";
    Opened opened{
        open_beneath(root.get(), path, is_root), is_root ? "/" + path : directory + "/" + path, {}};
    if (!opened.file) {
      // EXDEV: it leads out of the directory.
      const char* why = errno == EXDEV ? "leads out of the directory" : std::strerror(errno);
      error = Error{fmt::format("{}: {}", quoted(opened.path), why)};
      continue;
    }
    struct stat status {};
    if (::fstat(opened.file.get(), &status) < 0 || !S_ISREG(status.st_mode)) {
      error = Error{fmt::format("{}: not a regular file", quoted(opened.path))};
      continue;
    }
    opened.identity = {status.st_dev, status.st_ino,
                       int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
                       status.st_size};
    return opened;
  }
  return tl::unexpected(std::move(error));
}

Result<std::shared_ptr<const PromptAudio>> PromptFiles::load(const Opened& opened, AudioCodec codec,
                                                             bool is_wav) {
  const Key key{opened.path, codec};
  const auto cached = cache_.find(key);
  if (cached != cache_.end() && cached->second.identity == opened.identity) {
    cached->second.last_used = ++uses_;
    return cached->second.audio;
  }
  forget(key);
  const size_t bytes_max = is_wav ? bounds_.wav_bytes : bounds_.file_bytes;
  const auto bytes = static_cast<size_t>(opened.identity.bytes);
  const auto in_file = [&](Error error) { return with_context(quoted(opened.path), error); };
  if (bytes > bytes_max) {
    return tl::unexpected(
        in_file({fmt::format("{} bytes, expected at most {}", bytes, bytes_max)}));
  }
  auto payload = is_wav ? encode_wav(opened.file.get(), codec) : read_all(opened.file.get(), bytes);
  if (!payload) return tl::unexpected(in_file(std::move(payload.error())));
  auto audio = std::make_shared<const PromptAudio>(PromptAudio{codec, std::move(*payload)});
  keep(key, opened.identity, audio);
  return audio;
}

// Those used longest ago make room.
void PromptFiles::keep(const Key& key, const Identity& identity,
                       std::shared_ptr<const PromptAudio> audio) {
  const size_t bytes = audio->payload.size();
  if (bytes > bounds_.cache_bytes || bounds_.cache_files == 0) return;
  while (cached_bytes_ + bytes > bounds_.cache_bytes || cache_.size() >= bounds_.cache_files) {
    const auto oldest = std::min_element(
        cache_.begin(), cache_.end(),
        [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
    cached_bytes_ -= oldest->second.audio->payload.size();
    cache_.erase(oldest);
  }
  cached_bytes_ += bytes;
  cache_[key] = {identity, std::move(audio), ++uses_};
}

void PromptFiles::forget(const Key& key) {
  const auto found = cache_.find(key);
  if (found == cache_.end()) return;
  cached_bytes_ -= found->second.audio->payload.size();
  cache_.erase(found);
}

}  // namespace relay
