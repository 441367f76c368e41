#include "docker_engine.hpp"

#include <condition_variable>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "docker_json.hpp"
#include "event_lines.hpp"
#include "http_client.hpp"
#include "image_answers.hpp"
#include "sys/clock.hpp"
#include "tar_writer.hpp"

namespace sutfleet::docker {
namespace {

using namespace std::chrono_literals;

std::string escaped(std::string_view text, std::string_view left = {}) {
    std::string out;
    constexpr std::string_view k_hex = "0123456789ABCDEF";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || c == '-' ||
            c == '_' || c == '.' || left.find(c) != std::string_view::npos)
            out += c;
        else
            out.append({'%', k_hex[byte >> 4], k_hex[byte & 15]});
    }
    return out;
}

ErrorKind kind_of(long status) {
    if (status == 404) return ErrorKind::not_found;
    if (status == 409) return ErrorKind::conflict;
    if (status == 400) return ErrorKind::invalid_input;
    return status >= 500 ? ErrorKind::transient : ErrorKind::permanent;
}

class DockerEngine final : public Engine {
  public:
    explicit DockerEngine(HttpClient http) : http_(std::move(http)) {}

    Result<Info> ping() override;
    Result<std::vector<FoundContainer>> agents(std::string_view stack) override;
    Result<FoundContainer> inspect(std::string_view id) override;
    Result<std::vector<std::pair<std::string, std::string>>> with_role(std::string_view stack,
                                                                      std::string_view role) override;
    Result<std::string> image_user(std::string_view image) override;
    Result<std::string> image_file(std::string_view image, const std::map<std::string, std::string>& labels,
                                   std::string_view path) override;
    Result<std::string> create(const AgentContainer& wanted) override;
    Result<void> start(std::string_view id) override { return act("/containers/" + escaped(id) + "/start"); }
    Result<void> stop(std::string_view id, std::chrono::seconds timeout) override {
        return act("/containers/" + escaped(id) + "/stop?t=" + std::to_string(timeout.count()), timeout + 30s);
    }
    Result<void> kill(std::string_view id) override;
    Result<void> remove(std::string_view id) override;
    Result<ProbeOutcome> probe(std::string_view id, const std::vector<std::string>& command,
                               std::chrono::milliseconds limit) override;
    Result<std::string> tail(std::string_view id, int lines) override;
    Result<void> create_volume(std::string_view name, const std::map<std::string, std::string>& labels) override;
    Result<void> remove_volume(std::string_view name) override;
    Result<bool> has_volume(std::string_view name) override;
    Result<void> deliver(std::string_view image, const std::map<std::string, std::string>& labels,
                         const std::vector<Delivery>& deliveries) override;
    Result<void> read_volume_file(std::string_view image, const std::map<std::string, std::string>& labels, const std::string& volume,
                                  std::string_view path, const std::function<bool(std::string_view)>& sink) override;
    Result<void> run(const Errand& errand, std::chrono::milliseconds limit) override;
    Result<void> load_image(const ByteSource& archive, const ImageTransfer& transfer) override;
    Result<void> build_image(const ImageRecipe& recipe, const ByteSource& folder, const ImageTransfer& transfer) override;
    Result<void> pull_image(std::string_view image, const ImageTransfer& transfer) override;

  private:
    Result<void> transfer(const std::string& path, const ByteSource& source, const ImageTransfer& how);
    Result<void> run_to_end(const std::string& id, std::chrono::milliseconds limit);
    /// One call; any status of 400 and above is an error with the engine's own message.
    Result<std::string> call(HttpClient::Request request);
    Result<void> act(std::string path, std::chrono::milliseconds limit = 30s);
    Result<ApiVersion> api();

    const HttpClient http_;
    std::mutex mutex_;
    std::optional<ApiVersion> api_;  ///< asked again after each time the engine was away
};

Result<ApiVersion> DockerEngine::api() {
    {
        const std::scoped_lock lock(mutex_);
        if (api_) return *api_;
    }
    const auto answer = http_.send({"GET", "/version", {}, {}, 10s});
    if (!answer) return fail(answer.error());
    // As Go's server says it.
    if (answer->status == 400 && answer->body.find("HTTP request to an HTTPS server") != std::string::npos)
        return fail(ErrorKind::transient, "the engine speaks TLS: expected DOCKER_TLS_VERIFY=1, and its certificates in DOCKER_CERT_PATH");
    const auto server = decode_version(answer->body);
    if (!server) return fail(server.error());
    const auto chosen = std::min(k_newest_api, server->newest);
    if (chosen < k_oldest_api || server->oldest > k_newest_api)
        return fail(ErrorKind::permanent, "the engine is " + server->version + ": its API is not among 1.40 to 1.44");
    const std::scoped_lock lock(mutex_);
    api_ = chosen;
    return chosen;
}

