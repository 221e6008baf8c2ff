#include "tools/rtpp-extractaudio/sound_file.h"

#include <fmt/core.h>
#include <sndfile.h>

#include <algorithm>
#include <array>

namespace relay::tools {
namespace {

struct Name {
  std::string_view name;
  int code;
};

constexpr std::array kFileFormats{
    Name{"wav", SF_FORMAT_WAV},   Name{"aiff", SF_FORMAT_AIFF}, Name{"au", SF_FORMAT_AU},
    Name{"raw", SF_FORMAT_RAW},   Name{"paf", SF_FORMAT_PAF},   Name{"svx", SF_FORMAT_SVX},
    Name{"nist", SF_FORMAT_NIST}, Name{"voc", SF_FORMAT_VOC},   Name{"ircam", SF_FORMAT_IRCAM},
    Name{"w64", SF_FORMAT_W64},   Name{"mat4", SF_FORMAT_MAT4}, Name{"mat5", SF_FORMAT_MAT5},
    Name{"pvf", SF_FORMAT_PVF},   Name{"xi", SF_FORMAT_XI},     Name{"htk", SF_FORMAT_HTK},
    Name{"sds", SF_FORMAT_SDS},   Name{"avr", SF_FORMAT_AVR},   Name{"wavex", SF_FORMAT_WAVEX},
    Name{"sd2", SF_FORMAT_SD2},   Name{"flac", SF_FORMAT_FLAC}, Name{"caf", SF_FORMAT_CAF},
    Name{"wve", SF_FORMAT_WVE},   Name{"ogg", SF_FORMAT_OGG},   Name{"mpc2k", SF_FORMAT_MPC2K},
    Name{"rf64", SF_FORMAT_RF64},
};

constexpr std::array kDataFormats{
    Name{"pcm_s8", SF_FORMAT_PCM_S8},       Name{"pcm_16", SF_FORMAT_PCM_16},
    Name{"pcm_24", SF_FORMAT_PCM_24},       Name{"pcm_32", SF_FORMAT_PCM_32},
    Name{"pcm_u8", SF_FORMAT_PCM_U8},       Name{"float", SF_FORMAT_FLOAT},
    Name{"double", SF_FORMAT_DOUBLE},       Name{"ulaw", SF_FORMAT_ULAW},
    Name{"alaw", SF_FORMAT_ALAW},           Name{"ima_adpcm", SF_FORMAT_IMA_ADPCM},
    Name{"ms_adpcm", SF_FORMAT_MS_ADPCM},   Name{"gsm610", SF_FORMAT_GSM610},
    Name{"vox_adpcm", SF_FORMAT_VOX_ADPCM}, Name{"g721_32", SF_FORMAT_G721_32},
    Name{"g723_24", SF_FORMAT_G723_24},     Name{"g723_40", SF_FORMAT_G723_40},
    Name{"dwvw_12", SF_FORMAT_DWVW_12},     Name{"dwvw_16", SF_FORMAT_DWVW_16},
    Name{"dwvw_24", SF_FORMAT_DWVW_24},     Name{"dwvw_n", SF_FORMAT_DWVW_N},
    Name{"dpcm_8", SF_FORMAT_DPCM_8},       Name{"dpcm_16", SF_FORMAT_DPCM_16},
    Name{"vorbis", SF_FORMAT_VORBIS},       Name{"opus", SF_FORMAT_OPUS},
};

template <size_t count>
const Name* find(const std::array<Name, count>& names, std::string_view name) {
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const Name& n) { return n.name == name; });
  return found == names.end() ? nullptr : &*found;
}

template <size_t count>
std::string joined(const std::array<Name, count>& names) {
  std::string text;
  for (const Name& name : names) text += (text.empty() ? "" : " ") + std::string(name.name);
  return text;
}

SF_INFO info_of(const SoundFormat& format) {
  SF_INFO info{};
  info.samplerate = static_cast<int>(format.rate_hz);
  info.channels = format.channels;
  info.format = format.code;
  return info;
}

bool is_written(const SoundFormat& format) {
  const SF_INFO info = info_of(format);
  return sf_format_check(&info) == SF_TRUE;
}

}  // namespace

std::string file_format_names() {
  return joined(kFileFormats);
}

std::string data_format_names() {
  return joined(kDataFormats);
}

Result<SoundFormat> choose_format(std::string_view file, std::string_view data, int channels,
                                  uint32_t rate_hz) {
  const Name* file_name = find(kFileFormats, file);
  if (file_name == nullptr) {
    return fail(fmt::format("-F {}: expected one of {}", file, file_format_names()));
  }
  SoundFormat format{file_name->code, channels, rate_hz};
  if (data.empty()) {
    // The last ones are what formats without 16-bit samples have.
    for (const int code : {channels == 1 ? SF_FORMAT_GSM610 : SF_FORMAT_MS_ADPCM, SF_FORMAT_PCM_16,
                           SF_FORMAT_DPCM_16, SF_FORMAT_VORBIS, SF_FORMAT_ALAW}) {
      format.code = file_name->code | code;
      if (is_written(format)) return format;
    }
    return fail(fmt::format("-F {}: {} does not write it with {} channels at {} Hz", file,
                            sf_version_string(), channels, rate_hz));
  }
  const Name* data_name = find(kDataFormats, data);
  if (data_name == nullptr) {
    return fail(fmt::format("-D {}: expected one of {}", data, data_format_names()));
  }
  format.code |= data_name->code;
  if (is_written(format)) return format;
  return fail(fmt::format("-F {} -D {}: {} does not write them together with {} channels at {} Hz",
                          file, data, sf_version_string(), channels, rate_hz));
}

void SoundFile::Deleter::operator()(sf_private_tag* file) const {
  sf_close(file);
}

Result<SoundFile> SoundFile::create(const std::string& path, const SoundFormat& format) {
  SF_INFO info = info_of(format);
  Handle handle(sf_open(path.c_str(), SFM_WRITE, &info));
  if (handle == nullptr) return fail(fmt::format("{}: {}", path, sf_strerror(nullptr)));
  // Floating-point formats hold -1 to 1.
  sf_command(handle.get(), SFC_SET_SCALE_INT_FLOAT_WRITE, nullptr, SF_TRUE);
  return SoundFile(std::move(handle), path);
}

Result<void> SoundFile::write(std::span<const int16_t> samples) {
  const auto count = static_cast<sf_count_t>(samples.size());
  if (sf_write_short(handle_.get(), samples.data(), count) == count) return {};
  return fail(fmt::format("{}: {}", path_, sf_strerror(handle_.get())));
}

Result<void> SoundFile::close() {
  const int error = sf_close(handle_.release());
  if (error == SF_ERR_NO_ERROR) return {};
  return fail(fmt::format("{}: {}", path_, sf_error_number(error)));
}

}  // namespace relay::tools
