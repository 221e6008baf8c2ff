#include "relay/voice/doubao_frame.h"

namespace relay {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kFlagSequence = 0b0001;
constexpr uint8_t kFlagsEvent = 0b0100;
constexpr uint8_t kJson = 1;

using Event = DoubaoFrame::Event;
using Type = DoubaoFrame::Type;

// Reads from the front; after a read beyond the end everything is zero and good() false.
class Cursor {
 public:
  explicit Cursor(Octets rest) : rest_(rest) {}

  uint32_t number() {
    const Octets four = take(4);
    if (!good_) return 0;
    return uint32_t{four[0]} << 24 | uint32_t{four[1]} << 16 | uint32_t{four[2]} << 8 | four[3];
  }
  Octets sized() { return take(number()); }
  Octets take(size_t count) {
    if (count > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const Octets taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }
  Octets rest() const { return rest_; }

 private:
  Octets rest_;
  bool good_ = true;
};

std::string_view as_text(Octets octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

// The client's connection events carry no id, all others one: of the connection or the session.
bool has_id(Event event) {
  return event != Event::start_connection && event != Event::finish_connection;
}

void read_event(Cursor& cursor, DoubaoFrame& frame) {
  frame.event = static_cast<Event>(cursor.number());
  if (has_id(frame.event)) frame.id = as_text(cursor.sized());
}

enum class ErrorOrder : uint8_t { code_first, event_first, code_only };

bool read_error(Cursor cursor, uint8_t flags, ErrorOrder order, DoubaoFrame& frame) {
  DoubaoFrame read = frame;
  const bool has_event = flags == kFlagsEvent && order != ErrorOrder::code_only;
  if (has_event && order == ErrorOrder::event_first) read_event(cursor, read);
  read.error_code = cursor.number();
  if ((flags & kFlagSequence) != 0) read.sequence = static_cast<int32_t>(cursor.number());
  if (has_event && order == ErrorOrder::code_first) read_event(cursor, read);
  read.payload = cursor.sized();
  if (!cursor.good() || !cursor.at_end()) return false;
  frame = read;
  return true;
}

void parse_error(Cursor cursor, uint8_t flags, DoubaoFrame& frame) {
  for (const ErrorOrder order :
       {ErrorOrder::code_first, ErrorOrder::event_first, ErrorOrder::code_only}) {
    if (read_error(cursor, flags, order, frame)) return;
  }
  if (cursor.rest().size() >= 4) frame.error_code = cursor.number();
  frame.payload = cursor.rest();
}

bool is_known(Type type) {
  switch (type) {
    case Type::full_request:
    case Type::audio_request:
    case Type::full_response:
    case Type::audio_response:
    case Type::error:
      return true;
  }
  return false;
}

void append_number(std::vector<uint8_t>& out, size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<uint8_t>(value >> shift & 0xFF));
  }
}

}  // namespace

std::optional<DoubaoFrame> parse_doubao_frame(Octets bytes) {
  if (bytes.size() < 4 || bytes[0] >> 4 != kVersion) return std::nullopt;
  const size_t header_octets = size_t{bytes[0]} % 16 * 4;
  const auto flags = static_cast<uint8_t>(bytes[1] % 16);
  DoubaoFrame frame;
  frame.type = static_cast<Type>(bytes[1] >> 4);
  frame.is_json = bytes[2] >> 4 == kJson;
  const bool is_compressed = bytes[2] % 16 != 0;
  if (header_octets < 4 || header_octets > bytes.size() || is_compressed || !is_known(frame.type)) {
    return std::nullopt;
  }
  Cursor cursor(bytes.subspan(header_octets));
  if (frame.type == Type::error) {
    parse_error(cursor, flags, frame);
    return frame;
  }
  if ((flags & kFlagSequence) != 0) frame.sequence = static_cast<int32_t>(cursor.number());
  if (flags == kFlagsEvent) read_event(cursor, frame);
  frame.payload = cursor.sized();
  if (!cursor.good()) return std::nullopt;
  return frame;
}

void encode_doubao_frame(const DoubaoFrame& frame, std::vector<uint8_t>& out) {
  out.clear();
  out.push_back(kVersion << 4 | 1);
  out.push_back(static_cast<uint8_t>(static_cast<uint8_t>(frame.type) << 4 | kFlagsEvent));
  out.push_back(static_cast<uint8_t>((frame.is_json ? kJson : 0) << 4));
  out.push_back(0);
  append_number(out, static_cast<uint32_t>(frame.event));
  if (has_id(frame.event)) {
    append_number(out, frame.id.size());
    out.insert(out.end(), frame.id.begin(), frame.id.end());
  }
  append_number(out, frame.payload.size());
  out.insert(out.end(), frame.payload.begin(), frame.payload.end());
}

}  // namespace relay