Result<std::string> DockerEngine::call(HttpClient::Request request) {
    const auto version = api();
    if (!version) return fail(version.error());
    const auto what = request.method + " " + request.path.substr(0, request.path.find('?'));
    request.path = "/v" + std::to_string(version->major) + "." + std::to_string(version->minor) + request.path;
    auto answer = http_.send(request);
    if (!answer) {
        const std::scoped_lock lock(mutex_);
        api_.reset();
        return fail(answer.error());
    }
    if (answer->status < 400) return std::move(answer->body);
    auto message = text_member(answer->body, "message");
    if (message.empty()) message = "status " + std::to_string(answer->status) + " to " + what;
    return fail(kind_of(answer->status), message);
}

Result<void> DockerEngine::act(std::string path, std::chrono::milliseconds limit) {
    const auto done = call({"POST", std::move(path), {}, "application/json", limit});
    if (!done) return fail(done.error());
    return {};
}

Result<Engine::Info> DockerEngine::ping() {
    const auto version = api();
    if (!version) return fail(version.error());
    const auto info = call({"GET", "/info", {}, {}, 10s});
    if (!info) return fail(info.error());
    const auto cpus = decode_cpus(*info);
    if (!cpus) return fail(cpus.error());
    return Info{"docker", text_member(*info, "ServerVersion"),
                std::to_string(version->major) + "." + std::to_string(version->minor), *cpus};
}

Result<std::vector<FoundContainer>> DockerEngine::agents(std::string_view stack) {
    const auto filters = encode_filters({"io.sutfleet.stack=" + std::string(stack), "io.sutfleet.sut"});
    const auto answer = call({"GET", "/containers/json?all=1&filters=" + escaped(filters), {}, {}, 30s});
    if (!answer) return fail(answer.error());
    return decode_summaries(*answer);
}

Result<FoundContainer> DockerEngine::inspect(std::string_view id) {
    const auto answer = call({"GET", "/containers/" + escaped(id) + "/json", {}, {}, 15s});
    if (!answer) return fail(answer.error());
    return decode_container(*answer);
}

Result<std::vector<std::pair<std::string, std::string>>> DockerEngine::with_role(std::string_view stack,
                                                                                std::string_view role) {
    const auto filters =
        encode_filters({"io.sutfleet.stack=" + std::string(stack), "io.sutfleet.role=" + std::string(role)});
    // Helpers are never running; of the others only those that run count.
    const std::string all = role == "helper" ? "all=1&" : "";
    const auto answer = call({"GET", "/containers/json?" + all + "filters=" + escaped(filters), {}, {}, 15s});
    if (!answer) return fail(answer.error());
    return decode_list(*answer);
}

Result<std::string> DockerEngine::image_user(std::string_view image) {
    const auto answer = call({"GET", "/images/" + escaped(image, "/:@") + "/json", {}, {}, 15s});
    if (!answer) return fail(answer.error());
    return decode_image_user(*answer);
}

Result<std::string> DockerEngine::image_file(std::string_view image, const std::map<std::string, std::string>& labels,
                                             std::string_view path) {
    const auto made = call({"POST", "/containers/create", encode_helper(image, labels, {}), "application/json", 60s});
    if (!made) return fail(made.error());
    const auto id = made_id(*made);
    if (!id) return fail(id.error());
    const auto tar = call({"GET", "/containers/" + *id + "/archive?path=" + escaped(path), {}, {}, 30s});
    const auto removed = remove(*id);
    if (!tar) return fail(tar.error());
    if (!removed) return fail(removed.error());
    return read_tar_file(*tar);
}

Result<std::string> DockerEngine::create(const AgentContainer& wanted) {
    const auto version = api();
    if (!version) return fail(version.error());
    const auto answer = call({"POST", "/containers/create?name=" + escaped(wanted.name),
                              encode_create(wanted, *version), "application/json", 60s});
    if (!answer) return fail(answer.error());
    return made_id(*answer);
}

Result<void> DockerEngine::kill(std::string_view id) {
    auto done = act("/containers/" + escaped(id) + "/kill");
    if (!done && done.error().kind == ErrorKind::conflict) return {};  // it does not run
    return done;
}

Result<void> DockerEngine::remove(std::string_view id) {
    // v=1: with the nameless volumes that an image's VOLUME made for it; those with a name stay.
    const auto done = call({"DELETE", "/containers/" + escaped(id) + "?force=1&v=1", {}, "application/json", 60s});
    if (!done && done.error().kind != ErrorKind::not_found) return fail(done.error());
    return {};
}

