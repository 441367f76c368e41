#include "output_reader.hpp"

#include <algorithm>
#include <stdexcept>

#include "private_broker.hpp"

namespace sutfleet::test {
namespace {

std::string property(const mqtt::Message& message, std::string_view name) {
    for (const auto& [key, value] : message.user_properties)
        if (key == name) return value;
    return {};
}

}  // namespace

OutputReader::OutputReader(const std::string& broker_url) : wake_(*sys::Wake::open()) {
    mqtt::SessionOptions options;
    options.url = broker_url;
    options.client_id = "output-reader";
    options.clean_start = false;
    options.session_expiry = std::chrono::hours{1};
    options.subscriptions = {{"alpha/output", 1, false}};
    session_ = mqtt::Session::open(std::move(options), wake_);
    if (!eventually([&] { return session_->connected(); })) throw std::runtime_error("no broker");
}

void OutputReader::take(const mqtt::Message& message) {
    if (message.payload.empty()) {
        ++empty_payloads_;
        return;
    }
    newest_ = message.payload;
    const auto job = property(message, "job"), boot = property(message, "boot");
    if (job.empty()) boot_ = boot;
    auto& stream = streams_[job.empty() ? "boot " + boot : job];
    ++stream.messages;
    const auto offset_text = property(message, "offset"), bytes_text = property(message, "bytes");
    if (offset_text.empty() || bytes_text.empty()) {
        ++stream.contradictions;
        return;
    }
    const std::uint64_t offset = std::stoull(offset_text);
    auto bytes = message.payload;
    if (std::stoull(bytes_text) == bytes.size() + 1) bytes += '\n';
    if (std::stoull(bytes_text) != bytes.size()) ++stream.contradictions;
    stream.dropped = std::stoull(property(message, "dropped"));
    if (stream.messages == 1) stream.begin = stream.end = offset;
    if (offset > stream.end) stream.missing += offset - stream.end, stream.end = offset;
    const auto again = static_cast<std::size_t>(stream.end - offset);
    const auto repeated = std::min(again, bytes.size());
    // What is missing is not in `bytes`: only what follows the newest gap can be compared.
    if (stream.missing == 0 && offset >= stream.begin &&
        stream.bytes.compare(static_cast<std::size_t>(offset - stream.begin), repeated, bytes, 0, repeated) != 0)
        ++stream.contradictions;
    stream.bytes += bytes.substr(repeated);
    stream.end = std::max<std::uint64_t>(stream.end, offset + bytes.size());
}

void OutputReader::hear() {
    for (const auto& message : session_->drain().messages) take(message);
}

const OutputReader::Stream& OutputReader::stream(const std::string& job) {
    hear();
    return streams_[job.empty() ? "boot " + boot_ : job];
}

}  // namespace sutfleet::test
