// The agent dies at every crash point (sys/crash_point.hpp), one by one, with jobs that wait, run and end; each time its
// next life has to hold all that was promised: by the journal, the broker's retained topics and what the jobs did.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "job_book.hpp"
#include "lab.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/process_table.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using agent::JobRecord;
using agent::JobState;

namespace {

constexpr std::size_t k_journal_limit = 64 * 1024 * 1024;
constexpr auto k_limit = 60s;

/// Where an agent dies: at the first point (of this kind, if there is one), and its next life at the second; 0: nowhere.
struct Deaths {
    int first = 0;
    int second = 0;
    std::string kind{};
};

std::string value_of(int point, const std::string& kind = {}) {
    if (point == 0) return {};
    return std::to_string(point) + (kind.empty() ? "" : " " + kind);
}

/// What a client sees of the agent's topics, and what it has seen.
class Ear {
  public:
    explicit Ear(const std::string& url, const std::string& name) : wake_(*sys::Wake::open()) {
        mqtt::SessionOptions options;
        options.url = url;
        options.client_id = name;
        options.subscriptions = {{"alpha/#", 1, true}};
        session_ = mqtt::Session::open(std::move(options), wake_);
    }
    ~Ear() { session_->close(5s); }
    Ear(const Ear&) = delete;
    Ear& operator=(const Ear&) = delete;

    void hear() {
        for (auto& message : session_->drain().messages) {
            const auto level = message.topic.substr(message.topic.find('/') + 1);
            if (level.starts_with("job/") && !message.payload.empty()) history_[level].push_back(message.payload);
            if (message.payload.empty())
                now_.erase(level);
            else
                now_[level] = std::move(message.payload);
        }
    }
    bool says(const std::string& level, const std::string& text) {
        hear();
        return now_.contains(level) && now_[level].find(text) != std::string::npos;
    }
    std::optional<JobRecord> job(const std::string& id) {
        hear();
        if (!now_.contains("job/" + id)) return std::nullopt;
        const auto record = agent::decode_job_record(now_["job/" + id]);
        return record ? std::optional(*record) : std::nullopt;
    }
    bool publish(const std::string& topic, const std::string& payload, bool retain = false) {
        mqtt::Publication publication;
        publication.topic = topic;
        publication.payload = payload;
        publication.retain = retain;
        return test::eventually([&] { return session_->publish(publication).has_value(); });
    }
    [[nodiscard]] const std::map<std::string, std::string>& now() const { return now_; }
    [[nodiscard]] const std::map<std::string, std::vector<std::string>>& history() const { return history_; }

  private:
    sys::Wake wake_;
    std::unique_ptr<mqtt::Session> session_;
    std::map<std::string, std::string> now_;
    std::map<std::string, std::vector<std::string>> history_;  ///< of the records
};

/// The journal as it is on the disk, read without touching it.
struct Journal {
    std::map<std::string, std::vector<JobRecord>> jobs;  ///< all entries of an id, in order
    std::map<std::string, std::string> newest;           ///< as they are written
    bool whole = true;

