#pragma once
// Cuts the engine's stream of events into lines. What is too long to be an event is given up as "anything". Threads: one.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "docker_json.hpp"

namespace sutfleet::docker {

class EventLines {
  public:
    static constexpr std::size_t k_line_limit = 1024 * 1024;

    explicit EventLines(const std::function<void(const EngineChange&)>& changed) : changed_(changed) {}
    void take(std::string_view bytes) {
        for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
            rest_ += bytes.substr(0, end);
            bytes.remove_prefix(end + 1);
            if (const auto change = rest_.empty() ? std::nullopt : decode_event(rest_)) changed_(*change);
            rest_.clear();
        }
        rest_ += bytes;
        if (rest_.size() < k_line_limit) return;
        rest_.clear();
        changed_({});
    }
    [[nodiscard]] std::size_t waiting() const { return rest_.size(); }

  private:
    const std::function<void(const EngineChange&)>& changed_;
    std::string rest_;
};

}  // namespace sutfleet::docker
