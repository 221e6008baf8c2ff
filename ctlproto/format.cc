#include "ctlproto/format.h"

#include <array>
#include <string_view>

#include "ctlproto/text.h"

namespace ctlproto {
namespace {

void append_token(std::string& out, std::string_view token) {
  out += ' ';
  out += token;
}

void append_tags(std::string& out, std::string_view from_tag,
                 const std::optional<std::string>& to_tag) {
  append_token(out, from_tag);
  if (to_tag) append_token(out, *to_tag);
}

void append_local_address(std::string& out, const LocalAddress& local) {
  out += local.kind == LocalAddress::Kind::towards ? 'r' : 'l';
  if (local.kind == LocalAddress::Kind::label) {
    out += '{' + local.value + '}';
  } else if (local.value.find_first_not_of("0123456789.") != std::string::npos) {
    out += '[' + local.value + ']';
  } else {
    out += local.value;
  }
}

void append_codecs(std::string& out, const std::vector<uint8_t>& codecs) {
  out += 'c';
  if (codecs.empty()) out += ',';  // a bare `c` is an error unless it comes last
  for (size_t i = 0; i < codecs.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(codecs[i]);
  }
}

// Letters that take digits come last but for l and r: `r192.0.2.1` followed by 6 would eat it.
void append_modifiers(std::string& out, const MediaModifiers& modifiers) {
  if (modifiers.symmetry == Symmetry::asymmetric) out += 'a';
  if (modifiers.symmetry == Symmetry::symmetric) out += 's';
  for (const Direction direction : modifiers.directions) {
    out += direction == Direction::external ? 'e' : 'i';
  }
  if (modifiers.ipv6) out += '6';
  if (modifiers.weak) out += 'w';
  if (modifiers.new_port) out += 'n';
  if (modifiers.ptime_ms) out += 'z' + std::to_string(*modifiers.ptime_ms);
  if (modifiers.codecs) append_codecs(out, *modifiers.codecs);
  if (modifiers.local_address) append_local_address(out, *modifiers.local_address);
}

void append_media(std::string& out, const MediaAddress& media) {
  // One character is too short for an address of either family, and so reads as unusable again.
  append_token(out, media.kind == MediaAddress::Kind::unusable ? "-" : media.address);
  append_token(out, std::to_string(media.port));
}

struct SubCommandFormatter {
  std::string& out;
  void operator()(const SubDelete& command) const { out += command.weak ? "Dw" : "D"; }
  void operator()(const SubSet& command) const {
    out += command.on_out_stream ? "Sr" : "S";
    out += command.name == SubSet::Name::ttl_s ? " ttl=" : " tos=";
    out += std::to_string(command.value);
  }
  void operator()(const SubLookup& command) const {
    out += 'L';
    append_modifiers(out, command.modifiers);
    append_media(out, command.media);
  }
  void operator()(const SubFork& command) const {
    out += 'C';
    append_token(out, command.call_id);
    append_token(out, command.from_tag);
    append_token(out, command.to_tag);
  }
  void operator()(const SubModule& command) const {
    out += 'M' + std::to_string(command.module) + ':' + std::to_string(command.instance);
    for (const std::string& argument : command.arguments) append_token(out, argument);
  }
};

void append_subcommands(std::string& out, const std::vector<SubCommand>& subcommands) {
  for (const SubCommand& subcommand : subcommands) {
    out += " && ";
    std::visit(SubCommandFormatter{out}, subcommand);
  }
}

class RequestFormatter {
 public:
  explicit RequestFormatter(std::string& text) : out_(text) {}

  void operator()(const Update& request) const {
    out_ += 'U';
    append_modifiers(out_, request.modifiers);
    append_token(out_, request.call_id);
    append_media(out_, request.media);
    append_tags(out_, request.from_tag, request.to_tag);
    if (request.notification) {
      append_token(out_, request.notification->socket);
      append_token(out_, url_encode(request.notification->tag));
    }
    append_subcommands(out_, request.subcommands);
  }
  void operator()(const Lookup& request) const {
    out_ += 'L';
    append_modifiers(out_, request.modifiers);
    append_token(out_, request.call_id);
    append_media(out_, request.media);
    append_tags(out_, request.from_tag, request.to_tag);
    append_subcommands(out_, request.subcommands);
  }
  void operator()(const Delete& request) const {
    out_ += request.weak ? "Dw" : "D";
    append_token(out_, request.call_id);
    append_tags(out_, request.from_tag, request.to_tag);  // an empty from-tag makes the two blanks
  }
  void operator()(const Play& request) const {
    out_ += 'P' + std::to_string(request.count);
    append_token(out_, request.call_id);
    append_token(out_, request.name);
    append_token(out_, request.codecs ? std::string_view(*request.codecs) : "session");
    append_tags(out_, request.from_tag, request.to_tag);
  }
  void operator()(const StopPlay& request) const { with_tags("S", request); }
  void operator()(const Record& request) const {
    with_tags(request.single_file ? "Rs" : "R", request);
  }
  void operator()(const Copy& request) const {
    out_ += 'C';
    if (request.single_file) out_ += 's';
    if (request.report_port) out_ += 'p';
    append_token(out_, request.call_id);
    append_token(out_, request.target);
    append_tags(out_, request.from_tag, request.to_tag);
  }
  void operator()(const StopRecord& request) const {
    with_tags(request.both_directions ? "Na" : "N", request);
  }
  void operator()(const Query& request) const {
    with_tags(request.verbose ? "Qv" : "Q", request);
    for (const std::string& field : request.fields) append_token(out_, field);
    append_subcommands(out_, request.subcommands);
  }
  void operator()(const Version&) const { out_ += 'V'; }
  void operator()(const Feature& request) const { out_ += "VF " + request.date; }
  void operator()(const Info& request) const {
    out_ += 'I';
    if (request.brief) out_ += 'b';
    if (request.load) out_ += 'l';
  }
  void operator()(const Stats& request) const {
    out_ += request.verbose ? "Gv" : "G";
    for (const std::string& name : request.names) append_token(out_, name);
  }
  void operator()(const DeleteAll&) const { out_ += 'X'; }
  void operator()(const Json& request) const {
    constexpr std::array<std::string_view, 6> kWords = {"stats",  "sessions", "session",
                                                        "voices", "events",   "voicetest"};
    out_ += 'J';
    append_token(out_, kWords[static_cast<size_t>(request.what)]);
    if (!request.argument.empty()) append_token(out_, request.argument);
  }

 private:
  template <typename T>
  void with_tags(std::string_view verb, const T& request) const {
    out_ += verb;
    append_token(out_, request.call_id);
    append_tags(out_, request.from_tag, request.to_tag);
  }

  std::string& out_;
};

}  // namespace

std::string format_request(const Request& request) {
  std::string out;
  std::visit(RequestFormatter{out}, request);
  return out;
}

}  // namespace ctlproto
