#include <fmt/core.h>

#include <charconv>

#include "relay/base/log.h"
#include "tools/rtpp-load/bencode.h"
#include "tools/rtpp-load/signalling.h"

namespace relay::tools {
namespace {

std::optional<uint16_t> number_at(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 1 || value > 65535) return std::nullopt;
  return static_cast<uint16_t>(value);
}

}  // namespace

Result<SdpAudio> parse_sdp_audio(std::string_view sdp) {
  std::optional<uint16_t> port, rtcp_port;
  std::optional<IpAddress> address;
  while (!sdp.empty()) {
    const size_t end = sdp.find('\n');
    std::string_view line = sdp.substr(0, end);
    sdp.remove_prefix(end == std::string_view::npos ? sdp.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("c=IN IP")) {
      address = IpAddress::parse(line.substr(line.rfind(' ') + 1));
    } else if (line.starts_with("m=audio ")) {
      port = number_at(line.substr(8));
    } else if (line.starts_with("a=rtcp:")) {
      rtcp_port = number_at(line.substr(7));
    }
  }
  if (!port || !address) return fail("the SDP names no usable audio address and port");
  SdpAudio audio{{*address, *port}, {*address, 0}};
  const auto above = audio.rtp.with_port_offset(1);
  if (!rtcp_port && !above) return fail(fmt::format("port {} leaves none for RTCP", *port));
  audio.rtcp.port = rtcp_port ? *rtcp_port : above->port;
  return audio;
}

namespace {

std::string sdp_of(const Endpoint& phone) {
  const char* family = phone.address.is_ipv6() ? "IP6" : "IP4";
  const std::string address = phone.address.to_string();
  return fmt::format(
      "v=0\r\no=- 1 1 IN {} {}\r\ns=-\r\nc=IN {} {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n"
      "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n",
      family, address, family, address, phone.port);
}

// offer tells of phone A and answers where B sends; answer tells of B and answers where A sends.
class NgSignalling final : public Signalling {
 public:
  explicit NgSignalling(ControlClient& client) : Signalling(client) {}

  void set_up(Call& call, Done done) override { offer_and_answer(call, false, std::move(done)); }
  void move(Call& call, Done done) override { offer_and_answer(call, true, std::move(done)); }

  void tear_down(const Call& call, Done done) override {
    // Without delete-delay rtpengine keeps the ports of the call for another 30 s.
    const std::string command = BencodeDictionary()
                                    .add("command", "delete")
                                    .add("call-id", call.call_id)
                                    .add("from-tag", fmt::format("from{}", call.index))
                                    .add("delete-delay", 0)
                                    .to_string();
    ask(command, [this, done = std::move(done)](auto reply) {
      const auto fields = take_ok(reply, done);
      if (fields) done({});
    });
  }

 private:
  void offer_and_answer(Call& call, bool again, Done done) {
    ask(media_command("offer", call, 0, again), [this, &call, done = std::move(done)](auto reply) {
      if (!take_sdp(reply, call.phones[1], done)) return;
      ask(media_command("answer", call, 1, true), [this, &call, done](auto second) {
        if (take_sdp(second, call.phones[0], done)) done({});
      });
    });
  }

  static std::string media_command(std::string_view command, const Call& call, size_t side,
                                   bool to_is_known) {
    BencodeDictionary dictionary;
    dictionary.add("command", command)
        .add("call-id", call.call_id)
        .add("from-tag", fmt::format("from{}", call.index))
        .add("sdp", sdp_of(call.phones[side].signalled))
        .add("ICE", "remove")
        .add_list("flags", {"trust-address"})
        .add_list("replace", {"origin", "session-connection"});
    if (to_is_known) dictionary.add("to-tag", fmt::format("to{}", call.index));
    return dictionary.to_string();
  }

  std::optional<std::map<std::string, std::string>> take_ok(const Result<std::string>& reply,
                                                            const Done& done) {
    if (!reply) {
      done(tl::unexpected(reply.error()));
      return std::nullopt;
    }
    auto fields = parse_bencode_strings(*reply);
    if (!fields || (*fields)["result"] != "ok") {
      ++counters_.refused;
      done(fail(fmt::format("the relay answered {}", quoted(*reply))));
      return std::nullopt;
    }
    return fields;
  }

  bool take_sdp(const Result<std::string>& reply, Phone& sender, const Done& done) {
    auto fields = take_ok(reply, done);
    if (!fields) return false;
    const auto audio = parse_sdp_audio((*fields)["sdp"]);
    if (!audio) {
      ++counters_.refused;
      done(tl::unexpected(audio.error()));
      return false;
    }
    sender.relay_rtp = audio->rtp;
    sender.relay_rtcp = audio->rtcp;
    return true;
  }
};

}  // namespace

std::unique_ptr<Signalling> make_ng_signalling(ControlClient& client) {
  return std::make_unique<NgSignalling>(client);
}

}  // namespace relay::tools
