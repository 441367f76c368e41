#include "executor.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/agent_files.hpp"
#include "evidence.hpp"
#include "program_tree.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;

constexpr auto k_probe_limit = 5s;
constexpr auto k_hand_over_limit = 10min;
constexpr int k_evidence_lines = 50;
constexpr std::size_t k_past_limit = 1024 * 1024;

std::string generation() {
    return std::to_string(
        std::chrono::duration_cast<std::chrono::milliseconds>(sys::wall_now().time_since_epoch()).count());
}

std::vector<std::string> keys_of(const SecretValues& values) {
    std::vector<std::string> out;
    for (const auto& [key, value] : values) out.push_back(key);
    return out;
}

/// What an engine says whose earlier life ended while the container did: "task <id>: already exists", "id already in use".
bool is_left_over(const std::string& error) {
    return error.find("already exists") != std::string::npos || error.find("already in use") != std::string::npos;
}

}  // namespace

Executor::Executor(const Settings& settings, Engine& engine, const sys::Wake& owner)
    : settings_(settings), engine_(engine), owner_(owner), courier_(engine, helper_labels(settings)) {
    for (std::size_t i = 0; i < k_workers; ++i)
        workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

Executor::~Executor() {
    for (auto& worker : workers_) worker.request_stop();
}

void Executor::submit(Task task) {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    added_.notify_one();
}

std::vector<Outcome> Executor::take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(outcomes_, {});
}

void Executor::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (added_.wait(lock, stop, [this] { return !tasks_.empty(); })) {
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        auto outcome = perform(task);
        lock.lock();
        outcomes_.push_back(std::move(outcome));
        owner_.notify();
    }
}

Outcome Executor::perform(const Task& task) {
    Outcome outcome{task.action, {}, {}, {}, {}};
    const auto lacks = lacks_image(task);
    if (!lacks || *lacks) {
        outcome.image_missing = lacks.has_value();
        if (!lacks) outcome.result = fail(lacks.error());
        return outcome;
    }
    switch (task.action.verb) {
        case Verb::create: outcome.result = create(task, outcome); break;
        case Verb::start: outcome.result = start(task, outcome); break;
        case Verb::restart: outcome.result = restart(task, outcome); break;
        case Verb::recreate:
            if (task.evidence) keep_evidence(task, outcome);
            outcome.result = remove(task, true);
            if (outcome.result) outcome.result = create(task, outcome);
            break;
        case Verb::deliver: outcome.result = deliver(task, outcome); break;
        case Verb::park: outcome.result = remove(task, false); break;
        case Verb::retire: outcome.result = remove(task, true); break;
        case Verb::purge: outcome.result = purge(task); break;
        case Verb::probe: {
            auto probe = engine_.probe(task.container, {std::string(agent_files::k_healthcheck)}, k_probe_limit);
            if (probe) outcome.probe = *std::move(probe);
            else outcome.result = fail(probe.error());
            break;
        }
    }
    return outcome;
}

Result<Owner> Executor::owner(const SutConf& conf) {
    const auto image = image_of(settings_, conf);
    auto user = Result<std::string>(conf.container.user);
    if (user->empty()) user = engine_.image_user(image);
    if (!user && user.error().kind == ErrorKind::not_found)
        return fail(ErrorKind::not_found, "image missing: " + image + " is not on this engine");
    if (!user) return fail(user.error());
    auto owner = owner_of(*user, [&] { return engine_.image_file(image, helper_labels(settings_), "/etc/passwd"); });
    if (!owner) return fail(owner.error().with("user '" + *user + "' of image " + image));
    return owner;
}

/// What an earlier container left belongs to the user that it had: without capabilities not even root could open it.
Result<void> Executor::hand_over_state(const SutName& sut, const SutConf& conf, Owner to) {
    const auto record = settings_.state_dir + "/owners/" + sut.str();
    const auto text = std::to_string(to.uid) + ":" + std::to_string(to.gid);
    const auto volume = state_volume(settings_, sut);
    const auto there = engine_.has_volume(volume);
    if (!there) return fail(there.error());
    if (*there && sys::read_file(record, 64).value_or("") == text) return {};
    if (!*there) {
        if (auto made = engine_.create_volume(volume, stack_labels(settings_)); !made) return made;
    } else if (auto ran = engine_.run({image_of(settings_, conf), helper_labels(settings_),
                                       {{programs_volume(settings_, build_), std::string(agent_files::k_programs), false},
                                        {volume, std::string(agent_files::k_state), true}},
                                       {std::string(agent_files::k_agent_entry), "--own", text}, {"CHOWN", "DAC_READ_SEARCH"}},
                                      k_hand_over_limit); !ran) {
        return fail(ran.error().with("giving the state to " + text));
    }
    if (auto made = sys::make_folders(settings_.state_dir + "/owners", 0700); !made) return made;
    // Only now: what was cut off is done again.
    return sys::write_file_atomic(record, text, 0600, sys::Durability::durable);
}

