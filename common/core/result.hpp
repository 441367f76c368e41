#pragma once
// Expected failures as values. An Error carries a kind, which tells the caller what it can do, and a
// message for a person; context is added on the way up and logged once at the top.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace sutfleet {

enum class ErrorKind {
    transient,      ///< may go away by itself: try again later
    permanent,      ///< will fail again until something else changes
    not_found,      ///< what was asked for is not there
    conflict,       ///< something with that name or in that state is in the way
    invalid_input,  ///< the caller's input breaks a rule; the message says which
};

[[nodiscard]] std::string_view to_string(ErrorKind kind);

struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::permanent;
    std::string message;

    /// The same error with `context: ` in front of its message.
    [[nodiscard]] Error with(std::string_view context) const {
        return {kind, std::string(context) + ": " + message};
    }
};

template <class T = void>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
    return tl::make_unexpected(Error{kind, std::move(message)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
    return tl::make_unexpected(std::move(error));
}
/// The error of the calling thread's errno: `what: strerror`.
[[nodiscard]] Error errno_error(std::string_view what, int errno_value);

}  // namespace sutfleet
