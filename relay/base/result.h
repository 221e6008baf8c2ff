// Errors are values with context; exceptions do not cross a layer.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace relay {

// What went wrong, in words for a person: it quotes the offending value and says what was expected.
struct [[nodiscard]] Error {
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

// `what` is the action that failed; errno's text is appended.
inline tl::unexpected<Error> fail_errno(std::string what, int error_number = errno) {
  return fail(std::move(what) + ": " + std::strerror(error_number));
}

// Adds what was being done to an error on its way up.
inline Error with_context(const std::string& what, Error error) {
  return Error{what + ": " + error.message};
}

}  // namespace relay
