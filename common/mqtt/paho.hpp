#pragma once
// Our words to Paho's and back, for the .cpp files of this folder only: it includes Paho's headers.

#include <mqtt/async_client.h>

#include <stop_token>

#include "mqtt/session.hpp"

namespace sutfleet::mqtt {

::mqtt::message_ptr to_paho(Publication publication);
Message from_paho(const ::mqtt::message& message);
::mqtt::connect_options connect_options(const SessionOptions& options);
::mqtt::subscribe_options subscribe_options(const Subscription& wanted);
std::unique_ptr<::mqtt::async_client> make_client(const SessionOptions& options);
/// Connects and subscribes; blocks at most `limit` for each, and not past a stop. @return Paho's or the broker's reason.
Result<void> establish(::mqtt::async_client& client, const SessionOptions& options,
                       std::chrono::milliseconds limit, const std::stop_token& stop = {});

}  // namespace sutfleet::mqtt
