// Jobs that go from a queue to one of several SUTs, over a network that loses, repeats, delays and reorders, with
// supervisor and agents dying at any moment: the real books and journals, on a real disk, and a clock of the test's.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/agent_files.hpp"
#include "handover.hpp"
#include "pool/pools.hpp"
#include "private_broker.hpp"
#include "small_disk.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using agent::JobBook;
using agent::JobState;
using nlohmann::json;

namespace {

constexpr int k_step_limit = 200'000;

struct Letter {
    std::string topic, payload;
};

/// The supervisor's side of the network.
class Wire final : public mqtt::Session {
  public:
    bool connected() const override { return true; }
    std::uint64_t epoch() const override { return 1; }
    std::string last_error() const override { return {}; }
    Result<mqtt::PublishId> publish(mqtt::Publication publication) override {
        sent.push_back({publication.topic, publication.payload});
        return mqtt::PublishId{1};
    }
    mqtt::Drained drain() override { return {}; }
    Result<void> subscribe(const mqtt::Subscription& wanted) override { return subscribed.insert(wanted.filter), Result<void>{}; }
    Result<void> unsubscribe(const std::string& filter) override { return subscribed.erase(filter), Result<void>{}; }
    void move_to(const std::string&) override {}
    void close(std::chrono::milliseconds) override {}

    std::deque<Letter> sent;
    std::set<std::string> subscribed;
};

/// An agent's book, and what its jobs did to the world.
class Sut {
  public:
    Sut(const std::string& folder, const std::string& name) : name_(*SutName::parse(name)), folder_(folder + "/" + name) { open(); }

    void open() {
        book_.reset();
        auto book = JobBook::open(folder_, name_, sys::wall_now());
        REQUIRE(book);
        book_ = *std::move(book);
        running_.reset();
    }
    /// Its container is removed; the volume stays.
    void close() {
        book_.reset();
        running_.reset();
    }
    [[nodiscard]] bool gone() const { return !book_; }
    void purge() { std::filesystem::remove_all(folder_), purged = true; }
    /// Starts what it may, or ends what runs.
    void work(std::mt19937& random) {
        if (running_ && random() % 3 == 0) {
            auto record = *std::exchange(running_, std::nullopt);
            record.state = random() % 5 == 0 ? JobState::failed : JobState::succeeded;
            record.finished = format_rfc3339(sys::wall_now());
            REQUIRE(book_->update(record));
        } else if (!running_) {
            if (auto next = book_->next(sys::wall_now())) {
                next->state = JobState::running;
                next->started = format_rfc3339(sys::wall_now());
                running_ = *book_->update(*next);
                started.push_back(next->id.str());
            }
        }
    }
    /// As `cmd/cancel` does.
    void cancel(const std::string& id) {
        auto record = book_->find(*JobId::parse(id));
        if (!record || record->only_offered() || agent::terminal(record->state)) return;
        if (running_ && running_->id == record->id) running_.reset();
        record->state = JobState::canceled;
        record->finished = format_rfc3339(sys::wall_now());
        REQUIRE(book_->update(*record));
    }
    std::string answer(std::string_view verb, const std::string& payload) {
        const auto said = agent::hand_over(*book_, verb, payload, !running_, sys::wall_now());
        return json{{"status", said ? "ok" : "error"}, {"data", said ? json::parse(*said) : json(nullptr)}}.dump();
    }
    [[nodiscard]] std::string status() const {
        if (!refuses.empty()) return "rejected: " + refuses;
        return running_ ? "busy: " + running_->id.str() + ", 0 queued" : "ready: publish a command";
    }
    void refuse(const std::string& why) { book_->refuse_all(refuses = why); }
    [[nodiscard]] JobBook& book() { return *book_; }
    [[nodiscard]] const SutName& name() const { return name_; }
    [[nodiscard]] const std::string& folder() const { return folder_; }

    std::vector<std::string> started;  ///< through all lives
    std::string refuses;
    bool purged = false;  ///< what it journalled is lost
    std::deque<Letter> held;  ///< by the broker, for its next life

