// The output: any format libsndfile can write, chosen by the names rtpproxy's extractaudio has.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "relay/base/result.h"

struct sf_private_tag;

namespace relay::tools {

// libsndfile's code of a file format and of a sample format together.
struct SoundFormat {
  int code = 0;
  int channels = 1;
  uint32_t rate_hz = 8000;
};

// Names as -F and -D take them. An empty `data` stands for GSM 6.10, in stereo MS ADPCM, or, where
// the file format has no such thing, for what comes closest. Fails for unknown names and for what
// this libsndfile does not write.
Result<SoundFormat> choose_format(std::string_view file, std::string_view data, int channels,
                                  uint32_t rate_hz);

// All names, for messages and help.
std::string file_format_names();
std::string data_format_names();

class SoundFile {
 public:
  static Result<SoundFile> create(const std::string& path, const SoundFormat& format);
  // Whole frames: a sample a channel, interleaved.
  Result<void> write(std::span<const int16_t> samples);
  // Completes the file.
  Result<void> close();

 private:
  struct Deleter {
    void operator()(sf_private_tag* file) const;
  };
  using Handle = std::unique_ptr<sf_private_tag, Deleter>;
  SoundFile(Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}

  Handle handle_;
  std::string path_;
};

}  // namespace relay::tools
