#include "lab.hpp"

#include <stdexcept>

namespace sutfleet::test {

Lab::Lab(const std::string& agent_program, AgentRules rules, const std::string& broker_conf)
    : broker(broker_conf), wake_(*sys::Wake::open()) {
    mqtt::SessionOptions options;
    options.url = broker.url();
    options.client_id = "lab";
    options.subscriptions = {{"alpha/#", 1, true}};
    session_ = mqtt::Session::open(std::move(options), wake_);
    agent = std::make_unique<PrivateAgent>(agent_program, broker.url(), rules);
    if (!says("submit_status", "ready")) throw std::runtime_error("the agent is not ready");
}

void Lab::publish(const std::string& topic, const std::string& payload, bool retain) {
    mqtt::Publication publication;
    publication.topic = topic;
    publication.payload = payload;
    publication.retain = retain;
    if (!eventually([&] { return session_->publish(publication).has_value(); })) throw std::runtime_error("no broker");
}

std::string Lab::ask(const std::string& payload) {
    mqtt::Publication publication;
    publication.topic = "alpha/submit";
    publication.payload = payload;
    publication.response_topic = "alpha/res/submit";
    publication.correlation_data = "c" + std::to_string(++asked_);
    if (!session_->publish(publication)) throw std::runtime_error("no broker");
    eventually([&] { hear(); return answers_.contains(publication.correlation_data); });
    return answers_[publication.correlation_data];
}

void Lab::take_over() {
    mqtt::SessionOptions options;
    options.url = broker.url();
    options.client_id = mqtt::own_client_id("alpha");
    options.clean_start = false;
    options.session_expiry = std::chrono::hours{1};
    const auto wake = *sys::Wake::open();
    const auto session = mqtt::Session::open(std::move(options), wake);
    if (!eventually([&] { return session->connected() || session->epoch() > 0; })) throw std::runtime_error("no broker");
    session->close(std::chrono::seconds{1});
}

void Lab::hear() {
    for (auto& message : session_->drain().messages) {
        if (message.topic == "alpha/res/submit") answers_[message.correlation_data] = message.payload;
        heard_[message.topic].push_back(std::move(message.payload));
    }
}

std::string Lab::get(const std::string& level) {
    hear();
    const auto& got = heard_["alpha/" + level];
    return got.empty() ? std::string() : got.back();
}

bool Lab::says(const std::string& level, const std::string& text) {
    return eventually([&] { return get(level).find(text) != std::string::npos; }, std::chrono::seconds{60});
}

std::vector<std::string> Lab::all(const std::string& level) {
    hear();
    return heard_["alpha/" + level];
}

std::string Lab::run(const std::string& id, const std::string& object) {
    submit(object);
    eventually([&] { return is_final(get("job/" + id)); }, std::chrono::seconds{60});
    return get("job/" + id);
}

void Lab::restart_agent(int signal) { agent->restart(signal); }

bool is_final(const std::string& record) {
    return record.find("\"state\":") != std::string::npos && record.find("\"QUEUED\"") == std::string::npos &&
           record.find("\"RUNNING\"") == std::string::npos;
}

}  // namespace sutfleet::test