int Executor::engine_cpus() {
    if (cpus_ == 0)
        if (const auto info = engine_.ping()) cpus_ = info->cpus;
    return std::max<int>(cpus_, 1);
}

Result<void> Executor::ensure_programs() {
    const std::scoped_lock lock(programs_mutex_);
    if (build_.empty()) {
        auto build = program_build(settings_.agent_tree);
        if (!build) return fail(build.error());
        build_ = *build;
    }
    const auto volume = programs_volume(settings_, build_);
    const auto done = settings_.state_dir + "/programs-" + build_;
    const auto there = engine_.has_volume(volume);  // each time: the engine would make a lost one, empty, and nothing could start
    if (!there) return fail(there.error());
    if (*there && (programs_there_ || sys::read_file(done, 64))) return programs_there_ = true, Result<void>{};
    auto tree = read_program_tree(settings_.agent_tree);
    if (!tree) return fail(tree.error());
    if (auto made = engine_.create_volume(volume, stack_labels(settings_)); !made) return made;
    if (auto put = engine_.deliver(settings_.agent_image, helper_labels(settings_), {{volume, std::move(tree->entries)}}); !put)
        return fail(put.error().with("delivering the agents' programs"));
    programs_there_ = true;
    // Only now: a delivery that was cut off is done again.
    return sys::write_file_atomic(done, "delivered\n", 0600, sys::Durability::durable);
}

Result<void> Executor::deliver(const Task& task, Outcome& outcome) {
    const auto who = owner(*task.file.conf);
    if (!who) return fail(who.error());
    const auto delivered = deliver(task, outcome, *who, false);
    return delivered ? Result<void>{} : fail(delivered.error());
}

Result<Courier::Start> Executor::deliver(const Task& task, Outcome& outcome, const Owner& who, bool starts) {
    const auto& sut = task.action.sut;
    const auto& conf = *task.file.conf;
    const auto fresh = generation();
    std::vector<Engine::Delivery> deliveries;
    // Before the conf, which is what the agent wakes for.
    if (!conf.secrets.empty()) {
        auto secrets = begin_secrets(sut, task.file, fresh, who);
        if (!secrets) return fail(secrets.error());
        deliveries.push_back(*std::move(secrets));
    }
    const auto& build = starts ? build_ : task.programs;
    deliveries.push_back({conf_volume(settings_, sut), conf_entries(settings_, sut, task.file, build, task.access, fresh, who)});
    if (starts)
        deliveries.push_back({state_volume(settings_, sut),
                              {{VolumeEntry::Kind::folder, ".", {}, 0755, who.uid, who.gid}}});
    const auto image = image_of(settings_, conf);
    auto start = send(task, image, std::move(deliveries), starts);
    if (!start) return start;
    outcome.delivered_hash = task.delivery_hash;
    outcome.credential = task.access.credential;
    if (!conf.secrets.empty()) end_secrets(sut, task.file, fresh);
    return start;
}

Result<Courier::Start> Executor::send(const Task& task, const std::string& image, std::vector<Engine::Delivery> deliveries, bool starts) {
    if (starts && !task.retry) return courier_.deliver_for_start(image, std::move(deliveries));
    auto sent = task.retry ? engine_.deliver(image, helper_labels(settings_), deliveries) : courier_.deliver(image, std::move(deliveries));
    if (!sent) return fail(sent.error());
    return Courier::Start();
}

/// Generations and keys, never a value.
std::string Executor::secrets_record(const SutName& sut) const { return settings_.state_dir + "/secrets/" + sut.str(); }

Result<void> Executor::write_secrets_record(const SutName& sut, const PastSecrets& past) const {
    if (auto made = sys::make_folders(settings_.state_dir + "/secrets", 0700); !made) return made;
    return sys::write_file_atomic(secrets_record(sut), encode_past_secrets(past), 0600, sys::Durability::durable);
}

/// On record before it is delivered: a delivery that is cut off leaves values behind, too.
Result<Engine::Delivery> Executor::begin_secrets(const SutName& sut, const ConfFile& file, const std::string& generation, Owner who) {
    auto past = decode_past_secrets(sys::read_file(secrets_record(sut), k_past_limit).value_or(""));
    Engine::Delivery out{secrets_volume(settings_, sut), secret_entries(file.secrets, generation, past, who)};
    past[generation] = keys_of(file.secrets);
    if (auto kept = write_secrets_record(sut, past); !kept) return fail(kept.error());
    return out;
}

void Executor::end_secrets(const SutName& sut, const ConfFile& file, const std::string& generation) {
    // Emptied ones are emptied once more otherwise.
    if (const auto kept = write_secrets_record(sut, {{generation, keys_of(file.secrets)}}); !kept)
        sys::log(sys::Level::warn, "sut=" + sut.str() + " " + kept.error().message);
}

