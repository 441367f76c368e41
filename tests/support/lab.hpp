#pragma once
// A broker, an agent of the SUT alpha, and a client that hears all of it.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mqtt/session.hpp"
#include "private_agent.hpp"
#include "private_broker.hpp"

namespace sutfleet::test {

class Lab {
  public:
    explicit Lab(const std::string& agent_program, AgentRules rules = {}, const std::string& broker_conf = {});

    void publish(const std::string& topic, const std::string& payload, bool retain = false);
    /// Submits and waits for the answer on a response topic of its own. @return the answer
    std::string ask(const std::string& payload);
    void submit(const std::string& payload) { publish("alpha/submit", payload); }
    /// The newest payload of `alpha/<level>`; empty when there is none.
    std::string get(const std::string& level);
    /// Waits until `alpha/<level>` contains the text.
    bool says(const std::string& level, const std::string& text);
    /// Submits a job with this id and waits for its record's end. @return the record; empty when it does not end.
    std::string run(const std::string& id, const std::string& object);
    /// All that came on `alpha/<level>`, in order.
    std::vector<std::string> all(const std::string& level);
    /// Stops the agent (by `signal`) and starts it again in the same folders.
    void restart_agent(int signal);

    /// Another client takes the agent's client id for a moment.
    void take_over();

    PrivateBroker broker;
    std::unique_ptr<PrivateAgent> agent;

  private:
    void hear();
    sys::Wake wake_;
    std::unique_ptr<mqtt::Session> session_;
    std::map<std::string, std::vector<std::string>> heard_;
    std::map<std::string, std::string> answers_;  ///< by correlation data
    int asked_ = 0;
};

/// Whether a job's record is in a state that is final.
bool is_final(const std::string& record);

}  // namespace sutfleet::test
