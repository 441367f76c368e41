#include "fuzz.hpp"
#include "submit_request.hpp"

using namespace sutfleet::agent;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = decode_submit(as_text(data, size));
    if (!request) {
        must(!request.error().message.empty());
        return 0;
    }
    must(!request->json.empty() && request->json.front() == '{');
    must(request->command.find('\0') == std::string::npos);
    // What the commands find as JSON is a request, too, unless it has grown past the limit.
    if (request->json.size() <= k_submit_limit) must(decode_submit(request->json).has_value());
    return 0;
}