  private:
    SutName name_;
    std::string folder_;
    std::unique_ptr<JobBook> book_;
    std::optional<agent::JobRecord> running_;
};

class World {
  public:
    explicit World(unsigned seed, int suts) : random_(seed) {
        for (int i = 0; i < suts; ++i) {
            const auto name = "lab-" + std::to_string(i);
            suts_.emplace(*SutName::parse(name), std::make_unique<Sut>(folder_.path(), name));
        }
        start_supervisor();
    }
    void start_supervisor() {
        pools_.reset();
        finding_out_.clear();
        auto book = PoolBook::open(folder_.path() + "/queues.journal");
        REQUIRE(book);
        pools_ = std::make_unique<Pools>(*std::move(book), Topics());
        for (const auto& [name, sut] : suts_)
            if (!sut->gone()) pools_->set_sut(name, PoolSut{{"lab", name.str()}});
    }
    /// Its conf is deleted, and its container removed.
    void remove(const std::string& name) {
        sut(name).close();
        pools_->set_sut(*SutName::parse(name), std::nullopt);
    }
    void bring_back(const std::string& name) {
        auto& its = sut(name);
        const auto withdrawn = withdrawals(its);
        its.open();
        if (random_() % 4 == 0)  // it died before it had removed them
            for (const auto& [path, text] : withdrawn) std::ofstream(path) << text;
        to_suts_.insert(to_suts_.end(), its.held.begin(), its.held.end());
        its.held.clear();
        pools_->set_sut(its.name(), PoolSut{{"lab", name}});
    }
    /// As the journal reader does it, one step at a time, so that anything may come in between.
    void find_out() {
        for (const auto& [name, id, number] : pools_->granted())
            if (suts_.at(name)->gone() && !finding_out_.contains(id)) finding_out_.emplace(id, Finding{name, number});
        if (finding_out_.empty()) return;
        const auto at = std::next(finding_out_.begin(), static_cast<std::ptrdiff_t>(random_() % finding_out_.size()));
        if (find_out(at->first, at->second)) finding_out_.erase(at);
    }
    PoolBook::Answer submit(const std::string& payload, const std::string& queue = "lab") {
        pools_->book().accept(queue, payload, false, {}, {}, sys::wall_now());
        const auto answers = pools_->book().take_answers();
        REQUIRE(answers.size() == 1);
        return answers.front();
    }
    void step(bool faults) {
        now_ += std::chrono::milliseconds(random_() % 300);
        find_out();
        for (auto& [name, sut] : suts_) {
            if (faults && removals && random_() % 40 == 0) {
                if (sut->gone())
                    bring_back(name.str());
                else if (name != suts_.begin()->first)  // a queue that nobody serves takes no job
                    remove(name.str());
            }
            if (sut->gone()) continue;
            if (random_() % 2 == 0) sut->work(random_);
            if (random_() % 3 == 0) to_supervisor({name.str() + "/submit_status", sut->status()}, faults);
            if (random_() % 5 == 0) to_supervisor({name.str() + "/agent", "ok"}, faults);
            if (faults && random_() % 60 == 0) sut->open();
        }
        if (faults && random_() % 40 == 0) start_supervisor();
        deliver(to_suts_, faults, [&](const Letter& letter) { obey(letter, faults); });
        deliver(to_supervisor_, faults, [&](const Letter& letter) {
            const auto slash = letter.topic.find('/');
            pools_->hear(*SutName::parse(letter.topic.substr(0, slash)), letter.topic.substr(slash + 1), letter.payload, now_);
        });
        pools_->tick(wire_, board_, now_);
        for (; !wire_.sent.empty(); wire_.sent.pop_front())
            if (wire_.sent.front().topic.find("/cmd/") != std::string::npos) to_suts_.push_back(wire_.sent.front());
    }
    Result<std::string> cancel(const std::string& id, const std::string& queue = "lab") { return pools_->cancel(queue + " " + id, wire_, now_); }
    [[nodiscard]] Sut& sut(const std::string& name) { return *suts_.at(*SutName::parse(name)); }
    [[nodiscard]] PoolBook& book() { return pools_->book(); }
    [[nodiscard]] mqtt::Board& board() { return board_; }
    [[nodiscard]] std::map<std::string, int> starts() const {
        std::map<std::string, int> out;
        for (const auto& [name, sut] : suts_)
            for (const auto& id : sut->started) ++out[id];
        return out;
    }
    void lose_letters() { to_suts_.clear(); }
    bool settle() {
        for (int i = 0; i < k_step_limit; ++i) {
            if (book().open_jobs().empty()) return true;
            step(false);
        }
        return false;
    }
    Pools& pools() { return *pools_; }

