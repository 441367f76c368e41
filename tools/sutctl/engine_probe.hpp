#pragma once
// One GET to the container engine for `doctor`, which must say what is wrong on the way: socket, rights, answer.
// Over the unix socket only. Threads: any.

#include <chrono>
#include <string>
#include <tl/expected.hpp>

namespace sutfleet::ctl {

struct EngineTrouble {
    enum class Kind { no_socket, no_rights, nobody_listens, no_answer };
    Kind kind;
    std::string message;
};

struct EngineAnswer {
    int status = 0;
    std::string body;
};

/// Within 5 s.
tl::expected<EngineAnswer, EngineTrouble> ask_engine(const std::string& socket, const std::string& path);

}  // namespace sutfleet::ctl
