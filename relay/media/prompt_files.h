// The prompts on disk: NAME.PT, raw payload as rtpp-makeann writes it, or NAME.wav, encoded when a
// payload type is first asked for. Only what lies in one of the configured directories is opened:
// neither `..` nor a symbolic link leads out. What was read stays in memory, within bounds, for as
// long as the file is the same. Control thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/media/prompt_audio.h"

namespace relay {

class PromptFiles {
 public:
  struct Bounds {
    // A larger file is refused: reading keeps the control thread busy. G.711: 35 minutes.
    size_t file_bytes = size_t{16} << 20;
    size_t wav_bytes = size_t{128} << 20;
    // Of what stays in memory, besides what is being played.
    size_t cache_bytes = size_t{64} << 20;
    size_t cache_files = 4096;
  };
  // Absolute paths; they are resolved anew each time, and need not exist yet.
  explicit PromptFiles(std::vector<std::string> directories);
  PromptFiles(std::vector<std::string> directories, const Bounds& bounds);

  // `name` is relative to one of the directories, or absolute and in one.
  Result<std::shared_ptr<const PromptAudio>> load(std::string_view name, uint8_t payload_type);
  bool has_directories() const { return !directories_.empty(); }
  size_t cached_files() const { return cache_.size(); }
  size_t cached_bytes() const { return cached_bytes_; }

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t modified_ns = 0;
    off_t bytes = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  struct Opened {
    UniqueFd file;
    std::string path;  // for people
    Identity identity;
  };
  struct Cached {
    Identity identity;
    std::shared_ptr<const PromptAudio> audio;
    uint64_t last_used = 0;
  };
  using Key = std::pair<std::string, AudioCodec>;

  Result<Opened> open(std::string_view name, std::string_view suffix) const;
  Result<std::shared_ptr<const PromptAudio>> load(const Opened& opened, AudioCodec codec,
                                                  bool is_wav);
  void keep(const Key& key, const Identity& identity, std::shared_ptr<const PromptAudio> audio);
  void forget(const Key& key);

  const std::vector<std::string> directories_;
  const Bounds bounds_;
  std::map<Key, Cached> cache_;
  size_t cached_bytes_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace relay