    bool removals = false;  ///< among the faults

  private:
    struct Finding {
        SutName sut;
        unsigned number = 0;
        int step = 0;
    };
    static std::map<std::string, std::string> withdrawals(const Sut& sut) {
        std::map<std::string, std::string> out;
        std::error_code none;
        for (const auto& one : std::filesystem::directory_iterator(sut.folder(), none))
            if (one.path().filename().string().starts_with(agent_files::k_withdrawn)) out[one.path()] = sys::read_short_text(one.path());
        return out;
    }
    bool find_out(const JobId& id, Finding& finding) {
        auto& its = *suts_.at(finding.sut);
        const auto tell = [&](Result<LastWord> word) { return pools_->settle_gone(finding.sut, id, finding.number, word), true; };
        const bool looks = finding.step == 0 || finding.step == 2;
        if (looks && !its.gone()) return tell(fail(ErrorKind::conflict, "its container is there"));
        if (finding.step == 0 && !std::filesystem::exists(its.folder())) return tell(LastWord{LastWord::Kind::unknown, "its volume is gone"});
        if (finding.step == 1) std::ofstream(its.folder() + "/" + std::string(agent_files::k_withdrawn) + id.str()) << finding.number << "\n";
        if (++finding.step < 4) return false;
        JournalSearch search(id);
        const auto journal = sys::read_file(its.folder() + "/" + std::string(agent_files::k_jobs_journal), 64 * 1024 * 1024);
        if (!journal) return tell(LastWord{LastWord::Kind::unknown, "its volume has no journal"});
        for (std::size_t at = 0; at < journal->size();) {
            const auto size = 1 + random_() % 2000;
            search.take(std::string_view(*journal).substr(at, size));
            at += size;
        }
        return tell(search.word());
    }
    void to_supervisor(Letter letter, bool faults) {
        if (!faults || random_() % 10 != 0) to_supervisor_.push_back(std::move(letter));
    }
    void obey(const Letter& letter, bool faults) {
        const auto verb = letter.topic.substr(letter.topic.rfind('/') + 1);
        auto& its = *suts_.at(*SutName::parse(letter.topic.substr(0, letter.topic.find('/'))));
        if (its.gone()) return its.held.push_back(letter);
        if (verb == "cancel") return its.cancel(letter.payload);
        const auto answer = its.answer(verb, letter.payload);
        if (faults && random_() % 20 == 0) its.open();  // it dies before its answer is out
        to_supervisor({its.name().str() + "/res/" + verb, answer}, faults);
    }
    /// Any of those that wait, now and then lost or kept to come again.
    template <class Hear>
    void deliver(std::deque<Letter>& letters, bool faults, Hear hear) {
        for (auto n = letters.size(); n > 0 && !letters.empty(); --n) {
            if (random_() % 3 == 0) continue;
            const auto at = letters.begin() + static_cast<std::ptrdiff_t>(faults ? random_() % letters.size() : 0);
            const auto letter = *at;
            if (!faults || random_() % 5 != 0) letters.erase(at);
            if (!faults || random_() % 8 != 0) hear(letter);
        }
        if (letters.size() > 50) letters.erase(letters.begin(), letters.begin() + 10);
    }

    test::TempFolder folder_;
    std::mt19937 random_;
    std::map<SutName, std::unique_ptr<Sut>> suts_;
    Wire wire_;
    mqtt::Board board_;
    std::unique_ptr<Pools> pools_;
    std::deque<Letter> to_suts_, to_supervisor_;
    std::map<JobId, Finding> finding_out_;
    SteadyTime now_ = sys::steady_now();
};

}  // namespace

