// Loading, attaching, pinning, taking over, refusing; each case with an instance of its own.
#include <doctest/doctest.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "relay/base/unique_fd.h"
#include "relay/fastpath/fastpath.h"

namespace relay {
namespace {

namespace fs = std::filesystem;

Endpoint at(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

KernelFlowSpec some_flow() {
  KernelFlowSpec spec;
  spec.local = at("192.0.2.1", 35000);
  spec.source = at("192.0.2.10", 40000);
  spec.egress = at("127.0.0.1", 35002);
  spec.destination = at("127.0.0.7", 50000);
  spec.tos = 184;
  spec.ssrc = 77;
  spec.rtcp = {at("127.0.0.1", 35003), at("127.0.0.8", 50001)};
  spec.tee_to_socket = true;
  return spec;
}

// Unpins what a failing case leaves.
class Instance {
 public:
  Instance() : name_("relay-fptest" + std::to_string(::getpid())) {
    options.mode = FastpathMode::require;
    options.instance = name_;
    options.flows_max = 8;
  }
  ~Instance() {
    std::error_code ignored;
    fs::remove_all(folder(), ignored);
  }
  std::string folder() const { return options.bpffs + "/" + name_; }
  std::string error() const {
    auto opened = Fastpath::open(options);
    return opened ? "no error: " + (*opened)->status() : opened.error().message;
  }
  std::unique_ptr<Fastpath> open() const {
    auto opened = Fastpath::open(options);
    if (!opened) FAIL(opened.error().message);
    return std::move(*opened);
  }

  FastpathOptions options;

 private:
  std::string name_;
};

long bpf(int command, bpf_attr& attribute) {
  return ::syscall(__NR_bpf, command, &attribute, sizeof attribute);
}

// An array of one value that is not ours, or says it is of another layout.
void pin_array(const std::string& path, const std::vector<std::byte>& value) {
  bpf_attr create{};
  create.map_type = BPF_MAP_TYPE_ARRAY;
  create.key_size = 4;
  create.value_size = static_cast<uint32_t>(value.size());
  create.max_entries = 1;
  const UniqueFd map(static_cast<int>(bpf(BPF_MAP_CREATE, create)));
  REQUIRE(map.valid());
  const uint32_t only = 0;
  bpf_attr update{};
  update.map_fd = static_cast<uint32_t>(map.get());
  update.key = reinterpret_cast<uint64_t>(&only);
  update.value = reinterpret_cast<uint64_t>(value.data());
  REQUIRE(bpf(BPF_MAP_UPDATE_ELEM, update) == 0);
  bpf_attr pin{};
  pin.pathname = reinterpret_cast<uint64_t>(path.c_str());
  pin.bpf_fd = static_cast<uint32_t>(map.get());
  REQUIRE(bpf(BPF_OBJ_PIN, pin) == 0);
}

std::vector<std::byte> config_of_layout(uint32_t layout) {
  const uint64_t magic = 0x52656C6179427066ULL;
  std::vector<std::byte> value(64);
  std::memcpy(value.data(), &magic, sizeof magic);
  std::memcpy(&value[sizeof magic], &layout, sizeof layout);
  return value;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("it starts on lo, relays for whoever asks, and leaves nothing behind") {
  const Instance instance;
  const auto fastpath = instance.open();
  CHECK(fastpath->available());
  CHECK(contains(fastpath->status(), "fast path: active on lo ("));
  CHECK(fastpath->tee_mark() != 0);
  CHECK(fastpath->network_descriptor() >= 0);
  const auto id = fastpath->install(some_flow(), {});
  REQUIRE(id);
  CHECK(fastpath->stats(*id) != nullptr);
  CHECK(fs::exists(instance.folder() + "/flows"));
  fastpath->shut_down();
  CHECK_FALSE(fs::exists(instance.folder()));
}

TEST_CASE("a second process is refused while the first lives") {
  const Instance instance;
  const auto first = instance.open();
  CHECK(contains(instance.error(), "another process holds"));
  Instance other;
  other.options.instance += "-other";
  const auto beside = other.open();
  CHECK(beside->available());
  beside->shut_down();
}

TEST_CASE("a successor takes over flows as they were, or ends them") {
  Instance instance;
  RtpStreamState stream{};
  stream.closed_received = 12345;
  KernelFlowId id;
  {
    const auto first = instance.open();
    id = *first->install(some_flow(), stream);
  }
  {
    instance.options.keep_flows = true;
    const auto second = instance.open();
    REQUIRE(second->adopted_flows().size() == 1);
    CHECK(second->adopted_flows()[0].spec == some_flow());
    CHECK(second->adopted_flows()[0].id == id);
    CHECK(second->report(id).stream.closed_received == 12345);
    const auto taken = second->install(some_flow(), {});
    REQUIRE_FALSE(taken);
    CHECK(contains(taken.error().message, "already"));
  }
  {
    instance.options.keep_flows = false;
    const auto third = instance.open();
    CHECK(third->adopted_flows().empty());
    CHECK(third->stats(id) == nullptr);
    CHECK(third->install(some_flow(), {}).has_value());
  }
}

TEST_CASE("the size of the table is the predecessor's") {
  Instance instance;
  { const auto first = instance.open(); }
  instance.options.flows_max = 64;
  const auto second = instance.open();
  KernelFlowSpec spec = some_flow();
  int installed = 0;
  for (int i = 0; i < 64; ++i, ++spec.local.port) {
    if (second->install(spec, {})) ++installed;
  }
  CHECK(installed <= 8);
  CHECK(installed >= 6);  // the self-test's slot rests
}

TEST_CASE("pins of others are refused, ours of another layout are replaced") {
  const Instance instance;
  const auto pin_config = [&](const std::vector<std::byte>& value) {
    REQUIRE(::mkdir(instance.folder().c_str(), 0700) == 0);
    pin_array(instance.folder() + "/config", value);
  };
  pin_config(std::vector<std::byte>(64));
  CHECK(contains(instance.error(), "was not made by this program"));
  CHECK(fs::exists(instance.folder() + "/config"));
  fs::remove_all(instance.folder());
  pin_config(config_of_layout(0));
  const auto fastpath = instance.open();
  CHECK(fastpath->available());
  fastpath->shut_down();
}

TEST_CASE("half-made pins are no obstacle") {
  const Instance instance;
  REQUIRE(::mkdir(instance.folder().c_str(), 0700) == 0);
  pin_array(instance.folder() + "/flows", std::vector<std::byte>(8));
  const auto fastpath = instance.open();
  CHECK(fastpath->available());
  fastpath->shut_down();
}

TEST_CASE("what is missing is said, with what would help") {
  struct Missing {
    std::string description;
    void (*spoil)(FastpathOptions&);
    std::string said;
  };
  const std::vector<Missing> cases = {
      {"no bpf file system", [](FastpathOptions& o) { o.bpffs = "/tmp"; },
       "mount it with: mount -t bpf bpf /tmp"},
      {"a dot in the instance's name", [](FastpathOptions& o) { o.instance = "a.b"; },
       "instance \"a.b\""},
      {"a path as the instance's name", [](FastpathOptions& o) { o.instance = "../x"; },
       "only letters"},
      {"an interface that is not there", [](FastpathOptions& o) { o.interfaces = {"nosuch0"}; },
       "nosuch0: no such interface"},
      {"a table of no flows", [](FastpathOptions& o) { o.flows_max = 0; }, "kernel program"},
  };
  for (const Missing& c : cases) {
    CAPTURE(c.description);
    Instance instance;
    c.spoil(instance.options);
    const std::string error = instance.error();
    CAPTURE(error);
    CHECK(error.starts_with("fast path: off, "));
    CHECK(contains(error, c.said.c_str()));
    CHECK_FALSE(fs::exists(instance.folder()));
  }
}

TEST_CASE("automatic goes without what it cannot have, off asks for nothing") {
  Instance instance;
  instance.options.mode = FastpathMode::automatic;
  instance.options.interfaces = {"nosuch0"};
  const auto partly = instance.open();
  CHECK(partly->available());
  CHECK(contains(partly->status(), "; not on nosuch0: no such interface"));
  partly->shut_down();
  instance.options.bpffs = "/tmp";
  const auto without = instance.open();
  CHECK_FALSE(without->available());
  CHECK(contains(without->status(), "fast path: off, /tmp is not a bpf file system"));
  CHECK_FALSE(without->install(some_flow(), {}));
  instance.options.mode = FastpathMode::off;
  CHECK(instance.open()->status() == "fast path: off, as configured");
}

}  // namespace relay
