#include "fake_engine.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/timestamp.hpp"
#include "sys/clock.hpp"

namespace sutfleet::test {
namespace {

using nlohmann::json;

bool send_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

std::string id_of(unsigned long long number) {
    std::array<char, 65> text{};
    std::snprintf(text.data(), text.size(), "%064llx", number);
    return text.data();
}

std::string message(const std::string& text) { return json{{"message", text}}.dump(); }

std::string text_of(const std::string& object, const char* key) { return json::parse(object).value(key, ""); }

std::string query_value(const std::string& query, const std::string& key) {
    const auto at = query.find(key + "=");
    if (at == std::string::npos) return {};
    const auto from = at + key.size() + 1;
    return query.substr(from, query.find('&', from) - from);
}

/// What a real list has for each container beside what is asked of it here.
const std::string& ballast() {
    static const std::string k_text = R"("Command":"/opt/sutfleet/bin/agent-entry","Created":1700000000,"Ports":[],)"
        R"("HostConfig":{"NetworkMode":"sutfleet-bus"},"NetworkSettings":{"Networks":{"sutfleet-bus":{"IPAMConfig":null,"Links":null,)"
        R"("Aliases":null,"NetworkID":"2f1f0b3c5d6e7f8091a2b3c4d5e6f70812233445566778899aabbccddeeff001","EndpointID":"","Gateway":"",)"
        R"("IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"","DriverOpts":null}}},)"
        R"("Mounts":[{"Type":"volume","Name":"sutfleet-programs-0123456789abcdef","Source":"","Destination":"/opt/sutfleet","Driver":"local",)"
        R"("Mode":"z","RW":false,"Propagation":""},{"Type":"volume","Name":"sutfleet-agent-conf","Source":"","Destination":"/sut",)"
        R"("Driver":"local","Mode":"z","RW":false,"Propagation":""},{"Type":"volume","Name":"sutfleet-agent-state","Source":"",)"
        R"("Destination":"/var/lib/sutfleet","Driver":"local","Mode":"z","RW":true,"Propagation":""}])";
    return k_text;
}

}  // namespace

FakeEngine::FakeEngine(std::string stack) : stack_(std::move(stack)), path_(folder_.path() + "/engine.sock") {
    listener_ = sys::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_.get(), 256) != 0)
        throw std::runtime_error("the fake engine cannot listen");
    thread_ = std::jthread([this] { serve(); });
}

FakeEngine::~FakeEngine() { ::shutdown(listener_.get(), SHUT_RDWR); }

void FakeEngine::serve() {
    for (;;) {
        sys::UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection) return;
        const timeval limit{5, 0};
        ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        serve_one(std::move(connection));
    }
}

bool FakeEngine::read_request(int fd, Request& into) {
    std::string text;
    std::array<char, 16 * 1024> part{};
    std::size_t head = 0, length = 0;
    while (head == 0 || text.size() < head + length) {
        const auto got = ::recv(fd, part.data(), part.size(), 0);
        if (got <= 0) return false;
        text.append(part.data(), static_cast<std::size_t>(got));
        if (head != 0) continue;
        const auto end = text.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        head = end + 4;
        if (const auto at = text.find("Content-Length: "); at < end) length = std::stoul(text.substr(at + 16));
        if (text.find("Transfer-Encoding: chunked") < end) return read_head(text, into), read_chunks(fd, text.substr(head));
    }
    read_head(text, into);
    into.body = text.substr(head);
    return true;
}

void FakeEngine::read_head(const std::string& text, Request& into) {
    into.method = text.substr(0, text.find(' '));
    into.path = text.substr(into.method.size() + 1, text.find(' ', into.method.size() + 1) - into.method.size() - 1);
    if (const auto mark = into.path.find('?'); mark != std::string::npos) {
        into.query = into.path.substr(mark + 1);
        into.path.resize(mark);
    }
    if (into.path.starts_with("/v1.")) into.path.erase(0, into.path.find('/', 1));
}

/// To its end, and forgotten.
bool FakeEngine::read_chunks(int fd, std::string rest) {
    std::array<char, 16 * 1024> part{};
    for (;;) {
        if (const auto end = rest.find("\r\n"); end != std::string::npos) {
            const auto length = std::stoul(rest.substr(0, end), nullptr, 16);
            if (rest.size() >= end + length + 4) {
                rest.erase(0, end + length + 4);
                if (length == 0) return true;
                continue;
            }
        }
        const auto got = ::recv(fd, part.data(), part.size(), 0);
        if (got <= 0) return false;
        rest.append(part.data(), static_cast<std::size_t>(got));
    }
}

