// rtpproxy's modules: --dso, its configuration file, and our own options for the same.
#include <string>

#include "relay/config/modules.h"
#include "relay/config/rtpproxy_file.h"
#include "relay/config/ucl_text.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/config_support.h"

namespace relay {
namespace {

// "key=value" or "key{…}" for each member.
std::string flat(const std::vector<UclMember>& members) {
  std::string text;
  for (const UclMember& member : members) {
    const auto kind = member.value.kind;
    const bool list = kind == UclValue::Kind::object || kind == UclValue::Kind::array;
    text += member.key;
    text += list ? "{" + flat(member.value.members) + "}" : "=" + member.value.text;
    if (kind == UclValue::Kind::number) text += '#';
    if (kind == UclValue::Kind::boolean) text += '?';
    text += ' ';
  }
  return text;
}

}  // namespace

TEST_CASE("UCL text as values") {
  struct Case {
    std::string description;
    std::string text;
    std::string values;
  };
  const std::vector<Case> cases = {
      {"nothing", "", ""},
      {"a section", "modules { a { load = /x/y.so; } }", "modules{a{load=/x/y.so } } "},
      {"separators of all kinds", "a = 1, b: 2; c 3\nd=4", "a=1# b=2# c=3# d=4# "},
      {"braces on their own line", "modules\n{\n  a\n  {\n  }\n}\n", "modules{a{} } "},
      {"JSON", R"({"modules": {"a": {"capt_port": 9060, "capt_host": "h"}}})",
       "modules{a{capt_port=9060# capt_host=h } } "},
      {"a named section", "modules acct_csv { x = y }", "modules{acct_csv{x=y } } "},
      {"a quoted name of a section", "modules \"a b\" {}", "modules{a b{} } "},
      {"comments", "# one\na = b # two\n/* three /* nested */ */ c = d /* four */\n", "a=b c=d "},
      {"a hash inside a value", "a = b#c\n", "a=b#c "},
      {"quotes", "a = \"x; y\\t\\\"z\\\"\"; b = 'it\\'s; #'", "a=x; y\t\"z\" b=it's; # "},
      {"a quoted number is a string", "a = \"9060\"", "a=9060 "},
      {"numbers", "a = -5; b = 0x1F; c = 10k; d = 2.5s; e = 5x",
       "a=-5# b=0x1F# c=10k# d=2.5s# e=5x "},
      {"booleans", "a = yes; b = off; c = true; d = maybe", "a=yes? b=off? c=true? d=maybe "},
      {"an array", "a = [ x, \"y z\", { b = 1 } ]", "a{=x =y z {b=1# } } "},
      {"a key twice", "a { x = 1 } a { x = 2 }", "a{x=1# } a{x=2# } "},
      {"carriage returns", "a = b\r\nc = d\r\n", "a=b c=d "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto members = parse_ucl(c.text, "x.conf");
    REQUIRE_MESSAGE(members.has_value(), (members ? "" : members.error().message));
    CHECK(flat(*members) == c.values);
  }
}

TEST_CASE("text that is no UCL") {
  struct Case {
    std::string description;
    std::string text;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"a section without an end", "modules {\n a {\n}\n", "x.conf:1: the section opened here"},
      {"a brace too many", "modules {\n}\n}\n", "x.conf:3: \"}\": expected the name of a key"},
      {"a string without an end", "a = \"x\n", "x.conf:1: the string does not end"},
      {"a single-quoted string without an end", "a = 'x\n", "the string does not end"},
      {"a comment without an end", "a = b\n/* x\n", "x.conf:2: the comment does not end"},
      {"an array without an end", "a = [ b", "expected ]"},
      {"no value", "a = ;", "x.conf:1: the value is missing"},
      {"no value at the end", "\n\na", "x.conf:3: the value is missing"},
      {"a macro", ".include \"/etc/x\"", "macros such as .include are not understood"},
      {"a here-document", "a = <<EOD\nx\nEOD\n", "here-documents are not understood"},
      {"an unknown escape", "a = \"\\q\"", "unknown escape"},
      {"something behind the braces", "{ a = b } c = d", "nothing more is expected"},
      {"no key", "= b", "expected the name of a key"},
      {"too deep", std::string(5000, '{') + "a", "name of a key"},
      {"named sections too deep",
       [] {
         std::string text;
         for (int i = 0; i < 5000; ++i) text += "a { ";
         return text;
       }(),
       "nested too deep"},
      {"arrays too deep", "a = " + std::string(5000, '['), "nested too deep"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto members = parse_ucl(c.text, "x.conf");
    REQUIRE_FALSE(members.has_value());
    CAPTURE(members.error().message);
    CHECK(contains(members.error().message, c.message));
  }
}

TEST_CASE("which files are rtpproxy's") {
  CHECK(is_rtpproxy_text("modules {\n}\n"));
  CHECK(is_rtpproxy_text("# rtpproxy\n  modules\n  {\n"));
  CHECK(is_rtpproxy_text("{ \"modules\": {} }"));
  CHECK(is_rtpproxy_text("pidfile = x\n\"modules\" = {"));
  CHECK_FALSE(is_rtpproxy_text(""));
  CHECK_FALSE(is_rtpproxy_text("[modules]\nacct_csv = 1\n"));
  CHECK_FALSE(is_rtpproxy_text("[media]\naddresses = [\n\"modules\",\n]\n"));
  CHECK_FALSE(is_rtpproxy_text("[media]\nmodules_max = 3\n"));
}

TEST_CASE("rtpproxy's file turns the functions of its modules on") {
  struct Case {
    std::string description;
    std::string text;
    bool (*holds)(const StartupConfig&);
  };
  const std::vector<Case> cases = {
      {"acct_csv, its file in the current directory", "modules { acct_csv { } }",
       [](const StartupConfig& c) {
         return c.acct_csv_file.ends_with("/rtpproxy_acct.csv") && c.acct_csv_file[0] == '/' &&
                c.modules.exists(1, 1);
       }},
      {"load decides which module it is",
       "modules { mine { load = \"/opt/lib/rtpp_catch_dtmf_debug.so\" } }",
       [](const StartupConfig& c) { return c.modules.exists(3, 1) && c.notices.empty(); }},
      {"a module twice", "modules { catch_dtmf {}\n again { load = rtpp_catch_dtmf.so } }",
       [](const StartupConfig& c) { return c.modules.exists(3, 2) && !c.modules.exists(3, 3); }},
      {"a collector",
       "modules { acct_rtcp_hep { capt_host = 192.0.2.7; capt_port = 9061; capt_ptype = tcp; "
       "capt_id = 4294967295 } }",
       [](const StartupConfig& c) {
         const HepCollectorConfig& hep = c.hep_collectors.at(0);
         return hep.tcp && hep.endpoint.to_string() == "192.0.2.7:9061" &&
                hep.capture_id == 0xFFFFFFFF && c.modules.exists(2, 1);
       }},
      {"a collector of IPv6, the rest by default",
       "modules { acct_rtcp_hep { capt_host = \"2001:db8::7\" } }",
       [](const StartupConfig& c) {
         const HepCollectorConfig& hep = c.hep_collectors.at(0);
         return !hep.tcp && hep.endpoint.to_string() == "[2001:db8::7]:9060" && hep.capture_id == 0;
       }},
      {"modules that do nothing here", "modules { dtls_gw {} ice_lite {} }",
       [](const StartupConfig& c) {
         return c.notices.size() == 2 && !c.modules.exists(4, 1) && !c.modules.exists(5, 1);
       }},
      {"other keys of the file are not looked at", "other = { x = y }\nmodules {\n}\n",
       [](const StartupConfig& c) { return c.acct_csv_file.empty(); }},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string path = directory.write("rtpproxy.conf", c.text);
    CHECK(c.holds(parse_good({"--config", path}).startup));
  }
}

TEST_CASE("rtpproxy's file is refused with its place") {
  struct Case {
    std::string description;
    std::string text;
    std::string message;  // behind the file's name
  };
  const std::vector<Case> cases = {
      {"broken syntax", "modules {\n acct_csv {\n", ":2: the section opened here does not end"},
      {"an unknown module", "modules {\n badmod1 { }\n}",
       ":2: modules.badmod1: \"badmod1\": unknown"},
      {"an unknown module's path", "modules {\n x {\n load = /x/rtpp_badmod2.so\n }\n}",
       ":3: modules.x.load: \"/x/rtpp_badmod2.so\": unknown module"},
      {"a load that is no string", "modules {\n acct_csv { load = 5 }\n}",
       ":2: modules.acct_csv.load: \"5\": expected a string"},
      {"a load that is a section", "modules {\n acct_csv { load { } }\n}",
       ":2: modules.acct_csv.load: \"\": expected a string"},
      {"an unknown key", "modules {\n acct_csv {\n logfile = x\n }\n}",
       ":3: modules.acct_csv: unknown key \"logfile\""},
      {"a key that is nearly right", "modules { acct_rtcp_hep { capt_prt = 1 } }",
       ":1: modules.acct_rtcp_hep: unknown key \"capt_prt\": did you mean capt_port?"},
      {"a key twice", "modules { acct_csv { load = acct_csv; load = acct_csv } }", "expected once"},
      {"no section", "modules { acct_csv = yes }", ":1: modules.acct_csv: expected { ... }"},
      {"no modules section", "modules = {\n};\nmodules = [ ]", ":3: modules: expected { ... }"},
      {"a collector without a host", "modules { acct_rtcp_hep { } }", "capt_host is missing"},
      {"a port in quotes", "modules { acct_rtcp_hep { capt_host = h; capt_port = \"9\" } }",
       ":1: modules.acct_rtcp_hep.capt_port: \"9\": expected a whole number"},
      {"port 0", "modules { acct_rtcp_hep { capt_host = h; capt_port = 0 } }", "from 1 to 65535"},
      {"an id beyond 32 bits", "modules { acct_rtcp_hep { capt_host = h; capt_id = 4294967296 } }",
       "from 0 to 4294967295"},
      {"a negative id", "modules { acct_rtcp_hep { capt_host = h; capt_id = -1 } }", "from 0 to"},
      {"another transport", "modules { acct_rtcp_hep { capt_host = h; capt_ptype = sctp } }",
       "\"sctp\": expected udp or tcp"},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string path = directory.write("rtpproxy.conf", c.text);
    const std::string message = error_of({"--config", path});
    CAPTURE(message);
    CHECK(contains(message, c.message));
    CHECK(contains(message, path));
  }
}

TEST_CASE("modules on the command line") {
  const StartupConfig startup =
      parse_good({"--dso", "/usr/lib/rtpproxy/rtpp_acct_csv_debug.so", "--dso", "catch_dtmf",
                  "--dso=rtpp_catch_dtmf.so", "--acct-csv", "/var/x.csv"})
          .startup;
  CHECK(startup.notices.empty());
  CHECK(startup.acct_csv_file == "/var/x.csv");
  CHECK(startup.modules.exists(1, 1));
  CHECK(startup.modules.exists(3, 2));
  CHECK_FALSE(startup.modules.exists(3, 3));
  CHECK_FALSE(startup.modules.exists(3, 0));
  CHECK_FALSE(startup.modules.exists(9, 1));

  // Where digits can be told to, they can be caught.
  CHECK(parse_good({"-n", "unix:/run/n"}).startup.modules.exists(3, 1));
  CHECK_FALSE(parse_good({}).startup.modules.exists(3, 1));

  const TemporaryDirectory directory;
  const std::string path = directory.write("rtpproxy.conf", "modules { catch_dtmf {} }");
  const Config both = parse_good({"--config", path, "--dso", "catch_dtmf"});
  CHECK(both.startup.modules.exists(3, 2));
}

TEST_CASE("collectors of RTCP") {
  struct Case {
    std::string description;
    std::string value;
    std::string endpoint;
    bool tcp;
    uint32_t capture_id;
  };
  const std::vector<Case> cases = {
      {"UDP", "udp:192.0.2.7:9060", "192.0.2.7:9060", false, 0},
      {"TCP with an id", "tcp:192.0.2.7:9061/2001", "192.0.2.7:9061", true, 2001},
      {"IPv6", "udp:[2001:db8::7]:9060/1", "[2001:db8::7]:9060", false, 1},
      {"IPv6 without brackets", "udp:2001:db8::7:9060/1", "[2001:db8::7]:9060", false, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const StartupConfig startup = parse_good({"--hep", c.value}).startup;
    REQUIRE(startup.hep_collectors.size() == 1);
    CHECK(startup.hep_collectors[0].endpoint.to_string() == c.endpoint);
    CHECK(startup.hep_collectors[0].tcp == c.tcp);
    CHECK(startup.hep_collectors[0].capture_id == c.capture_id);
  }
  struct Refused {
    std::string value, message;
  };
  const std::vector<Refused> refused = {
      {"192.0.2.7:9060", "expected udp:HOST:PORT or tcp:HOST:PORT"},
      {"tls:192.0.2.7:9060", "expected udp:HOST:PORT or tcp:HOST:PORT"},
      {"udp:192.0.2.7", "the port is missing"},
      {"udp:192.0.2.7:9060/x", "capture id: --hep: \"x\""},
      {"udp:192.0.2.7:9060/4294967296", "from 0 to 4294967295"},
      {"udp:0.0.0.0:9060", "an address of its own"},
      {"", "expected udp:HOST:PORT"},
  };
  for (const Refused& c : refused) {
    CAPTURE(c.value);
    CHECK(contains(error_of({"--hep", c.value, "--no_resolve"}), c.message));
  }
}

}  // namespace relay