    [[nodiscard]] std::set<std::string> in(JobState state) const {
        std::set<std::string> out;
        for (const auto& [id, records] : jobs)
            if (records.back().state == state) out.insert(id);
        return out;
    }
};

Journal read_journal(const std::string& state_folder) {
    Journal out;
    const auto text = sys::read_file(state_folder + "/jobs.journal", k_journal_limit).value_or("");
    for (std::size_t at = 0, size = 0; at < text.size(); at += size) {
        const auto entry = decode_journal_entry(std::string_view(text).substr(at), size);
        const auto record = entry ? agent::decode_job_record(entry->record) : Result<JobRecord>(fail(entry.error()));
        if (!record) return out.whole = false, out;
        out.jobs[record->id.str()].push_back(*record);
        out.newest[record->id.str()] = entry->record;
    }
    return out;
}

/// Of jobs that failed long ago, more than are shown; nearly long enough to be compacted.
std::string old_journal() {
    static const std::string text = [] {
        const test::TempFolder folder;
        const auto book = agent::JobBook::open(folder.path(), *SutName::parse("alpha"), sys::wall_now());
        for (int i = 0; i < 40; ++i) {
            const auto command = std::string(i < 23 ? 1 : 240'000, 'x');
            const auto payload = nlohmann::json{{"id", "old" + std::to_string(i)}, {"command", command}}.dump();
            auto record = *(*book)->find(*(*book)->accept(payload, false, sys::wall_now()).id);
            record.state = JobState::failed;
            if (!(*book)->update(record)) throw std::runtime_error("the journal cannot be written");
        }
        return *sys::read_file(folder.path() + "/jobs.journal", k_journal_limit);
    }();
    return text;
}

AgentRules rules_of(const std::string& folder) {
    AgentRules rules;
    rules.timeouts.stop = 300ms;
    rules.env["SUTFLEET_TEST_CASE"] = folder;
    rules.env["TRACE"] = folder + "/trace";
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo clean $SUTFLEET_JOB_ID >> $TRACE"}};
    return rules;
}

enum class Plot {
    day,    ///< jobs come, wait, run and end, and the agent is stopped
    start,  ///< of an agent with a long journal, a lost job and one that waits
};

/// One life after another of one agent.
class Story {
  public:
    Story(Plot plot, Deaths deaths)
        : plot_(plot), deaths_(deaths), tag_("c" + std::to_string(++count_) + "-"), ear_(broker_.url(), "ear"),
          agent_(AGENT_ENTRY, broker_.url(), rules_of(place_.path()), plot == Plot::day ? value_of(deaths.first, deaths.kind) : std::string()) {}
    ~Story() {
        agent_.signal(SIGKILL);
        kill_leftovers();
    }

    /// @return what was not held; nothing: all was
    std::vector<std::string> tell();
    [[nodiscard]] const std::vector<std::string>& died_at() const { return died_at_; }

  private:
    static inline std::atomic<int> count_{0};

    std::string run(const std::string& rest = "true") const { return "echo run $SUTFLEET_JOB_ID >> $TRACE; " + rest; }
    /// Holds a job until the file is there.
    std::string until(const std::string& file) const { return run("while [ ! -e " + place_.path() + "/" + file + " ]; do sleep 0.02; done"); }
    void let(const std::string& file) const { std::ofstream(place_.path() + "/" + file) << "go"; }
    std::string id(const std::string& name) const { return tag_ + name; }

    std::string payload_of(const std::string& name, const std::string& command, const std::string& more) const {
        auto text = nlohmann::json{{"id", id(name)}, {"command", command}}.dump();
        if (!more.empty()) text.back() = ',', text += more + "}";
        return text;
    }
    void submit(const std::string& name, const std::string& command, const std::string& more = {}) {
        submits_[id(name)] = payload_of(name, command, more);
        ear_.publish("alpha/submit", submits_[id(name)]);
    }
    void cancel(const std::string& name) {
        cancel_ = id(name);
        ear_.publish("alpha/cmd/cancel", cancel_);
    }
    void resume() {
        resumes_ = true;
        ear_.publish("alpha/cmd/resume", "");
    }
    bool ended(const std::string& name) {
        const auto record = ear_.job(id(name));
        return record && terminal(record->state);
    }
    bool runs_or_ended(const std::string& name) {
        const auto record = ear_.job(id(name));
        return record && record->state != JobState::queued;
    }
    void wait_for(const std::string& what, const std::function<bool()>& condition);
    void stop();
    void revive();
    void kill_leftovers() const { sys::kill_all_with("SUTFLEET_TEST_CASE=" + place_.path()); }
    void expect(bool so, const std::string& what) {
        if (!so) complaints_.push_back(what);
    }
    /// Of all deaths, every second one with a retry, every other two with a client that submits again.
    [[nodiscard]] std::string retry() const { return deaths_.first % 2 == 0 ? "" : R"("retries":{"max":3,"on":["lost"]})"; }
    [[nodiscard]] bool republishes() const { return deaths_.first / 2 % 2 == 0; }
    void play_day();
    void play_start();
    void write_long_journal();
    void check();
    void check_death();
    void check_journal();
    void check_jobs();
    void check_trace();
    void check_topics();
    [[nodiscard]] bool all_clean() const;
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> trace() const;

    const Plot plot_;
    const Deaths deaths_;
    const std::string tag_;
    test::TempFolder place_;
    test::PrivateBroker broker_{"max_inflight_messages 1000\n"};  ///< as in the stack
    Ear ear_;
    test::PrivateAgent agent_;
    std::map<std::string, std::string> submits_;
    std::string cancel_;  ///< the job to be canceled, also in the next life
    bool resumes_ = false;
    std::set<std::string> ran_at_death_;
    Journal journal_;
    std::vector<std::string> died_at_;
    std::vector<std::string> complaints_;
};

std::vector<std::string> Story::tell() {
    try {
        plot_ == Plot::day ? play_day() : play_start();
        check();
    } catch (const std::exception& error) {
        complaints_.push_back(error.what());
    }
    return complaints_;
}

void Story::play_day() {
    wait_for("a ready agent", [&] { return ear_.says("submit_status", "ready"); });
    submit("plain", run());
    wait_for("plain", [&] { return ended("plain"); });
    submit("long", until("go"));
    wait_for("long to run", [&] { return runs_or_ended("long"); });
    submit("fails", run("exit 7"), R"("retries":{"max":1,"on":[7]})");
    submit("again", run(), R"("retries":{"max":3,"on":["lost"]})");
    submit("out", run());
    ear_.publish("alpha/submit", run(": a text of " + tag_));
    wait_for("the queue", [&] { return ear_.job(id("out")) && ear_.job(id("again")) && ear_.job(id("fails")); });
    cancel("out");
    wait_for("out", [&] { return ended("out"); });
    let("go");
    wait_for("the queue's end", [&] { return ended("long") && ended("fails") && ended("again") && ear_.says("submit_status", "ready"); });
    submit("person", run("exit 46"));
    wait_for("person", [&] { return ended("person"); });
    if (ear_.job(id("person"))->exit == 46) wait_for("maintenance", [&] { return ear_.says("state", "maintenance"); });
    resume();
    wait_for("the resume", [&] { return ear_.says("res/resume", "takes jobs"); });
    submit("stopped", until("stop"), retry());
    wait_for("stopped to run", [&] { return runs_or_ended("stopped"); });
    stop();
    wait_for("stopped", [&] { return ended("stopped"); });
}

/// The first life is killed before it has done anything: it leaves its folders.
void Story::play_start() {
    agent_.signal(SIGKILL);
    if (!test::eventually([&] { return agent_.ended().has_value(); }, k_limit)) throw std::runtime_error("it does not die");
    write_long_journal();
    agent_.start(value_of(deaths_.first, deaths_.kind));
    wait_for("cut", [&] { return ended("cut"); });
    wait_for("waits", [&] { return ended("waits") && ear_.says("submit_status", "ready"); });
}

/// More than k_compact_from. The oldest job's record was shown, and is not any more.
void Story::write_long_journal() {
    std::filesystem::create_directories(agent_.folder() + "/state/jobs");
    std::ofstream(agent_.folder() + "/state/jobs.journal", std::ios::trunc) << old_journal();
    const auto alpha = *SutName::parse("alpha");
    const auto book = agent::JobBook::open(agent_.folder() + "/state", alpha, sys::wall_now());
    if (!book) throw std::runtime_error(book.error().message);
    ear_.publish("alpha/job/old0", agent::encode_job_record(*(*book)->find(*JobId::parse("old0"))), true);
    submits_[id("cut")] = payload_of("cut", run(), retry());
    submits_[id("waits")] = payload_of("waits", run(), R"("context":")" + std::string(200'000, 'x') + '"');
    auto cut = *(*book)->find(*(*book)->accept(submits_[id("cut")], false, sys::wall_now()).id);
    cut.state = JobState::running;
    cut.started = cut.submitted;
    if (!(*book)->update(cut)) throw std::runtime_error("the journal cannot be written");
    ran_at_death_.insert(id("cut"));
    (*book)->accept(submits_[id("waits")], false, sys::wall_now());
    expect(std::filesystem::file_size(agent_.folder() + "/state/jobs.journal") > agent::k_compact_from, "the journal is too short");
}

void Story::check() {
    wait_for("the last cleanup", [&] { return all_clean(); });
    journal_ = read_journal(agent_.folder() + "/state");
    check_journal();
    check_jobs();
    check_trace();
    check_topics();
}

/// Until it is so, through the agent's deaths.
void Story::wait_for(const std::string& what, const std::function<bool()>& condition) {
    const auto holds = [&] {
        if (agent_.ended()) revive();
        return condition();
    };
    if (!test::eventually(holds, k_limit)) throw std::runtime_error("in vain waited for " + what);
}

void Story::stop() {
    if (agent_.ended()) revive();
    agent_.signal(SIGTERM);
    if (!test::eventually([&] { return agent_.ended().has_value(); }, k_limit)) throw std::runtime_error("it does not stop");
    let("stop");
    revive();
}

void Story::revive() {
    kill_leftovers();  // in a container they die with it
    const auto code = *agent_.ended();
    check_death();
    if (code == sys::k_crashed) {
        std::istringstream lines(agent_.err());
        std::string name;
        for (std::string line; std::getline(lines, line);)
            if (line.starts_with("crash point: ")) name = line.substr(line.find(':') + 2);
        died_at_.push_back(name);
    } else {
        expect(code == 0 || code == 128 + SIGTERM, "the agent ended with " + std::to_string(code));
    }
    const bool dies_again = died_at_.size() == 1 && code == sys::k_crashed;
    agent_.start(dies_again ? value_of(deaths_.second) : std::string());
    ear_.hear();
    if (republishes())
        for (const auto& [each, payload] : submits_)
            if (!ear_.job(each)) ear_.publish("alpha/submit", payload);
    if (resumes_) ear_.publish("alpha/cmd/resume", "");
    if (!cancel_.empty()) ear_.publish("alpha/cmd/cancel", cancel_);
}

/// What was shown is on the disk.
void Story::check_death() {
    const auto journal = read_journal(agent_.folder() + "/state");
    ran_at_death_.merge(journal.in(JobState::running));
    ear_.hear();
    for (const auto& [level, payload] : ear_.now()) {
        if (!level.starts_with("job/")) continue;
        const auto shown = agent::decode_job_record(payload);
        const auto found = journal.jobs.find(level.substr(4));
        expect(shown && found != journal.jobs.end() && found->second.back().version >= shown->version,
               level + " was shown and is not in the journal: " + payload);
    }
}

void Story::check_journal() {
    expect(journal_.whole, "the journal is not whole");
    for (const auto& [id, records] : journal_.jobs)
        for (std::size_t i = 1; i < records.size(); ++i) {
            const auto &before = records[i - 1], &after = records[i];
            expect(after.version > before.version, id + ": versions do not grow");
            expect(!terminal(before.state) || after.state == before.state, id + ": was final and is not");
            expect(after.attempt >= before.attempt, id + ": attempts go back");
        }
    for (const auto& [level, payloads] : ear_.history()) {
        std::optional<JobRecord> before;
        for (const auto& payload : payloads) {
            const auto record = agent::decode_job_record(payload);
            expect(record.has_value(), level + ": no record: " + payload);
            if (!record) continue;
            expect(!before || record->version >= before->version, level + " goes back to " + payload);
            expect(!before || !terminal(before->state) || record->state == before->state, level + " was final, then " + payload);
            before = *record;
        }
    }
}

std::vector<std::pair<std::string, std::string>> Story::trace() const {
    std::ifstream file(place_.path() + "/trace");
    std::vector<std::pair<std::string, std::string>> out;
    for (std::string what, id; file >> what >> id;) out.emplace_back(what, id);
    return out;
}

/// Of a LOST job: the entry before that.
bool was_lost_running(const std::vector<JobRecord>& records) {
    const auto before = std::ranges::find_if(records.rbegin(), records.rend(), [](const auto& record) { return record.state != JobState::lost; });
    return before != records.rend() && before->state == JobState::running;
}

bool Story::all_clean() const {
    const auto journal = read_journal(agent_.folder() + "/state");
    return std::ranges::none_of(journal.jobs, [](const auto& job) { return job.second.back().cleanup_due; });
}

void Story::check_jobs() {
    const auto lines = trace();
    std::size_t texts = 0;
    for (const auto& [each, payload] : submits_) expect(journal_.jobs.contains(each), each + " is not in the journal");
    for (const auto& [each, records] : journal_.jobs) {
        const auto& record = records.back();
        const auto runs = static_cast<unsigned>(std::ranges::count(lines, std::pair{std::string("run"), each}));
        const auto said = each + " " + std::string(to_string(record.state)) + " attempt " + std::to_string(record.attempt) + " ran " + std::to_string(runs);
        if (!submits_.contains(each) && !each.starts_with("old")) ++texts;
        expect(terminal(record.state), said + ": not final");
        expect(runs <= record.attempt, said + ": too often");
        expect(record.state != JobState::succeeded || (runs >= 1 && (record.attempt > 1 || runs == 1)), said);
        expect(record.state != JobState::lost || was_lost_running(records) || ran_at_death_.contains(each), said + ": it did not run");
        expect(record.state != JobState::canceled || record.reason != "canceled in the queue" || runs + 1 == record.attempt, said);
        if (ran_at_death_.contains(each)) expect(record.state == JobState::lost || record.attempt > 1, said + ": ran at a death");
    }
    expect(texts == (plot_ == Plot::day ? 1 : 0), std::to_string(texts) + " jobs of one text");
}

/// Whatever began to run is cleaned up after before anything else runs.
void Story::check_trace() {
    std::string dirty, all;
    for (const auto& [what, id] : trace()) {
        all += " " + what + " " + id;
        if (what == "run") expect(dirty.empty(), dirty + " was not cleaned up after:" + all);
        dirty = what == "run" ? id : dirty == id ? std::string() : dirty;
    }
    expect(dirty.empty(), dirty + " was never cleaned up after:" + all);
    for (const auto& id : ran_at_death_) expect(all.find("clean " + id) != std::string::npos, "no cleanup of " + id + ":" + all);
}

/// To a client that comes now.
void Story::check_topics() {
    Ear late(broker_.url(), "late");
    std::string last, started;
    for (const auto& [id, records] : journal_.jobs)
        if (records.back().started > started) last = id, started = records.back().started;
    const auto agrees = [&]() -> std::string {
        late.hear();
        const auto& now = late.now();
        const auto get = [&](const std::string& level) { return now.contains(level) ? now.at(level) : std::string(); };
        const auto jobs = nlohmann::json::parse(get("jobs"), nullptr, false);
        if (!jobs.is_object() || !jobs["running"].is_null() || !jobs["queued"].empty()) return "jobs: " + get("jobs");
        const auto done = jobs["done"].get<std::set<std::string>>();
        if (done.size() != std::min(journal_.jobs.size(), agent::k_shown_jobs)) return "jobs: " + get("jobs");
        for (const auto& [id, payload] : submits_)
            if (!done.contains(id)) return id + " is not shown";
        for (const auto& id : done)
            if (const auto found = journal_.newest.find(id); found == journal_.newest.end() || get("job/" + id) != found->second)
                return "job/" + id + " is not in the journal: " + get("job/" + id);
        for (const auto& [level, payload] : now)
            if (level.starts_with("job/") && !done.contains(level.substr(4))) return "stale: " + level;
        if (get("last_job") != last) return "last_job: " + get("last_job") + ", in the journal " + last;
        if (!get("submit_status").starts_with("ready: ")) return "submit_status: " + get("submit_status");
        if (get("state").find("\"ready\"") == std::string::npos) return "state: " + get("state");
        if (get("agent").empty() || get("agent") == "offline") return "agent: " + get("agent");
        return {};
    };
    if (!test::eventually([&] { return agrees().empty(); }, 60s)) expect(false, agrees());
}

/// Tells stories, some at a time: most of one is waiting.
class Collection {
  public:
    explicit Collection(Plot plot) : plot_(plot) {}

    /// The agent dies at one point after the other, until a story ends without a death. @return the number of points
    int tell_all() {
        std::atomic<int> next{0}, points{0};
        at_once([&] {
            while (points == 0)
                if (const int at = ++next; tell({at, 0}) == 0) points = at - 1;
        });
        return points;
    }
    /// At every `step`th point, and again at one of the first `most` of its next life.
    void tell_of_two_deaths(int points, int step, int most) {
        std::atomic<int> next{0};
        at_once([&] {
            for (int i = next++; i < points / step * most; i = next++) tell({1 + i / most * step, 1 + i % most});
        });
    }
    /// The order of the points is not always the same: at those of these kinds that were not met yet.
    void tell_of_all(const std::vector<std::string>& kinds) {
        for (const auto& kind : kinds) {
            if (!deaths_.contains(kind)) tell({1, 0, kind});
            CHECK_MESSAGE(deaths_.contains(kind), kind);
        }
    }
    void report() const {
        for (const auto& complaint : complaints_) FAIL_CHECK(complaint);
    }

  private:
    template <class Work>
    static void at_once(const Work& work) {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < 12; ++i) threads.emplace_back(work);
    }
    /// @return how often the agent died; 0 when the story could not be told
    std::size_t tell(Deaths deaths) try {
        Story story(plot_, deaths);
        const auto complaints = story.tell();
        const std::scoped_lock lock(mutex_);
        std::string where = "death at " + std::to_string(deaths.first) + " and " + std::to_string(deaths.second) + " of the next life";
        for (const auto& name : story.died_at()) ++deaths_[name], where += " (" + name + ")";
        for (const auto& complaint : complaints) complaints_.push_back(where + ": " + complaint);
        return story.died_at().size();
    } catch (const std::exception& error) {
        const std::scoped_lock lock(mutex_);
        complaints_.push_back(error.what());
        return 0;
    }

    const Plot plot_;
    std::mutex mutex_;
    std::map<std::string, int> deaths_;
    std::vector<std::string> complaints_;
};

}  // namespace