Result<ProbeOutcome> DockerEngine::probe(std::string_view id, const std::vector<std::string>& command,
                                         std::chrono::milliseconds limit) {
    const auto made = call({"POST", "/containers/" + escaped(id) + "/exec", encode_exec(command), "application/json", 10s});
    if (!made) return fail(made.error());
    const auto exec = made_id(*made);
    if (!exec) return fail(exec.error());
    const auto started = sys::steady_now();
    const auto output = call({"POST", "/exec/" + *exec + "/start", R"({"Detach":false,"Tty":false})", "application/json", limit});
    ProbeOutcome outcome;
    if (!output && sys::steady_now() - started < limit) return fail(output.error());
    if (!output) return outcome;  // it hung until the limit
    outcome.output = unframe(*output).substr(0, 4096);
    const auto answer = call({"GET", "/exec/" + *exec + "/json", {}, {}, 10s});
    if (!answer) return fail(answer.error());
    const auto state = decode_exec(*answer);
    if (!state) return fail(state.error());
    outcome.finished = !state->running;
    outcome.exit_code = state->exit_code;
    return outcome;
}

Result<std::string> DockerEngine::tail(std::string_view id, int lines) {
    const auto answer = call({"GET", "/containers/" + escaped(id) + "/logs?stdout=1&stderr=1&tail=" + std::to_string(lines), {}, {}, 10s});
    if (!answer) return fail(answer.error());
    return unframe(*answer);
}

Result<void> DockerEngine::create_volume(std::string_view name, const std::map<std::string, std::string>& labels) {
    const auto done = call({"POST", "/volumes/create", encode_volume(name, labels), "application/json", 30s});
    if (!done) return fail(done.error());
    return {};
}

Result<void> DockerEngine::remove_volume(std::string_view name) {
    const auto done = call({"DELETE", "/volumes/" + escaped(name), {}, "application/json", 30s});
    if (!done && done.error().kind != ErrorKind::not_found) return fail(done.error());
    return {};
}

Result<bool> DockerEngine::has_volume(std::string_view name) {
    const auto found = call({"GET", "/volumes/" + escaped(name), {}, {}, 10s});
    if (found) return true;
    if (found.error().kind == ErrorKind::not_found) return false;
    return fail(found.error());
}

Result<void> DockerEngine::deliver(std::string_view image, const std::map<std::string, std::string>& labels,
                                   const std::vector<Delivery>& deliveries) {
    std::vector<std::string> volumes;
    std::vector<VolumeEntry> all;
    for (const auto& delivery : deliveries) {
        const auto top = helper_mount(volumes.size()).substr(1);
        volumes.push_back(delivery.volume);
        for (auto entry : delivery.entries) {
            entry.path = entry.path == "." ? top : top + "/" + entry.path;
            all.push_back(std::move(entry));
        }
    }
    auto tar = write_tar(all);
    if (!tar) return fail(tar.error());
    const auto made = call({"POST", "/containers/create", encode_helper(image, labels, volumes), "application/json", 60s});
    if (!made) return fail(made.error());
    const auto id = made_id(*made);
    if (!id) return fail(id.error());
    // One call for all volumes: the engine starts a process for each.
    const auto put = call({"PUT", "/containers/" + *id + "/archive?path=%2F", *std::move(tar), "application/x-tar", 120s});
    auto removed = remove(*id);
    if (!put) return fail(put.error());
    return removed;
}

Result<void> DockerEngine::read_volume_file(std::string_view image, const std::map<std::string, std::string>& labels, const std::string& volume,
                                            std::string_view path, const std::function<bool(std::string_view)>& sink) {
    const auto made = call({"POST", "/containers/create", encode_helper(image, labels, {volume}), "application/json", 60s});
    if (!made) return fail(ErrorKind::transient, made.error().message);  // an image that is missing is no missing file
    const auto id = text_member(*made, "Id");
    TarFile file(sink);
    const auto got = call({"GET", "/containers/" + id + "/archive?path=" + escaped(helper_mount(0) + "/" + std::string(path)), {}, {}, 300s,
                           [&](std::string_view bytes) { return file.take(bytes); }});
    const bool no_helper = !got && got.error().kind == ErrorKind::not_found && !inspect(id);
    auto removed = remove(id);
    if (no_helper) return fail(ErrorKind::transient, "a helper container was removed by somebody: " + got.error().message);
    if (!got) return fail(got.error());
    if (auto whole = file.finish(); !whole) return whole;
    return removed;
}