TEST_CASE("queues: whatever dies and is lost, each job runs on one SUT, once, or the truth is told") {
    const auto* given = std::getenv("POOLS_SEED");
    const auto first = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    for (unsigned round = 0; round < 10; ++round) {
        const auto seed = first + round;
        CAPTURE(seed);
        World world(seed, 3);
        world.removals = round % 2 == 1;
        std::set<std::string> ids, canceled;  // canceled: while it waited, as was said
        std::mt19937 random(seed);
        for (int i = 0; i < 400; ++i) {
            if (i % 10 == 0) {
                const auto id = "job-" + std::to_string(i);
                const auto payload = R"({"id":")" + id + R"(","command":"true","priority":)" + std::to_string(i % 3) + "}";
                CHECK(world.submit(payload).verdict == PoolBook::Verdict::accepted);
                CHECK(world.submit(payload).verdict == PoolBook::Verdict::known);
                ids.insert(id);
            }
            if (i % 25 == 0) {
                const auto id = *std::next(ids.begin(), static_cast<std::ptrdiff_t>(random() % ids.size()));
                if (const auto said = world.cancel(id); said && said->starts_with("canceled ")) canceled.insert(id);
            }
            world.step(true);
        }
        for (const auto* name : {"lab-0", "lab-1", "lab-2"})
            if (world.sut(name).gone()) world.bring_back(name);
        REQUIRE(world.settle());
        const auto starts = world.starts();
        int lost = 0;
        for (const auto& id : ids) {
            CAPTURE(id);
            const auto job = world.book().find(*JobId::parse(id));
            REQUIRE(job);
            CHECK(job->state == PoolJob::State::ended);
            const auto count = starts.contains(id) ? starts.at(id) : 0;
            if (canceled.contains(id)) CHECK(job->result == "CANCELED");
            CHECK(count <= (canceled.contains(id) ? 0 : 1));
            CHECK((count == 1 || job->result == "CANCELED"));
            if (count == 0) continue;  // no SUT ever had it
            const auto record = world.sut(job->sut).book().find(job->id);
            REQUIRE(record);
            CHECK(job->result == std::string(to_string(record->state)));
            lost += job->result == "LOST";
        }
        CHECK(lost < 40);
        for (const auto& [id, count] : starts) CHECK(ids.contains(id));
    }
}

TEST_CASE("queues: the higher priority first, then in order; a SUT that is drained or offline gets nothing; all are used") {
    World world(7, 3);
    world.sut("lab-2").refuse("draining");
    for (int i = 0; i < 12; ++i) world.submit(R"({"id":"j)" + std::to_string(i) + R"(","command":"true","priority":)" + std::to_string(i % 2) + "}");
    REQUIRE(world.settle());
    CHECK(world.sut("lab-2").started.empty());
    const auto &a = world.sut("lab-0").started, &b = world.sut("lab-1").started;
    CHECK(a.size() + b.size() == 12);
    CHECK(a.size() >= 3);
    CHECK(b.size() >= 3);
    for (const auto* started : {&a, &b}) {
        const auto number = [](const std::string& id) { return std::atoi(id.c_str() + 1); };
        CHECK(std::ranges::is_sorted(*started, {}, [&](const std::string& id) { return std::pair(-(number(id) % 2), number(id)); }));
    }
}

