// Which commands are refused, and with which number. Rows were observed on rtpproxy 3.2 unless
// their sentence says otherwise.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "ctlproto/commands.h"
#include "ctlproto/error_codes.h"
#include "ctlproto/parse.h"

using namespace std::string_literals;

namespace ctlproto {
namespace {

constexpr int kAccepted = -1;

struct Case {
  std::string description;
  std::string command;
  int expected;  // the n of En, or kAccepted
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CAPTURE(c.command);
    const auto request = parse_request(c.command);
    CHECK((request ? kAccepted : request.error().code) == c.expected);
    if (!request) {
      CHECK_FALSE(request.error().message.empty());
      CHECK_FALSE(error_meaning(request.error().code).empty());
    }
  }
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("the checks come in rtpproxy's order") {
  check({
      {"nothing at all", "", 5},
      {"only separators", " \t\r\n", 5},
      {"a NUL behind the verb", "V\0"s, 5},
      {"a NUL in an argument", "D c\0id ft"s, 5},
      {"a NUL beats an unknown verb", "T\0"s, 5},
      {"23 tokens are read", "G" + repeated(" a", 22), kAccepted},
      {"a 24th token", "G" + repeated(" a", 23), 5},
      {"a 24th token beats an unknown verb", "T" + repeated(" a", 23), 5},
      {"15 sub-commands are read", "U c 192.0.2.1 4 ft" + repeated(" && S ttl=5", 15), kAccepted},
      {"a 16th sub-command", "U c 192.0.2.1 4 ft" + repeated(" && S ttl=5", 16), 5},
      {"a 24th token in a sub-command", "Q c ft && M3:1" + repeated(" a", 23), 5},
      {"an empty sub-command at the end", "Q c ft &&", 5},
      {"an empty sub-command in the middle", "Q c ft && && D", 5},
      {"nothing before the first &&", "&& D", 5},
      {"an unknown verb", "T", 0},
      {"a verb of another server", "K c ft", 0},
      {"an unknown verb beats its token count", "A a b c d e f", 0},
      {"LF is only a separator", "V\nck2 V\n", 1},
      {"too many tokens beat modifiers", "Xa b", 1},
      {"VF without a date", "Vf", 1},
      {"VF with letters and a date", "Vfgarbage x", 2},
      {"V with a letter", "Vx", 2},
      {"X with a letter", "Xa", 2},
      {"S with a letter", "Sx k ft", 2},
      {"modifiers beat sub-commands", "Xa && D", 2},
      {"V with a sub-command", "V && D", 3},
      {"D with a sub-command", "D a b && D", 3},
      {"G with a sub-command", "G && D", 3},
      {"a sub-command beats a bad modifier", "Dgarbage a b && D", 3},
      {"&&S is an argument", "G &&S", kAccepted},
  });
}

TEST_CASE("each verb has its token counts") {
  check({
      {"U of 4", "U c 192.0.2.1 4", 1},
      {"U of 9", "U c 192.0.2.1 4 f t s n x", 1},
      {"L of 4", "L c 192.0.2.1 4", 1},
      {"L of 7", "L c 192.0.2.1 4 f t x", 1},
      {"D of 2", "D c", 1},
      {"D of 5", "D c f t x", 1},
      {"P of 4", "P c n 0", 1},
      {"P of 7", "P c n 0 f t x", 1},
      {"S of 5", "S c f t x", 1},
      {"R of 2", "R c", 1},
      {"C of 3", "C c n", 1},
      {"C of 6", "C c n f t x", 1},
      {"N of 5", "N c f t x", 1},
      {"Q of 2", "Q c", 1},
      {"Q of 15 asks for 11 names", "Q c f t" + repeated(" ttl", 11), kAccepted},
      {"Q of 16", "Q c f t" + repeated(" ttl", 12), 1},
      {"I of 2", "I x", 1},
      {"X of 2", "X x", 1},
      {"J of 1 (ours)", "J", 1},
      {"J of 4 (ours)", "J sessions a b", 1},
      {"J stats takes no argument (ours)", "J stats a", 1},
      {"J session needs a call-id (ours)", "J session", 1},
      {"J voicetest needs a profile (ours)", "J voicetest", 1},
      {"J voices takes no argument (ours)", "J voices x", 1},
      {"J of an unknown word (ours)", "J nonsense", 0},
      {"J takes no letters (ours)", "Jx stats", 2},
      {"J takes no sub-commands (ours)", "J stats && D", 3},
  });
}

TEST_CASE("letters of U and L that are refused") {
  check({
      {"an unknown letter", "Ugarbage c 192.0.2.1 4 ft", 35},
      {"t of OpenSIPS", "Ut30T40 c 192.0.2.1 4 ft", 35},
      {"a third e", "Ueie c 192.0.2.1 4 ft", 11},
      {"a third i", "Ueii c 192.0.2.1 4 ft", 12},
      {"a third letter on L is ignored (ours)", "Leie c 192.0.2.1 4 ft", kAccepted},
      {"z of 0", "Uz0 c 192.0.2.1 4 ft", 13},
      {"z without digits", "Uz c 192.0.2.1 4 ft", 13},
      {"z of 1000", "Uz1000 c 192.0.2.1 4 ft", 13},
      {"z below 0", "Uz-5 c 192.0.2.1 4 ft", 13},
      {"z that overflows", "Uz99999999999999999999 c 192.0.2.1 4 ft", 13},
      {"z of 999", "Uz999 c 192.0.2.1 4 ft", kAccepted},
      {"c twice", "Uc8c0 c 192.0.2.1 4 ft", 14},
      {"an empty c, then c (ours)", "Uc,c c 192.0.2.1 4 ft", 14},
      {"an empty c before a letter", "Ucn c 192.0.2.1 4 ft", 14},
      {"l of nothing", "Ul c 192.0.2.1 4 ft", 15},
      {"l of an empty label", "Ul{} c 192.0.2.1 4 ft", 15},
      {"l of an open label", "Ul{foo c 192.0.2.1 4 ft", 15},
      {"l of IPv4 in brackets", "Ul[127.0.0.1] c 192.0.2.1 4 ft", 15},
      {"l of empty brackets", "Ul[] c 192.0.2.1 4 ft", 15},
      {"r of nothing", "Ur c 192.0.2.1 4 ft", 16},
      {"r of a host name", "Urlocalhost c 192.0.2.1 4 ft", 16},
      {"r of a label", "Ur{foo} c 192.0.2.1 4 ft", 16},
      {"r of IPv4 and a port", "Ur192.0.2.1:5 c 192.0.2.1 4 ft", 35},
      {"addresses are resolved later: l[1:2:3:4:5]", "Ul[1:2:3:4:5] c 192.0.2.1 4 ft", kAccepted},
      {"addresses are resolved later: r[1:2:3:4:5]", "Ur[1:2:3:4:5] c 192.0.2.1 4 ft", kAccepted},
      {"addresses are resolved later: l999.9.9.9", "Ul999.9.9.9 c 192.0.2.1 4 ft", kAccepted},
      {"all at once", "UR127.0.0.1z20c0,8N c 192.0.2.1 4 ft", kAccepted},
  });
}

TEST_CASE("letters of other commands that are refused") {
  check({
      {"D", "Dgarbage a b", 8},
      {"P", "Pgarbage c n 0 f", 17},
      {"P with letters behind digits", "P3x c n 0 f", 17},
      {"P of any integer", "P-1 c n session f", kAccepted},
      {"R", "Rgarbage c f", 7},
      {"p on R", "Rp c f", 6},
      {"Sippy's default record call", "RNone c f t", 7},
      {"C", "Cgarbage c n f", 7},
      {"N", "Nx c f", 7},
      {"a letter behind Na", "Nax c f", 6},
      {"Q", "Qg c f", 19},
      {"I", "Igarbage", 18},
      {"Ib", "Ib", kAccepted},
      {"G", "Ggarbage nsess_created", 9},
      {"names are looked up later", "G nonsense", kAccepted},
  });
}

TEST_CASE("media addresses that are refused") {
  check({
      {"an octet over 255", "U c 300.1.1.1 4 ft", 37},
      {"a host name as long as an address", "U c localhost 4 ft", 37},
      {"another one", "U c example 4 ft", 37},
      {"an IPv6 literal without 6, as long as an IPv4 one", "U c 2001:db8::5 4 ft", 37},
      {"a short text with 6", "U6 c bad 4 ft", 37},
      {"a port that is a word", "U c 192.0.2.1 abc ft", 37},
      {"a service name", "U c 192.0.2.1 http ft", 37},
      {"a port below 0", "U c 192.0.2.1 -1 ft", 37},
      {"letters behind the port", "U c 192.0.2.1 4000x ft", 37},
      {"L checks the same", "L c 300.1.1.1 4 ft tt", 37},
  });
}

TEST_CASE("notify tags that are refused") {
  check({
      {"a placeholder", "U c 192.0.2.1 4 f t tcp:192.0.2.9:3 %%RTPP_NS_MSG%%", 10},
      {"one digit", "U c 192.0.2.1 4 f t tcp:192.0.2.9:3 x%2", 10},
      {"no digit", "U c 192.0.2.1 4 f tcp:192.0.2.9:3 x%", 10},
      {"glued to the socket (ours)", "U c 192.0.2.1 4 f tcp:192.0.2.9:3;x%zz", 10},
      {"the tag comes before the letters", "Uq c 192.0.2.1 4 f t /run/sock x%2", 10},
      {"whether notification is configured is asked later", "U c 192.0.2.1 4 f t tcp:192.0.2.9:3 x",
       kAccepted},
  });
}

TEST_CASE("sub-commands that are refused") {
  check({
      {"S of 0", "U s1 192.0.2.1 4000 ft && S ttl=0", 3},
      {"S below 0", "U s1 192.0.2.1 4000 ft && S ttl=-3", 3},
      {"S with two letters", "U s1 192.0.2.1 4000 ft && Sxx ttl=5", 3},
      {"S with one odd letter", "U s1 192.0.2.1 4000 ft && Sx ttl=5", kAccepted},
      {"S of an upper-case name", "U s1 192.0.2.1 4000 ft && S TTL=5", 3},
      {"S of an unknown name", "U s1 192.0.2.1 4000 ft && S mtu=5", 3},
      {"S of no number", "U s1 192.0.2.1 4000 ft && S ttl=5s", 3},
      {"S of three tokens", "U s1 192.0.2.1 4000 ft && S ttl=5 x", 3},
      {"an unknown sub-command", "U s1 192.0.2.1 4000 ft && V", 3},
      {"D with an unknown letter", "U s1 192.0.2.1 4000 ft && Dx", 3},
      {"D with an argument", "U s1 192.0.2.1 4000 ft && D x", 3},
      {"L without a to-tag", "U s4 192.0.2.1 4000 ft && L 192.0.2.1 5000", 3},
      {"L with a bad port", "U s4 192.0.2.1 4000 ft tt && L 192.0.2.1 notaport", 3},
      {"L with a bad letter", "U s4 192.0.2.1 4000 ft tt && Lq 192.0.2.1 5000", 3},
      {"L of two tokens", "U s4 192.0.2.1 4000 ft tt && L 192.0.2.1", 3},
      {"L under L", "L s4 192.0.2.1 4000 ft tt && L 192.0.2.1 5000", 3},
      {"L under Q", "Q s4 ft tt && L 198.51.100.1 3", 3},
      {"C under Q", "Q s4 ft tt && C a b c", 3},
      {"C without a to-tag", "U s4 192.0.2.1 4000 ft && C nosuch a b", 3},
      {"C with a letter", "U s4 192.0.2.1 4000 ft tt && Cs nosuch a b", 3},
      {"C of three tokens", "U s4 192.0.2.1 4000 ft tt && C nosuch a", 3},
      {"M without numbers", "U s2 192.0.2.1 4000 ft && M S", 3},
      {"M of instance 0", "U s2 192.0.2.1 4000 ft && M4:0 S", 3},
      {"M of module 0", "U s2 192.0.2.1 4000 ft && M0:1 S", 3},
      {"the second of two", "U s1 192.0.2.1 4000 ft && S ttl=5 && S ttl=0", 3},
      {"the main command's own fault comes first", "Uq s1 192.0.2.1 4000 ft && S ttl=0", 35},
  });
}

TEST_CASE("a command of full length is read in one go") {
  const std::string nuls(kCommandBytesMax - 1, '\0');
  const std::string tag(kCommandBytesMax - 20, 'x');
  check({
      {"a tag that fills the buffer", "L c 192.0.2.1 4 " + tag, kAccepted},
      {"letters that fill the buffer",
       "U" + std::string(kCommandBytesMax - 30, '6') + " c 192.0.2.1 4 ft", kAccepted},
      {"NULs that fill the buffer", "U" + nuls, 5},
      {"addresses that fill the buffer", "U" + repeated("R::1", 2000) + " c 192.0.2.1 4 ft",
       kAccepted},
  });
}

TEST_CASE("the tables agree with themselves") {
  for (const CommandRow& row : kCommands) {
    CAPTURE(row.letters);
    CHECK(find_command(row.letters) == &row);
    CHECK(row.tokens_min <= row.tokens_max);
    CHECK(row.hint.starts_with(row.letters));
  }
  CHECK(find_command("vf") == find_command("VF"));
  CHECK(find_command("") == nullptr);
  CHECK(error_meaning(error::session_not_found) == "no such session, or nothing to do in it");
  CHECK(error_meaning(4).empty());
}

TEST_CASE("a message quotes what was wrong and stays short") {
  const auto request = parse_request("U c 192.0.2.1 port\x01\"" + std::string(5000, 'x') + " ft");
  REQUIRE_FALSE(request);
  CHECK(request.error().message.find("\"port\\x01\\\"xxx") != std::string::npos);
  CHECK(request.error().message.size() < 200);
}

TEST_CASE("a datagram is split at its cookie") {
  struct Split {
    std::string description, datagram, cookie, command;
  };
  const std::vector<Split> cases = {
      {"the usual form", "ck3 V", "ck3", "V"},
      {"blanks and a line end", "ck4  V\n", "ck4", "V"},
      {"a tab and CRLF", "ck5\tV\r\n", "ck5", "V"},
      {"a leading blank", " ck10 V", "ck10", "V"},
      {"nothing", "", "", ""},
      {"only a line end", "\n", "", ""},
      {"only a cookie", "ck1", "ck1", ""},
      {"a cookie and a blank", "ck2 ", "ck2", ""},
      {"a verb is taken as the cookie", "V", "V", ""},
      {"inner blanks are kept", "1_2 D cid  toB\n", "1_2", "D cid  toB"},
      {"a NUL in the command is the parser's to refuse", "ck8 V\0"s, "ck8", "V\0"s},
      {"a NUL in the cookie makes all of it malformed", "c\0k V"s, "c\0k"s, ""},
  };
  for (const Split& c : cases) {
    CAPTURE(c.description);
    const CookedCommand split = split_cookie(c.datagram);
    CHECK(split.cookie == c.cookie);
    CHECK(split.command == c.command);
  }
}

}  // namespace ctlproto