Result<void> DockerEngine::run_to_end(const std::string& id, std::chrono::milliseconds limit) {
    if (auto started = start(id); !started) return started;
    const auto answer = call({"POST", "/containers/" + id + "/wait", {}, "application/json", limit});
    if (!answer) return fail(answer.error());
    const auto code = decode_wait(*answer);
    if (!code) return fail(code.error());
    if (*code == 0) return {};
    return fail(ErrorKind::permanent, "it ended with " + std::to_string(*code) + ": " + tail(id, 1).value_or(std::string()));
}

Result<void> DockerEngine::run(const Errand& errand, std::chrono::milliseconds limit) {
    const auto made = call({"POST", "/containers/create", encode_errand(errand), "application/json", 60s});
    if (!made) return fail(made.error());
    const auto id = made_id(*made);
    if (!id) return fail(id.error());
    auto ran = run_to_end(*id, limit);
    auto removed = remove(*id);
    return ran ? removed : ran;
}

Result<void> DockerEngine::transfer(const std::string& path, const ByteSource& source, const ImageTransfer& how) {
    const auto version = api();
    if (!version) return fail(version.error());
    const auto lead = "/v" + std::to_string(version->major) + "." + std::to_string(version->minor);
    ImageAnswers answers(how.said);
    const auto status = http_.transfer({lead + path, source, [&](std::string_view bytes) { answers.take(bytes); }, how.go_on, how.limit});
    const auto error = answers.finish();
    if (!status) return fail(status.error());
    if (*status >= 500) return fail(ErrorKind::transient, error.empty() ? "status " + std::to_string(*status) : error);
    if (*status >= 400 || !error.empty()) return fail(ErrorKind::permanent, error.empty() ? "status " + std::to_string(*status) : error);
    return {};
}

Result<void> DockerEngine::load_image(const ByteSource& archive, const ImageTransfer& how) {
    return transfer("/images/load?quiet=1", archive, how);
}

/// By the engine's own builder: BuildKit needs a session with its client.
Result<void> DockerEngine::build_image(const ImageRecipe& recipe, const ByteSource& folder, const ImageTransfer& how) {
    auto path = "/build?rm=1&forcerm=1&t=" + escaped(recipe.image) + "&dockerfile=" + escaped(recipe.dockerfile);
    if (!recipe.args.empty()) path += "&buildargs=" + escaped(encode_texts(recipe.args));
    if (!recipe.target.empty()) path += "&target=" + escaped(recipe.target);
    if (!recipe.network.empty()) path += "&networkmode=" + escaped(recipe.network);
    return transfer(path, folder, how);
}

Result<void> DockerEngine::pull_image(std::string_view image, const ImageTransfer& how) {
    return transfer("/images/create?fromImage=" + escaped(image), [](char*, std::size_t) -> Result<std::size_t> { return 0U; }, how);
}

class DockerEvents final : public EngineEvents {
  public:
    DockerEvents(HttpClient http, std::string stack, std::function<void(const EngineChange&)> changed)
        : changed_(std::move(changed)) {
        thread_ = std::jthread([this, http = std::move(http), stack = std::move(stack)](const std::stop_token& stop) {
            const auto path = "/events?filters=" + escaped(encode_event_filters(stack));
            const auto go_on = [&stop] { return !stop.stop_requested(); };
            while (go_on()) {
                EventLines lines(changed_);
                // Told once it listens: what came before this connection was not heard.
                [[maybe_unused]] const auto ended = http.stream(
                    path, [&](std::string_view bytes) { return lines.take(bytes), true; }, go_on, [this] { changed_({}); });
                if (!go_on()) return;
                changed_({});  // that the engine may be gone is to be seen
                std::unique_lock lock(mutex_);
                pause_.wait_for(lock, stop, 1s, [] { return false; });
            }
        });
    }
    ~DockerEvents() override { thread_.request_stop(); }

  private:
    const std::function<void(const EngineChange&)> changed_;
    std::mutex mutex_;
    std::condition_variable_any pause_;
    std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<Engine>> open_docker(const EngineAddress& address) {
    auto http = HttpClient::open(address);
    if (!http) return fail(http.error());
    return std::make_unique<DockerEngine>(*std::move(http));
}

Result<std::unique_ptr<EngineEvents>> watch_docker_events(const EngineAddress& address, std::string stack,
                                                          std::function<void(const EngineChange&)> changed) {
    auto http = HttpClient::open(address);
    if (!http) return fail(http.error());
    return std::make_unique<DockerEvents>(*std::move(http), std::move(stack), std::move(changed));
}

}  // namespace sutfleet::docker