void FakeEngine::serve_one(sys::UniqueFd connection) {
    Request request;
    if (!read_request(connection.get(), request)) return;
    const std::scoped_lock lock(mutex_);
    if (request.path == "/events") {
        count("events", "");
        send_all(connection.get(), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
        listeners_.push_back(std::move(connection));
        return;
    }
    if (!pass_fault(request, connection)) return;
    give(connection.get(), request);
}

void FakeEngine::give(int connection, const Request& request) {
    const auto given = answer(request);
    send_all(connection, "HTTP/1.1 " + std::to_string(given.status) + " X\r\nConnection: close\r\nContent-Length: " +
                             std::to_string(given.body.size()) + "\r\n\r\n" + given.body);
}

bool FakeEngine::pass_fault(const Request& request, sys::UniqueFd& connection) {
    const auto sut = sut_of(request);
    const auto& faults = request.method == "GET" ? blind_ : faults_;
    const auto found = sut.empty() ? faults.end() : faults.find(sut);
    if (found == faults.end() || found->second == Fault::none) return true;
    count("failed", sut);
    const auto refuse = [&](const char* status) {
        const auto body = message("a fault of the test");
        send_all(connection.get(), "HTTP/1.1 " + std::string(status) + "\r\nConnection: close\r\nContent-Length: " +
                                       std::to_string(body.size()) + "\r\n\r\n" + body);
    };
    switch (found->second) {
        case Fault::refused: refuse("500 X"); break;
        case Fault::conflict: refuse("409 X"); break;
        case Fault::not_found: refuse("404 X"); break;
        case Fault::cut_off: send_all(connection.get(), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Id\":"); break;
        default: hung_.push_back({sut, request, found->second, std::move(connection)}); break;
    }
    return false;
}

/// Of a call on a container, or of one that makes it.
std::string FakeEngine::sut_of(const Request& request) {
    constexpr std::string_view k_containers = "/containers/";
    if (request.path == "/build" || request.path == "/images/load") return k_images;
    if (!request.path.starts_with(k_containers)) return {};
    auto key = request.path.substr(k_containers.size());
    key.resize(std::min(key.find('/'), key.size()));
    if (key == "create") key = query_value(request.query, "name");
    if (const auto* one = find(key)) return one->sut;
    return key.starts_with(stack_ + "-") ? key.substr(stack_.size() + 1) : std::string();
}

FakeEngine::Container* FakeEngine::find(const std::string& key) {
    const auto named = ids_.find(key);
    const auto found = containers_.find(named == ids_.end() ? key : named->second);
    return found == containers_.end() ? nullptr : &found->second;
}

void FakeEngine::count(const std::string& what, const std::string& sut) {
    ++asked_[what];
    ++asked_[""];
    if (!sut.empty()) ++asked_[what + " " + sut];
}

FakeEngine::Answer FakeEngine::answer(const Request& request) {
    const auto& path = request.path;
    if (path == "/version") return {200, R"({"Version":"fake","ApiVersion":"1.41","MinAPIVersion":"1.12"})"};
    if (path == "/info") return {200, R"({"NCPU":4,"ServerVersion":"fake"})"};
    if (path == "/containers/json") return list(request);
    if (path == "/containers/create") return create(request);
    if (path == "/build" || path.starts_with("/images/")) return answer_images(request);
    if (path == "/volumes/create") {
        volumes_.insert(text_of(request.body, "Name"));
        return {201, "{}"};
    }
    if (path.starts_with("/volumes/")) {
        const auto name = path.substr(9);
        if (request.method == "DELETE") return {volumes_.erase(name) != 0 ? 204 : 404, ""};
        return {volumes_.contains(name) && !no_volumes_.contains(name) ? 200 : 404, "{}"};
    }
    if (path.starts_with("/exec/")) return {200, path.ends_with("/json") ? R"({"Running":false,"ExitCode":0})" : "ok: fake"};
    if (path.starts_with("/containers/")) {
        const auto rest = path.substr(12);
        const auto slash = rest.find('/');
        return answer_container(request, rest.substr(0, slash), slash == std::string::npos ? "" : rest.substr(slash + 1));
    }
    return {404, message("the fake engine does not know " + path)};
}

FakeEngine::Answer FakeEngine::answer_images(const Request& request) {
    if (request.path == "/build" || request.path == "/images/load") {
        count(request.path.substr(request.path.rfind('/') + 1), "");
        lost_images_.clear();
        return {200, R"({"stream":"made\n"})"};
    }
    constexpr std::string_view k_lead = "/images/", k_end = "/json";
    const auto image = request.path.substr(k_lead.size(), request.path.size() - k_lead.size() - k_end.size());
    if (lost_images_.contains(image)) return {404, message("No such image: " + image)};
    return {200, R"({"Config":{"User":"10001:10001"}})"};
}

void FakeEngine::lose_image(const std::string& image) {
    const std::scoped_lock lock(mutex_);
    lost_images_.insert(image);
}

void FakeEngine::fail_images(Fault fault) { set_fault(faults_, k_images, fault); }

FakeEngine::Answer FakeEngine::answer_container(const Request& request, const std::string& key, const std::string& verb) {
    auto* one = find(key);
    if (one == nullptr) return {404, message("No such container: " + key)};
    const auto what = request.method == "DELETE" ? "remove" : verb == "json" ? "inspect" : verb;
    count(what, one->sut);
    if (what == "inspect") return {200, inspect(*one, stack_)};
    if (what == "remove") {
        const auto gone = *one;
        ids_.erase(gone.name);
        containers_.erase(gone.id);
        tell(gone, "destroy");
        return {204, ""};
    }
    if (what == "start") {
        change(*one, "running", "start");
        if (const auto ends = end_at_once_.find(one->sut); ends != end_at_once_.end()) {
            one->exit_code = ends->second;
            change(*one, "exited", "die");
        }
    }
    if (what == "stop" || what == "kill") change(*one, "exited", "die");
    if (what == "exec") return {201, R"({"Id":"exec"})"};
    if (what == "logs") return {200, "a line\n"};
    if (what == "wait") return {200, R"({"StatusCode":0})"};
    if (what == "archive") return answer_archive(request, *one);
    return {204, ""};
}

FakeEngine::Answer FakeEngine::answer_archive(const Request& request, const Container& one) {
    if (request.method == "PUT")
        for (const auto& volume : one.volumes) archives_put_[volume] = request.body;
    if (request.method == "PUT" || one.volumes.empty()) return {200, ""};
    const auto found = archives_.find(one.volumes.front());
    if (found == archives_.end()) return {404, message("no such file")};
    const auto given = found->second;
    if (given.body.find("No such container") != std::string::npos) containers_.erase(std::string(one.id));
    return given;
}

void FakeEngine::set_archive(const std::string& volume, int status, const std::string& body) {
    const std::scoped_lock lock(mutex_);
    archives_[volume] = {status, body};
}

std::string FakeEngine::archive_put(const std::string& volume) {
    const std::scoped_lock lock(mutex_);
    return archives_put_[volume];
}

void FakeEngine::keep_no_volume(const std::string& volume) {
    const std::scoped_lock lock(mutex_);
    no_volumes_.insert(volume);
}

FakeEngine::Answer FakeEngine::create(const Request& request) {
    const auto body = json::parse(request.body);
    Container one;
    one.id = id_of(++last_);
    one.name = query_value(request.query, "name");
    if (one.name.empty()) one.name = "helper-" + std::to_string(last_);
    if (ids_.contains(one.name)) return {409, message("Conflict. The container name is already in use")};
    one.sut = body["Labels"].value("io.sutfleet.sut", "");
    one.hash = body["Labels"].value("io.sutfleet.config-hash", "");
    one.programs = body["Labels"].value("io.sutfleet.programs", "");
    one.image = body.value("Image", "");
    if (body.contains("HostConfig") && body["HostConfig"].contains("Mounts"))
        for (const auto& mount : body["HostConfig"]["Mounts"]) one.volumes.push_back(mount.value("Source", ""));
    count("create", one.sut);
    ids_[one.name] = one.id;
    const auto& made = containers_[one.id] = std::move(one);
    tell(made, "create");
    return {201, json{{"Id", made.id}}.dump()};
}

FakeEngine::Answer FakeEngine::list(const Request& request) {
    if (request.query.find("io.sutfleet.role") != std::string::npos) return {200, "[]"};
    count("list", "");
    std::string out = "[";
    for (const auto& [id, one] : containers_) {
        if (one.sut.empty()) continue;
        const auto status = one.status == "running" ? std::string("Up 2 hours (healthy)") : "Exited (" + std::to_string(one.exit_code) + ") 2 hours ago";
        out += std::string(out.size() > 1 ? "," : "") + R"({"Id":")" + id + R"(","Names":["/)" + one.name + R"("],"Image":")" + one.image +
               R"(","ImageID":"sha256:)" + id + R"(","Labels":{"io.sutfleet.stack":")" + stack_ + R"(","io.sutfleet.sut":")" + one.sut +
               R"(","io.sutfleet.config-hash":")" + one.hash + R"(","io.sutfleet.programs":")" + one.programs + R"(","org.opencontainers.image.title":")" + one.sut +
               R"("},"State":")" + one.status + R"(","Status":")" + status + "\"," + ballast() + "}";
    }
    return {200, out + "]"};
}

