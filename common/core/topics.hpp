#pragma once
// Every MQTT topic of the product, and nowhere else. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "core/ids.hpp"

namespace sutfleet {

/// The topics under one configurable prefix (empty by default; otherwise it ends with '/').
class Topics {
  public:
    Topics() = default;
    explicit Topics(std::string prefix);

    // Of one SUT. `level` is one of the k_… names below.
    [[nodiscard]] std::string of(const SutName& sut, std::string_view level) const;
    [[nodiscard]] std::string job(const SutName& sut, std::string_view job_id) const;
    [[nodiscard]] std::string metric(const SutName& sut, std::string_view name) const;
    [[nodiscard]] std::string credential(const SutName& sut, std::string_view name) const;
    [[nodiscard]] std::string command(const SutName& sut, std::string_view verb) const;
    [[nodiscard]] std::string response(const SutName& sut, std::string_view verb) const;
    /// Subscription filters: all that a SUT ever published; one level of all SUTs; every verb of one.
    [[nodiscard]] std::string everything_of(const SutName& sut) const;
    [[nodiscard]] std::string of_all(std::string_view level) const;
    [[nodiscard]] std::string commands(const SutName& sut) const;

    // Of the fleet.
    [[nodiscard]] std::string fleet_supervisor() const;
    [[nodiscard]] std::string fleet_state() const;
    [[nodiscard]] std::string fleet_events() const;
    [[nodiscard]] std::string fleet_sut(std::string_view sut) const;
    [[nodiscard]] std::string fleet_command(std::string_view verb) const;
    [[nodiscard]] std::string fleet_response(std::string_view verb) const;

    /// Of a queue that several SUTs may serve: `submit`, `status`, `job/<id>`.
    [[nodiscard]] std::string fleet_queue(std::string_view queue, std::string_view level) const;

    /// `<sut>/<rest>` taken apart; nothing for the fleet's topics or a bad SUT name.
    struct SutTopic {
        SutName sut;
        std::string rest;
    };
    [[nodiscard]] std::optional<SutTopic> parse(std::string_view topic) const;
    /// What follows `fleet/`; nothing for any other topic.
    [[nodiscard]] std::optional<std::string_view> parse_fleet(std::string_view topic) const;

    /// Where the answer to a request goes: its response topic (MQTT 5, 4.10), or `usual` where that is empty or would make another
    /// request, or a false report, of an answer: within the product's own topics only those for answers.
    [[nodiscard]] std::string answer_topic(const std::string& wanted, const std::string& usual) const;

  private:
    std::string prefix_;
};

inline constexpr std::string_view k_submit = "submit";
inline constexpr std::string_view k_submit_status = "submit_status";
inline constexpr std::string_view k_agent = "agent";
inline constexpr std::string_view k_state = "state";
inline constexpr std::string_view k_output = "output";
inline constexpr std::string_view k_last_job = "last_job";
inline constexpr std::string_view k_jobs = "jobs";

inline constexpr std::size_t k_command_limit = 4096;          ///< bytes of the payload of a command
inline constexpr std::size_t k_handover_limit = 4 * 1024 * 1024;  ///< of one that has a job in it, as text in JSON

/// Whether a level under a SUT is the product's own: no probe may publish there.
[[nodiscard]] bool is_own_level(std::string_view level);

/// The payload of `<sut>/agent` and `<sut>/submit_status` when nobody is there.
inline constexpr std::string_view k_offline = "offline";

}  // namespace sutfleet