TEST_CASE("queues: what nobody serves is said at once; what nobody can take now waits, and says for what") {
    World world(3, 2);
    const auto refused = world.submit("true", "phones");
    CHECK(refused.verdict == PoolBook::Verdict::rejected);
    CHECK(refused.why == "no SUT serves the queue 'phones'");
    for (const auto* name : {"lab-0", "lab-1"}) world.sut(name).refuse("maintenance: a cable is loose");
    const auto taken = world.submit("echo a text");
    REQUIRE(taken.id);
    for (int i = 0; i < 100; ++i) world.step(false);
    const auto shown = world.board().get("fleet/queue/lab/job/" + taken.id->str());
    CHECK(test::has(shown, R"("state":"QUEUED","sut":null,"position":1,"why":"lab-0 rejected: maintenance: a cable is loose; lab-1 rejected)"));
    const auto status = world.board().get("fleet/queue/lab/status");
    CHECK(test::has(status, R"("length":1,)"));
    CHECK(test::has(status, R"("serves":["lab-0","lab-1"])"));
    world.sut("lab-1").refuse("");
    REQUIRE(world.settle());
    CHECK(world.sut("lab-1").started == std::vector{taken.id->str()});
    CHECK(world.submit(R"({"id":")" + taken.id->str() + R"(","command":"other"})").why == "id used: " + taken.id->str());
}

TEST_CASE("queues: a job goes only where the submit policy lets it run, holds up nobody, and ends when that is nowhere") {
    World world(11, 2);
    SubmitPolicy only;
    only.shell = false;
    only.commands["status"] = {{"status"}, {}};
    world.sut("lab-0").book().set_policy(only);
    for (int i = 0; i < 6; ++i) world.submit(R"({"id":"shell)" + std::to_string(i) + R"(","command":"reboot"})");
    world.submit(R"({"id":"named","command":"status","arguments":{}})");  // of no use to lab-1
    REQUIRE(world.settle());
    CHECK(world.sut("lab-0").started == std::vector<std::string>{"named"});
    CHECK(world.sut("lab-1").started.size() == 6);
    world.sut("lab-1").book().set_policy(only);
    world.submit(R"({"id":"nowhere","command":"reboot"})");
    REQUIRE(world.settle());
    const auto ended = *world.book().find(*JobId::parse("nowhere"));
    CHECK(ended.result == "REJECTED");
    CHECK(ended.reason == "'reboot' is not allowed: expected one of status");
    CHECK(world.starts().count("nowhere") == 0);
    // Larger as JSON than any agent takes.
    CHECK(world.submit(std::string(k_submit_limit - 10, '"')).why == "too large");
}

TEST_CASE("queues: a job that was granted waits for its SUT, however long that is silent") {
    World world(5, 2);
    world.sut("lab-1").refuse("draining");
    world.submit(R"({"id":"mine","command":"true"})");
    const auto id = *JobId::parse("mine");
    for (int i = 0; i < k_step_limit && world.book().find(id)->state != PoolJob::State::granted; ++i) world.step(false);
    REQUIRE(world.book().find(id)->sut == "lab-0");
    world.sut("lab-1").refuse("");
    world.start_supervisor();
    auto& pools = world.pools();
    Wire wire;
    mqtt::Board board;
    auto now = sys::steady_now();
    pools.hear(*SutName::parse("lab-1"), "agent", "ok", now);
    pools.hear(*SutName::parse("lab-1"), "submit_status", "ready", now);
    for (int i = 0; i < 1000; ++i) pools.tick(wire, board, now += 10s);
    CHECK(world.book().find(id)->state == PoolJob::State::granted);
    CHECK(test::has(board.get("fleet/queue/lab/job/mine"), "waiting for lab-0"));
}

TEST_CASE("queues: of a SUT that is gone its journal says what becomes of the job that was granted to it") {
    using State = PoolJob::State;
    World world(13, 2);
    world.sut("lab-1").refuse("draining");
    world.submit(R"({"id":"mine","command":"true","retries":{"max":3}})");
    const auto id = *JobId::parse("mine");
    const auto job = [&] { return *world.book().find(id); };
    const auto steps = [&](int count) { for (int i = 0; i < count; ++i) world.step(false); };
    for (int i = 0; i < k_step_limit && job().state != State::granted; ++i) world.step(false);
    REQUIRE(job().sut == "lab-0");
    auto& its = world.sut("lab-0");
    const auto grant_arrives = [&] { REQUIRE(its.book().grant(id, job().number, false, sys::wall_now())); };
    const auto stale = json{{"id", "mine"}, {"number", job().number}}.dump();

    SUBCASE("never started, with or without the grant: another SUT runs it, and this one does not when it is back, whatever comes late") {
        bool granted = true, readable = true;
        SUBCASE("granted") {}
        SUBCASE("only offered") { granted = false; }
        SUBCASE("the number that was left for it cannot be read") { readable = false; }
        if (granted) grant_arrives();
        world.remove("lab-0");
        steps(100);
        if (!readable) std::ofstream(its.folder() + "/" + std::string(agent_files::k_withdrawn) + "mine") << "";
        CHECK(job().state == State::waiting);
        CHECK(job().reason == "lab-0 is gone, and had not started it");
        world.sut("lab-1").refuse("");
        REQUIRE(world.settle());
        CHECK(world.sut("lab-1").started == std::vector<std::string>{"mine"});
        world.bring_back("lab-0");
        CHECK(test::has(its.answer("grant", stale), R"("word":"refused")"));
        its.open();
        CHECK(test::has(its.answer("grant", stale), R"("word":"refused")"));
        steps(200);
        CHECK(its.started.empty());
        CHECK(world.starts().at("mine") == 1);
    }
    SUBCASE("ended: its record") {
        grant_arrives();
        auto record = *its.book().find(id);
        record.state = JobState::failed;
        record.exit = 7;
        record.reason = "test ended with 7";
        REQUIRE(its.book().update(record));
        world.remove("lab-0");
        REQUIRE(world.settle());
        CHECK(job().result == "FAILED");
        CHECK(job().exit == 7);
        CHECK(job().reason == "test ended with 7");
    }
    SUBCASE("started and not ended: LOST, and no other attempt there later") {
        grant_arrives();
        auto record = *its.book().find(id);
        SUBCASE("it ran") { record.state = JobState::running; }
        SUBCASE("it waited for another attempt") { record.attempt = 2; }
        REQUIRE(its.book().update(record));
        world.remove("lab-0");
        REQUIRE(world.settle());
        CHECK(job().result == "LOST");
        CHECK(test::has(job().reason, "lab-0 is gone: its container went while the job "));
        world.bring_back("lab-0");
        steps(200);
        CHECK(its.started.empty());
        CHECK(its.book().find(id)->state == JobState::lost);
    }
    SUBCASE("nothing is left that could tell: LOST, and the truth is told") {
        grant_arrives();
        world.remove("lab-0");
        its.purge();
        REQUIRE(world.settle());
        CHECK(job().result == "LOST");
        CHECK(job().reason == "lab-0 is gone: its volume is gone, so that nobody knows whether the job ran");
    }
    SUBCASE("a cancel is done when nothing has started") {
        REQUIRE(world.cancel("mine"));
        world.remove("lab-0");
        REQUIRE(world.settle());
        CHECK(job().result == "CANCELED");
    }
}

TEST_CASE("queues: what a journal says of a job, read piece by piece, also where it is damaged") {
    const test::TempFolder folder;
    const auto entry = [](const std::string& id, const std::string& more) {
        return encode_journal_entry({R"({"id":")" + id + R"(","state":"QUEUED","attempt":1,)" + more + "}", std::string(3000, 'x')});
    };
    const auto word = [](const std::string& bytes, std::size_t piece) {
        JournalSearch search(*JobId::parse("mine"));
        for (std::size_t at = 0; at < bytes.size(); at += piece) search.take(std::string_view(bytes).substr(at, piece));
        return search.word();
    };
    using Kind = LastWord::Kind;
    const auto other = entry("other", R"("command":"about \"mine\"")");
    const auto granted = entry("mine", R"("handover":{"granted":true})"), offered = entry("mine", R"("handover":{"granted":false})");
    const auto ran = encode_journal_entry({R"({"id":"mine","state":"RUNNING","attempt":1})", ""});
    const auto ended = encode_journal_entry({R"({"id":"mine","state":"SUCCEEDED","attempt":1})", ""});
    for (const std::size_t piece : {1U, 7U, 4096U, 1'000'000U}) {
        CAPTURE(piece);
        CHECK(word("", piece).kind == Kind::unknown);
        CHECK(word(other + other, piece).kind == Kind::unknown);
        CHECK(word(other + offered, piece).kind == Kind::never_started);
        CHECK(word(offered + granted + other, piece).kind == Kind::never_started);
        CHECK(word(granted + ran + other, piece).kind == Kind::cut_off);
        CHECK(word(granted + ran + ended + other, piece).kind == Kind::ended);
        CHECK(word(granted + ran + ended.substr(0, ended.size() - 3), piece).kind == Kind::cut_off);
        CHECK(word("rubbish\n" + granted.substr(9) + ran, piece).kind == Kind::cut_off);
        CHECK(word(granted + entry("mine", R"("handover":7)"), piece).kind == Kind::unknown);
    }
    CHECK(word(granted + std::string(2 * k_journal_entry_limit, 'z') + "\n" + ran, 4096).kind == Kind::cut_off);
}

TEST_CASE("queues: a cancel ends what waits, once and for good; what a SUT has is that SUT's to end") {
    World world(11, 1);
    const auto state = [&](const std::string& id) { return world.book().find(*JobId::parse(id))->state; };
    const auto shown = [&](const std::string& id) { return world.board().get("fleet/queue/lab/job/" + id); };
    world.sut("lab-0").refuse("draining");
    for (const auto* id : {"waits", "next"}) world.submit(R"({"id":")" + std::string(id) + R"(","command":"true"})");
    for (int i = 0; i < 20; ++i) world.step(false);
    CHECK(world.cancel("waits").value() == "canceled waits");
    CHECK(world.cancel("waits").error().message == "job waits is CANCELED");
    CHECK(world.cancel("never").error().message == "no job never in the queue 'lab'");
    CHECK(world.cancel("next", "other").error().message == "no job next in the queue 'other'");
    CHECK(world.cancel("").error().message == "expected '<queue> <job id>', not 'lab '");
    CHECK(world.submit(R"({"id":"waits","command":"true"})").verdict == PoolBook::Verdict::known);
    world.start_supervisor();
    for (int i = 0; i < 20; ++i) world.step(false);
    CHECK(test::has(shown("waits"), R"("state":"CANCELED","sut":null)"));
    CHECK(test::has(shown("waits"), R"("reason":"canceled in the queue")"));

    SUBCASE("an offer is taken back") {
        world.sut("lab-0").refuse("");
        for (int i = 0; i < k_step_limit && state("next") != PoolJob::State::offered; ++i) world.step(false);
        CHECK(world.cancel("next").value() == "canceled next");
        world.submit(R"({"id":"third","command":"true"})");
        REQUIRE(world.settle());
        CHECK(world.sut("lab-0").started == std::vector<std::string>{"third"});
    }
    SUBCASE("the SUT gets the cancel with the grant, and never starts it; a new supervisor still knows") {
        world.sut("lab-0").refuse("");
        for (int i = 0; i < k_step_limit && state("next") != PoolJob::State::granted; ++i) world.step(false);
        world.lose_letters();
        CHECK(world.cancel("next").value() == "canceling next on lab-0");
        world.start_supervisor();
        REQUIRE(world.settle());
        CHECK(world.sut("lab-0").started.empty());
        CHECK(world.book().find(*JobId::parse("next"))->result == "CANCELED");
        CHECK(world.book().find(*JobId::parse("next"))->reason == "canceled before it started");
    }
    SUBCASE("what runs is canceled there") {
        world.sut("lab-0").refuse("");
        for (int i = 0; i < k_step_limit && world.sut("lab-0").started.empty(); ++i) world.step(false);
        CHECK(world.cancel("next").value() == "canceling next on lab-0");
        REQUIRE(world.settle());
        CHECK(world.sut("lab-0").started.size() == 1);
        const auto record = world.sut("lab-0").book().find(*JobId::parse("next"));
        CHECK(world.book().find(*JobId::parse("next"))->result == std::string(to_string(record->state)));
    }
    CHECK(world.book().counts(sys::wall_now()).queues.at("lab").waiting == 0);
}

TEST_CASE("queues: bytes that are not text, and a full disk, are refused with the reason; what was taken stays as it is") {
    const test::TempFolder folder;
    const test::SmallDisk disk(folder.path(), 256 * 1024);
    const auto book = *PoolBook::open(folder.path() + "/queues.journal");
    book->serve("lab", true);
    const auto submit = [&](const std::string& payload) {
        book->accept("lab", payload, false, {}, {}, sys::wall_now());
        return book->take_answers().front();
    };
    CHECK(submit("echo \xff\xfe").why == "not UTF-8 text, which only a SUT itself takes");
    CHECK(submit(std::string("a\0b", 3)).verdict == PoolBook::Verdict::rejected);
    CHECK(submit(R"({"id":"taken","command":"true"})").verdict == PoolBook::Verdict::accepted);
    disk.fill();
    const auto large = submit(R"({"id":"large","command":")" + std::string(100'000, 'x') + "\"}");
    CHECK(test::has(large.why, "cannot write the journal"));
    disk.make_room();
    auto job = *book->find(*JobId::parse("taken"));
    job.state = PoolJob::State::granted;
    CHECK(book->update(job));
    const auto again = *PoolBook::open(folder.path() + "/queues.journal");
    CHECK(again->open_jobs() == std::vector{job});
    CHECK_FALSE(again->find(*JobId::parse("large")));
}

