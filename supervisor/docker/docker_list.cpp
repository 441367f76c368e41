// The list of all agents, read as it streams by: ten thousand entries of two kilobytes each are not made into a tree.

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "docker_json.hpp"

namespace sutfleet::docker {
namespace {

/// Depth 1 is the list, 2 an entry, 3 what is within one of its members.
class SummaryReader final : public nlohmann::json_sax<nlohmann::json> {
  public:
    std::vector<FoundContainer> out;
    std::string error;

    bool null() override { return value(); }
    bool boolean(bool) override { return value(); }
    bool number_integer(number_integer_t) override { return value(); }
    bool number_unsigned(number_unsigned_t) override { return value(); }
    bool number_float(number_float_t, const string_t&) override { return value(); }
    bool binary(binary_t&) override { return value(); }
    bool string(string_t& text) override {
        if (depth_ == 2) take_member(text);
        if (depth_ == 3) take_inner(text);
        return value();
    }
    bool start_object(std::size_t) override {
        if (depth_ == 1) out.emplace_back().summary = true;
        return down() && (depth_ != 1 || refuse());
    }
    bool end_object() override {
        if (depth_ == 2 && out.back().id.empty()) return refuse();
        return up();
    }
    bool start_array(std::size_t) override { return down() && (depth_ != 2 || refuse()); }
    bool end_array() override { return up(); }
    bool key(string_t& text) override {
        if (depth_ == 2) member_ = text;
        if (depth_ == 3) inner_ = text;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& why) override {
        error = why.what();
        return false;
    }

  private:
    bool refuse() {
        error = "expected a list of containers";
        return false;
    }
    bool value() { return depth_ >= 2 || refuse(); }
    bool down() { return ++depth_ > 0; }
    bool up() { return --depth_ >= 0; }

    void take_member(const std::string& text) {
        auto& one = out.back();
        if (member_ == "Id") one.id = text;
        if (member_ == "Image") one.image = text;
        if (member_ == "State") one.status = status_of(text);
        if (member_ == "Status") take_status(one, text);
    }
    void take_inner(const std::string& text) {
        auto& one = out.back();
        if (member_ == "Names" && one.name.empty()) one.name = text.starts_with('/') ? text.substr(1) : text;
        if (member_ != "Labels") return;
        if (inner_ == "io.sutfleet.stack") one.stack = text;
        if (inner_ == "io.sutfleet.sut") one.sut = text;
        if (inner_ == "io.sutfleet.config-hash") one.config_hash = text;
        if (inner_ == "io.sutfleet.programs") one.programs = text;
    }
    /// `Up 2 hours (healthy)`, `Exited (137) 3 seconds ago`
    static void take_status(FoundContainer& one, const std::string& text) {
        constexpr std::string_view k_exited = "Exited (";
        if (text.ends_with("(healthy)")) one.health = EngineHealth::healthy;
        if (text.ends_with("(unhealthy)")) one.health = EngineHealth::unhealthy;
        if (text.ends_with("(health: starting)")) one.health = EngineHealth::starting;
        int code = 0;
        if (text.starts_with(k_exited) &&
            std::from_chars(text.data() + k_exited.size(), text.data() + text.size(), code).ec == std::errc{})
            one.exit_code = code;
    }

    int depth_ = 0;
    std::string member_, inner_;
};

}  // namespace

Result<std::vector<FoundContainer>> decode_summaries(std::string_view text) try {
    SummaryReader reader;
    if (!nlohmann::json::sax_parse(text, &reader))
        return fail(ErrorKind::permanent, "the engine's answer (list): " + reader.error);
    return std::move(reader.out);
} catch (const std::exception& error) {
    return fail(ErrorKind::permanent, std::string("the engine's answer (list): ") + error.what());
}

}  // namespace sutfleet::docker