std::string FakeEngine::inspect(const Container& one, const std::string& stack) {
    return json{{"Id", one.id},
                {"Name", "/" + one.name},
                {"Config",
                 {{"Image", one.image},
                  {"Labels", {{"io.sutfleet.stack", stack}, {"io.sutfleet.sut", one.sut}, {"io.sutfleet.config-hash", one.hash}, {"io.sutfleet.programs", one.programs}}}}},
                {"State",
                 {{"Status", one.status}, {"ExitCode", one.exit_code}, {"OOMKilled", false}, {"StartedAt", one.started},
                  {"Health", {{"Status", one.status == "running" ? "healthy" : "unhealthy"}, {"Log", json::array()}}}}}}
        .dump();
}

void FakeEngine::change(Container& one, const std::string& status, const std::string& action) {
    if (one.status == status) return;
    one.status = status;
    if (status == "running") one.started = format_rfc3339(sys::wall_now());
    tell(one, action);
}

void FakeEngine::tell(const Container& one, const std::string& action) {
    if (one.sut.empty()) return;
    const auto line = json{{"Type", "container"}, {"Action", action},
                           {"Actor", {{"ID", one.id}, {"Attributes", {{"io.sutfleet.sut", one.sut}, {"name", one.name}}}}}}.dump() + "\n";
    std::erase_if(listeners_, [&](const sys::UniqueFd& listener) { return !send_all(listener.get(), line); });
}

