#pragma once
// Where the broker is and who we are there: from the environment, or from the file that the stack's
// `init` service wrote. The file's text is parsed by a pure function.

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "exit.hpp"

namespace sutfleet::ctl {

struct Connection {
    std::string url;
    std::string user;
    std::string password;
    std::string ca;      ///< file of its CA's certificate, for mqtts:// and wss://
    std::string prefix;  ///< of the topics
    std::string from;    ///< for messages: where these were found
    bool open = false;   ///< whoever reaches the broker may do all (compose/anonymous.yaml)
};

using Environment = std::function<std::string(const char*)>;  ///< empty: not set

/// `NAME=value` lines; comments, `export`, and quotes around the value are accepted.
std::map<std::string, std::string> parse_env_file(std::string_view text);

/// @param folder where the search for .sutfleet/client.env begins, upward
Outcome<Connection> find_connection(const Environment& environment, const std::string& folder);

}  // namespace sutfleet::ctl
