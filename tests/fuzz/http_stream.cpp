// An engine that answers anything: chunked, cut off, huge, no HTTP at all. Every call comes back, with no more than there was.
// Input: the bytes of the answer; what follows a byte 0xFF is sent by itself, a moment later.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "event_lines.hpp"
#include "fuzz.hpp"
#include "http_client.hpp"
#include "scratch.hpp"
#include "sys/fd.hpp"
#include "tar_writer.hpp"

using namespace sutfleet;
using namespace sutfleet::docker;

namespace {

class Server {
  public:
    explicit Server(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        must(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd_.get(), 8) == 0);
    }
    /// Hears one request and answers it.
    void answer(std::string_view bytes) const {
        const sys::UniqueFd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        char request[4096];
        if (::recv(client.get(), request, sizeof request, 0) <= 0) return;
        while (!bytes.empty()) {
            const auto end = std::min(bytes.find('\xff'), bytes.size());
            if (end > 0 && ::send(client.get(), bytes.data(), end, MSG_NOSIGNAL) < 0) return;
            bytes.remove_prefix(std::min(end + 1, bytes.size()));
            if (!bytes.empty()) std::this_thread::yield();
        }
    }

  private:
    sys::UniqueFd fd_;
};

/// The call, and the server's side of it on a thread of its own.
template <class Call>
void exchange(const Server& server, std::string_view bytes, const Call& call) {
    const std::jthread other([&] { server.answer(bytes); });
    call();
}

}  // namespace

void fuzz(std::string_view text) {
    static const Scratch scratch;
    static const Server server(scratch.path() + "/s");
    static const auto client = *HttpClient::open("unix://" + scratch.path() + "/s");
    exchange(server, text, [&] {
        const auto answer = client.send({"GET", "/info", {}, "application/json", std::chrono::seconds{2}});
        if (!answer) return must(!answer.error().message.empty());
        must(answer->body.size() <= text.size() && answer->status >= 100);
        (void)made_id(answer->body);
        if (const auto file = read_tar_file(answer->body)) must(file->size() <= answer->body.size());
    });
    exchange(server, text, [&] {
        std::size_t got = 0, begun = 0;
        const std::function<void(const EngineChange&)> heard = [](const EngineChange&) {};
        EventLines lines(heard);
        const auto ended = client.stream(
            "/events", [&](std::string_view bytes) { return got += bytes.size(), lines.take(bytes), true; }, [] { return true; }, [&] { ++begun; });
        must(got <= text.size() && lines.waiting() <= got && begun <= text.size());
        if (!ended) must(!ended.error().message.empty());
    });
    (void)read_tar_file(text);
}