void FakeEngine::set_fault(std::map<std::string, Fault>& of, const std::string& sut, Fault fault) {
    const std::scoped_lock lock(mutex_);
    of[sut] = fault;
    std::erase_if(hung_, [&](const auto& hung) {
        if (hung.sut == sut && hung.fault == Fault::late) give(hung.connection.get(), hung.request);
        return hung.sut == sut;
    });
}

void FakeEngine::fail(const std::string& sut, Fault fault) { set_fault(faults_, sut, fault); }
void FakeEngine::blind(const std::string& sut, Fault fault) { set_fault(blind_, sut, fault); }

void FakeEngine::end(const std::string& sut, int exit_code, bool told) {
    const std::scoped_lock lock(mutex_);
    auto* one = find(stack_ + "-" + sut);
    if (one == nullptr) return;
    one->exit_code = exit_code;
    one->status = "exited";
    if (told) tell(*one, "die");
}

void FakeEngine::end_at_once(const std::string& sut, int exit_code) {
    const std::scoped_lock lock(mutex_);
    end_at_once_[sut] = exit_code;
}

void FakeEngine::nudge(const std::string& sut) {
    const std::scoped_lock lock(mutex_);
    if (const auto* one = find(stack_ + "-" + sut)) tell(*one, "health_status: healthy");
}

void FakeEngine::break_events() {
    const std::scoped_lock lock(mutex_);
    listeners_.clear();
}

std::size_t FakeEngine::running() {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(containers_, [](const auto& one) { return one.second.status == "running"; }));
}

bool FakeEngine::runs(const std::string& sut) {
    const std::scoped_lock lock(mutex_);
    const auto* one = find(stack_ + "-" + sut);
    return one != nullptr && one->status == "running";
}

std::size_t FakeEngine::asked(const std::string& what) {
    const std::scoped_lock lock(mutex_);
    return asked_[what];
}

std::size_t FakeEngine::asked(const std::string& what, const std::string& sut) { return asked(what + " " + sut); }

std::size_t FakeEngine::all_asked() { return asked(""); }

std::size_t FakeEngine::hanging() {
    const std::scoped_lock lock(mutex_);
    return hung_.size();
}

}  // namespace sutfleet::test