Result<void> Executor::create(const Task& task, Outcome& outcome) {
    const auto& sut = task.action.sut;
    const auto& conf = *task.file.conf;
    if (auto there = ensure_programs(); !there) return there;
    const auto who = owner(conf);
    if (!who) return fail(who.error());
    if (auto made = engine_.create_volume(conf_volume(settings_, sut), stack_labels(settings_)); !made) return made;
    if (!conf.secrets.empty())
        if (auto made = engine_.create_volume(secrets_volume(settings_, sut), stack_labels(settings_)); !made) return made;
    if (auto given = hand_over_state(sut, conf, *who); !given) return given;
    const auto on_the_way = deliver(task, outcome, *who, true);
    if (!on_the_way) return fail(on_the_way.error());
    const auto turn = turn_to_start(task);
    const auto wanted = container_of(settings_, sut, conf, build_, *who, fleet_size_, engine_cpus());
    const auto id = engine_.create(wanted);
    if (!id && id.error().kind == ErrorKind::conflict)
        return fail(ErrorKind::conflict, "name taken: a container '" + wanted.name +
                                             "' that is not of this stack exists; it is not touched");
    if (!id) return fail(id.error());
    return engine_.start(*id);
}

void Executor::StartSlots::acquire() {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [this] { return free_ > 0; });
    --free_;
}

void Executor::StartSlots::release() {
    const std::scoped_lock lock(mutex_);
    ++free_;
    freed_.notify_one();
}

Executor::StartTurn Executor::turn_to_start(const Task& task) {
    if (task.retry) return nullptr;
    start_slots_.acquire();
    return StartTurn(&start_slots_);
}

std::string Executor::gather_evidence(const Task& task) {
    const auto found = engine_.inspect(task.container);
    const auto tail = engine_.tail(task.container, k_evidence_lines);
    return encode_evidence({format_rfc3339(sys::wall_now()), task.action.reason, found ? found->health_log : std::string(),
                            tail.value_or(std::string()), found ? found->exit_code : std::nullopt});
}

void Executor::keep_evidence(const Task& task, Outcome& outcome) {
    outcome.evidence = gather_evidence(task);
    const auto folder = settings_.state_dir + "/evidence";
    auto kept = sys::make_folders(folder, 0700);
    if (kept)
        kept = sys::write_file_atomic(folder + "/" + task.action.sut.str() + ".json", outcome.evidence, 0600,
                                      sys::Durability::durable);
    if (!kept) sys::log(sys::Level::warn, "sut=" + task.action.sut.str() + " evidence not kept: " + kept.error().message);
}

/// A container that its engine's earlier life keeps from starting is made anew.
Result<void> Executor::start(const Task& task, Outcome& outcome) {
    if (task.evidence) keep_evidence(task, outcome);
    auto turn = turn_to_start(task);
    auto started = engine_.start(task.container);
    turn.reset();
    // Without its secrets it could not be made again.
    if (started || !task.file.conf || !task.file.secrets_error.empty() || !is_left_over(started.error().message)) return started;
    sys::log(sys::Level::warn, "sut=" + task.action.sut.str() + " " + started.error().message + ": the container is made anew");
    if (auto removed = remove(task, true); !removed) return removed;
    return create(task, outcome);
}

Result<void> Executor::restart(const Task& task, Outcome& outcome) {
    keep_evidence(task, outcome);
    auto ended = task.hung ? engine_.kill(task.container) : engine_.stop(task.container, task.stop_timeout);
    if (!ended) return ended;
    const auto turn = turn_to_start(task);
    return engine_.start(task.container);
}

Result<void> Executor::remove(const Task& task, bool with_conf) {
    if (auto stopped = engine_.stop(task.container, task.stop_timeout); !stopped && stopped.error().kind != ErrorKind::not_found)
        return stopped;
    if (auto removed = engine_.remove(task.container); !removed) return removed;
    return with_conf ? take_back(task.action.sut) : Result<void>{};
}

Result<void> Executor::take_back(const SutName& sut) {
    if (auto removed = engine_.remove_volume(secrets_volume(settings_, sut)); !removed) return removed;
    [[maybe_unused]] const auto forgotten = ::unlink(secrets_record(sut).c_str());
    return engine_.remove_volume(conf_volume(settings_, sut));
}

Result<void> Executor::purge(const Task& task) {
    auto removed = task.container.empty() ? take_back(task.action.sut) : remove(task, true);
    return removed ? engine_.remove_volume(state_volume(settings_, task.action.sut)) : removed;
}

/// Asked before anything is changed, of an image that can be brought: whoever waits for it keeps the agent that it has.
Result<bool> Executor::lacks_image(const Task& task) {
    const bool needs = task.action.verb == Verb::create || task.action.verb == Verb::recreate || task.action.verb == Verb::deliver;
    if (!needs || !task.file.conf || task.file.conf->container.context.empty()) return false;
    const auto user = engine_.image_user(image_of(settings_, *task.file.conf));
    if (user) return false;
    if (user.error().kind == ErrorKind::not_found) return true;
    return fail(user.error());
}

}  // namespace sutfleet