TEST_CASE("queues: each that a SUT serves has a status, its own name's too, as long as it does; what an earlier life left is cleared") {
    const test::TempFolder folder;
    auto pools = *Pools::open(folder.path() + "/queues.journal", Topics());
    Wire wire;
    mqtt::Board board;
    auto now = sys::steady_now();
    const auto tick = [&](std::chrono::milliseconds later = 1s) { pools->tick(wire, board, now += later); };
    const auto status = [&](const std::string& queue) { return board.get("fleet/queue/" + queue + "/status"); };
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo");
    pools->set_sut(alpha, PoolSut{{"alpha"}});
    pools->set_sut(bravo, PoolSut{{"bravo", "rack"}});
    tick();
    CHECK(status("alpha") == R"({"queue":"alpha","length":0,"oldest_wait":0,"serves":["alpha"],"busy":{"alpha":"has said nothing yet"},"waiting":[],"said":null})");
    for (const auto* level : {"agent", "submit_status"}) pools->hear(alpha, level, level == std::string("agent") ? "ok" : "ready: publish a command", now);
    tick(10ms);
    CHECK(pools->due());  // soon, with what else is said until then
    CHECK_FALSE(test::has(status("alpha"), R"("busy":{})"));
    tick();
    CHECK(test::has(status("alpha"), R"("busy":{})"));
    CHECK(test::has(status("rack"), R"("serves":["bravo"])"));
    CHECK_FALSE(pools->due());
    pools->hear(alpha, "submit_status", "busy: j-1, 0 queued", now);
    tick();
    CHECK(test::has(status("alpha"), R"("busy":{"alpha":"busy: j-1, 0 queued"})"));

    for (const auto* level : {"agent", "submit_status"}) pools->hear(bravo, level, level == std::string("agent") ? "ok" : "ready: publish a command", now);
    pools->book().accept("rack", R"({"id":"r-1","command":"true"})", false, {}, {}, sys::wall_now());
    tick();
    REQUIRE(test::has(wire.sent.back().topic, "bravo/cmd/offer"));
    pools->hear(bravo, "res/offer", R"({"status":"ok","data":{"id":"r-1","number":1,"word":"refused","why":"a job came","record":null}})", now);
    REQUIRE(pools->cancel("rack r-1", wire, now));
    tick();
    CHECK(test::has(status("bravo"), R"("busy":{"bravo":"said: a job came"})"));
    tick(3s);
    CHECK(test::has(status("bravo"), R"("busy":{})"));  // no job is there to show it for

    pools->set_sut(bravo, PoolSut{{"bravo"}});
    tick();
    CHECK(status("rack").empty());
    CHECK(test::has(board.get("fleet/queue/rack/job/r-1"), "CANCELED"));
    CHECK_FALSE(status("bravo").empty());

    wire.sent.clear();
    CHECK(wire.subscribed == std::set<std::string>{"fleet/queue/+/status", "fleet/queue/+/job/+"});
    pools->hear_own("fleet/queue/alpha/status", "ours");
    pools->hear_own("fleet/queue/old/status", "of a queue that no SUT serves any more");
    pools->hear_own("fleet/queue/alpha/job/old", "{}");
    const auto shown = status("alpha");
    tick();
    board.flush(wire, now);
    CHECK(status("alpha") == shown);
    const auto cleared = [&](const std::string& topic) {
        return std::ranges::any_of(wire.sent, [&](const Letter& one) { return one.topic == topic && one.payload.empty(); });
    };
    CHECK(cleared("fleet/queue/old/status"));
    CHECK(cleared("fleet/queue/alpha/job/old"));
    CHECK_FALSE(cleared("fleet/queue/alpha/status"));
    for (int i = 0; i < 11; ++i) tick();
    CHECK(wire.subscribed.empty());
}