TEST_CASE("whatever the agent dies at, its next life holds what was promised") {
    Collection stories(Plot::day);
    const int points = stories.tell_all();
    MESSAGE(points, " crash points");
    CHECK(points > 100);
    stories.tell_of_all({"submit: decided, not acknowledged", "journal: entry not written", "journal: entry written", "journal: entry synced",
                         "folder: prepared in part", "folder: made", "start: folder made", "start: journalled", "phase: not spawned",
                         "phase: spawned", "phase: ended", "end: not journalled", "end: journalled", "retained: published", "output: acknowledged",
                         "command: not obeyed", "command: obeyed, not answered", "job: signalled", "gate: closed", "gate: opened", "stop: not said", "stop: said"});
    stories.tell_of_two_deaths(points, 10, 4);
    stories.report();
}

TEST_CASE("whatever the agent dies at while it finds its way after a death, its next life does") {
    Collection stories(Plot::start);
    const int points = stories.tell_all();
    MESSAGE(points, " crash points");
    stories.tell_of_all({"book: read", "book: what ran is lost", "compaction: draft written", "compaction: renamed", "compaction: synced",
                         "start: nothing runs", "broker: connected", "cleanup of a lost job: due"});
    stories.tell_of_two_deaths(points, 4, 8);
    stories.report();
}
