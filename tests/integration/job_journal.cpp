// The jobs' journal with a real file: what a crash, a full disk or a flipped bit may leave.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "job_book.hpp"
#include "job_run.hpp"
#include "private_broker.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;

namespace {

int syncs_to_fail = 0;  ///< of this program, the next ones

}  // namespace

/// Instead of the C library's, for all that is linked into this program.
extern "C" int fdatasync(int fd) {
    if (syncs_to_fail > 0) {
        --syncs_to_fail;
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace {

const SutName k_alpha = *SutName::parse("alpha");

std::vector<std::string> requests_in(const std::string& path) {
    std::vector<std::string> out;
    const auto journal = JobJournal::open(path, [&](std::uint64_t, const JournalEntry& entry) { out.push_back(entry.request); });
    REQUIRE(journal);
    return out;
}

std::string whole(const std::string& path) { return *sys::read_file(path, 64 * 1024 * 1024); }
void put(const std::string& path, std::string_view text) { std::ofstream(path, std::ios::trunc) << text; }

/// No file grows beyond the size that this one has, by ten bytes at most.
class NoRoom {
  public:
    explicit NoRoom(const std::string& path) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        auto limit = before_;
        limit.rlim_cur = std::filesystem::file_size(path) + 10;
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~NoRoom() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }
    NoRoom(const NoRoom&) = delete;
    NoRoom& operator=(const NoRoom&) = delete;

  private:
    rlimit before_{};
    void (*handler_)(int);
};

JobBook::Answer take(JobBook& book, const std::string& payload) { return book.accept(payload, false, sys::wall_now()); }

}  // namespace

TEST_CASE("a journal that is torn at any byte keeps every entry before it, and goes on") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    {
        const auto journal = JobJournal::open(path, [](auto, const auto&) {});
        REQUIRE(journal);
        for (const auto& request : {std::string("one\n"), std::string("t\0wo", 4), std::string("\xff three")})
            REQUIRE((*journal)->append({R"({"x":1})", request}));
    }
    const auto text = whole(path);
    std::vector<std::size_t> ends;
    for (std::size_t at = 0, size = 0; at < text.size(); at += size, ends.push_back(at))
        REQUIRE(decode_journal_entry(std::string_view(text).substr(at), size));
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        put(path, text.substr(0, cut));
        const auto want = static_cast<std::size_t>(std::ranges::count_if(ends, [&](std::size_t end) { return end <= cut; }));
        CHECK(requests_in(path).size() == want);
        const auto journal = JobJournal::open(path, [](auto, const auto&) {});
        REQUIRE((*journal)->append({"{}", "after"}));
        CHECK(requests_in(path).size() == want + 1);
    }
}

TEST_CASE("an entry whose sync comes later is read like any other, in its place, also behind a failed one") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    const auto journal = JobJournal::open(path, [](auto, const auto&) {});
    REQUIRE(journal);
    const auto later = (*journal)->append({"{}", "later"}, JobJournal::Sync::later);
    REQUIRE(later);
    CHECK((*journal)->read(*later)->request == "later");
    CHECK_FALSE((*journal)->append({std::string(70'000, 'x'), {}}));
    REQUIRE((*journal)->append({"{}", "now"}));
    REQUIRE((*journal)->append({"{}", "last"}, JobJournal::Sync::later));
    CHECK((*journal)->settle());
    CHECK((*journal)->settle());  // nothing is left to do
    CHECK(requests_in(path) == std::vector<std::string>{"later", "now", "last"});
}

TEST_CASE("a sync that failed is not believed when it is repeated: the journal is written anew, its offsets the same") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    const auto inode = [&] {
        struct stat info {};
        REQUIRE(::stat(path.c_str(), &info) == 0);
        return info.st_ino;
    };
    const auto journal = *JobJournal::open(path, [](auto, const auto&) {});
    auto before = inode();
    const auto first = journal->append({"{}", "first"}, JobJournal::Sync::later);
    syncs_to_fail = 1;
    const auto second = journal->append({"{}", "second"});  // it costs nothing
    REQUIRE(second);
    CHECK(inode() != before);
    before = inode();
    syncs_to_fail = 2;
    CHECK_FALSE(journal->append({"{}", "refused"}));  // nor can it be written anew
    CHECK_FALSE(journal->settle());                   // not at once again
    CHECK(requests_in(path) == std::vector<std::string>{"first", "second"});
    REQUIRE(test::eventually([&] { return journal->settle().has_value(); }));
    CHECK(inode() != before);
    CHECK(journal->read(*first)->request == "first");
    CHECK(journal->read(*second)->request == "second");
    REQUIRE(journal->append({"{}", "third"}));
    before = inode();
    REQUIRE(journal->settle());
    CHECK(inode() == before);
    CHECK(requests_in(path) == std::vector<std::string>{"first", "second", "third"});
}

TEST_CASE("what a failed sync may have lost is written anew from memory") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    const auto journal = *JobJournal::open(path, [](auto, const auto&) {});
    REQUIRE(journal->append({"{}", "first"}));
    REQUIRE(journal->append({"{}", "second"}, JobJournal::Sync::later));
    auto lost = whole(path);
    lost.replace(lost.size() - 12, 12, 12, '\0');  // as a file system gives the page up
    std::fstream(path, std::ios::in | std::ios::out) << lost;
    syncs_to_fail = 1;
    REQUIRE(journal->settle());
    CHECK(requests_in(path) == std::vector<std::string>{"first", "second"});
}

TEST_CASE("what the journal has no room for is true all the same, and it is written when there is room again") {
    const test::TempFolder folder;
    auto book = *JobBook::open(folder.path(), k_alpha, sys::wall_now());
    REQUIRE(take(*book, R"({"id":"a","command":"true"})").verdict == JobBook::Verdict::accepted);
    auto record = *book->next(sys::wall_now());
    record.state = JobState::running;
    record = *book->update(record);
    {
        const NoRoom full(folder.path() + "/jobs.journal");
        record.state = JobState::succeeded;
        CHECK_FALSE(book->update(record));
        CHECK_FALSE(book->settle());
        CHECK(take(*book, R"({"id":"b","command":"true"})").verdict == JobBook::Verdict::rejected);
        CHECK(book->find(record.id)->state == JobState::succeeded);
    }
    REQUIRE(book->settle());
    book = *JobBook::open(folder.path(), k_alpha, sys::wall_now());
    CHECK(book->find(record.id)->state == JobState::succeeded);
    CHECK(book->unclean().empty());
    CHECK(take(*book, R"({"id":"b","command":"true"})").verdict == JobBook::Verdict::accepted);
}

TEST_CASE("100 jobs wait; the next one is refused, and the same id of one that waits is not") {
    const test::TempFolder folder;
    auto book = *JobBook::open(folder.path(), k_alpha, sys::wall_now());
    const auto payload = [](int i) { return R"({"id":"j)" + std::to_string(i) + R"(","command":"true"})"; };
    for (int i = 0; i < 100; ++i) REQUIRE(take(*book, payload(i)).position == static_cast<std::size_t>(i) + 1);
    CHECK(take(*book, payload(100)).why == "queue full");
    CHECK(take(*book, payload(7)).verdict == JobBook::Verdict::known);
    auto record = *book->next(sys::wall_now());
    record.state = JobState::running;
    REQUIRE(book->update(record));
    CHECK(take(*book, payload(100)).verdict == JobBook::Verdict::accepted);
}

TEST_CASE("a job that waits too long expires; one that waits for its next attempt does not, and not before its delay") {
    const test::TempFolder folder;
    auto book = *JobBook::open(folder.path(), k_alpha, sys::wall_now());
    const auto now = sys::wall_now();
    const auto ids = [&](WallTime at) {
        std::string out;
        for (auto record = book->next(at); record; record = book->next(at)) {
            out += record->id.str() + " ";
            record->state = JobState::running;
            REQUIRE(book->update(*record));
        }
        return out;
    };
    REQUIRE(book->accept(R"({"id":"again","command":"x","retries":{"max":1,"delay":"30m"}})", false, now).verdict == JobBook::Verdict::accepted);
    auto record = *book->next(now);
    queue_again(record, book->request(record.id)->retries, {JobState::failed, "test ended with 1", 1}, now);
    REQUIRE(book->update(record));
    REQUIRE(book->accept(R"({"id":"old","command":"x"})", false, now).verdict == JobBook::Verdict::accepted);
    REQUIRE(book->accept(R"({"id":"brief","command":"x","expires":"1m"})", false, now + 15min).verdict == JobBook::Verdict::accepted);
    REQUIRE(book->accept(R"({"id":"young","command":"x"})", false, now + 15min).verdict == JobBook::Verdict::accepted);
    book->expire(20min, now + 21min);
    CHECK(book->find(*JobId::parse("old"))->state == JobState::expired);
    CHECK(book->find(*JobId::parse("old"))->reason == "waited longer than timeouts.queue");
    CHECK(book->find(*JobId::parse("brief"))->state == JobState::expired);
    CHECK(ids(now + 29min) == "young ");
    CHECK(ids(now + 31min) == "again ");
}

TEST_CASE("a flipped bit costs one entry, not those behind it") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    {
        const auto journal = JobJournal::open(path, [](auto, const auto&) {});
        for (const auto* request : {"one", "two", "three"}) REQUIRE((*journal)->append({"{}", request}));
    }
    auto text = whole(path);
    text[text.find("two")] ^= 1;
    put(path, text);
    CHECK(requests_in(path) == std::vector<std::string>{"one", "three"});
}

TEST_CASE("a job is known after a restart; one that ran is LOST; the order is kept") {
    const test::TempFolder folder;
    {
        const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
        REQUIRE(book);
        CHECK(take(**book, R"({"id":"a","command":"first"})").position == 1);
        CHECK(take(**book, R"({"id":"b","command":"second"})").position == 2);
        auto record = *(*book)->next(sys::wall_now());
        CHECK(record.id.str() == "a");
        record.state = JobState::running;
        record.started = format_rfc3339(sys::wall_now());
        REQUIRE((*book)->update(record));
    }
    const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
    REQUIRE(book);
    CHECK((*book)->find(*JobId::parse("a"))->state == JobState::lost);
    CHECK((*book)->unclean().size() == 1);
    CHECK((*JobBook::open(folder.path(), k_alpha, sys::wall_now()))->unclean().size() == 1);
    CHECK((*book)->last_started()->id.str() == "a");
    CHECK((*book)->next(sys::wall_now())->id.str() == "b");
    CHECK((*book)->request((*book)->next(sys::wall_now())->id)->command == "second");
    CHECK(take(**book, R"({"command":"first","id":"a"})").verdict == JobBook::Verdict::known);
    CHECK(take(**book, R"({"id":"a","command":"other"})").why == "id used: a");
}

TEST_CASE("a text's bytes reach its job unchanged, also after a restart") {
    const test::TempFolder folder;
    const std::string text = "printf '\xe9\xff'";
    { CHECK(take(**JobBook::open(folder.path(), k_alpha, sys::wall_now()), text).verdict == JobBook::Verdict::accepted); }
    const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
    CHECK((*book)->request((*book)->next(sys::wall_now())->id)->command == text);
}

TEST_CASE("a text that is delivered again is one job, also after a restart; an equal one is another") {
    const test::TempFolder folder;
    const auto deliver = [](JobBook& book, const std::string& text, bool again, int packet) {
        return book.accept(text, false, sys::wall_now(), {}, {again, packet});
    };
    std::optional<JobId> first;
    {
        const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
        first = deliver(**book, "make", false, 7).id;
        CHECK(deliver(**book, "make", true, 7).id == first);
    }
    const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
    const auto repeated = deliver(**book, "make", true, 7);
    CHECK(repeated.verdict == JobBook::Verdict::known);
    CHECK(repeated.id == first);
    CHECK(deliver(**book, "make", true, 8).verdict == JobBook::Verdict::accepted);
    CHECK(deliver(**book, "other", true, 7).verdict == JobBook::Verdict::accepted);
    CHECK(deliver(**book, "make", false, 7).verdict == JobBook::Verdict::accepted);
}

TEST_CASE("the journal is compacted, and what it says stays the same") {
    const test::TempFolder folder;
    const auto big = std::string(200'000, 'x');
    {
        const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
        for (int i = 0; i < 60; ++i) {
            REQUIRE(take(**book, R"({"id":"j)" + std::to_string(i) + R"(","command":")" + big + "\"}").verdict == JobBook::Verdict::accepted);
            auto record = *(*book)->next(sys::wall_now());
            record.state = JobState::succeeded;
            REQUIRE((*book)->update(record));
        }
        REQUIRE(take(**book, R"({"id":"waits","command":"true"})").position == 1);
        CHECK(std::filesystem::file_size(folder.path() + "/jobs.journal") < 6 * 1024 * 1024);
        CHECK((*book)->find(*JobId::parse("j0"))->state == JobState::succeeded);
    }
    const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
    CHECK((*book)->find(*JobId::parse("j0"))->state == JobState::succeeded);
    CHECK((*book)->done().size() == k_shown_jobs);
    CHECK((*book)->done().front().id.str() == "j59");
    CHECK((*book)->hidden().size() == 40);
    CHECK((*book)->hidden().front().str() == "j39");
    CHECK((*book)->request(*JobId::parse("waits"))->command == "true");
    CHECK(take(**book, R"({"id":"j3","command":"other"})").why == "id used: j3");
}

TEST_CASE("an id is forgotten 30 days after its folder has gone, and as long as the folder is there it is not") {
    const test::TempFolder folder;
    const auto big = std::string(200'000, 'x');
    const auto submit = [&](int i) { return R"({"id":"j)" + std::to_string(i) + R"(","command":")" + big + "\"}"; };
    {
        const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now());
        for (int i = 0; i <= 20; ++i) {
            REQUIRE(take(**book, submit(i)).verdict == JobBook::Verdict::accepted);
            if (i == 20) break;  // long enough to be compacted, at the next start
            auto record = *(*book)->next(sys::wall_now());
            record.state = JobState::succeeded;
            record.finished = format_rfc3339(sys::wall_now());
            REQUIRE((*book)->update(record));
        }
    }
    REQUIRE(std::filesystem::file_size(folder.path() + "/jobs.journal") > k_compact_from);
    std::filesystem::create_directories(folder.path() + "/jobs/j1");
    std::filesystem::copy(folder.path() + "/jobs.journal", folder.path() + "/as-it-was");
    const auto known_after = [&](std::chrono::days later, int i) {
        std::filesystem::copy(folder.path() + "/as-it-was", folder.path() + "/jobs.journal", std::filesystem::copy_options::overwrite_existing);
        const auto book = JobBook::open(folder.path(), k_alpha, sys::wall_now() + later, 10 * 24h);
        return take(**book, submit(i)).verdict == JobBook::Verdict::known;
    };
    CHECK(known_after(std::chrono::days{39}, 0));
    CHECK_FALSE(known_after(std::chrono::days{41}, 0));
    CHECK(known_after(std::chrono::days{41}, 1));
}

TEST_CASE("a journal is written anew with what counts, or not at all: what cannot be read is not forgotten") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/journal";
    auto journal = *JobJournal::open(path, [](auto, const auto&) {});
    std::map<JobId, JournalPlace> known;
    for (const std::string id : {"a", "b", "c"}) {
        const auto first = *journal->append({"first of " + id, "asked by " + id});
        known[*JobId::parse(id)] = {known.size(), first, *journal->append({"newest of " + id, {}})};
    }
    const auto a = *JobId::parse("a"), b = *JobId::parse("b"), c = *JobId::parse("c");
    const auto keep = [&](const JobId& id, std::size_t younger, const std::string& record) {
        CHECK(record == "newest of " + id.str());
        CHECK(younger == 2U - static_cast<std::size_t>(id.str().front() - 'a'));
        return id == a ? Keep::all : id == b ? Keep::record : Keep::nothing;
    };
    const auto before = whole(path);
    auto broken = before;
    broken[broken.find("newest of b")] ^= 1;
    std::fstream(path, std::ios::in | std::ios::out) << broken;
    CHECK_FALSE(compact(*journal, known, keep));
    CHECK(known.size() == 3);
    CHECK(whole(path) == broken);
    std::fstream(path, std::ios::in | std::ios::out) << before;
    REQUIRE(compact(*journal, known, keep));
    CHECK(known.size() == 2);
    CHECK_FALSE(known.contains(c));
    for (const auto& [id, request] : {std::pair{a, "asked by a"}, {b, ""}}) {
        const auto entry = journal->read(known[id].record_at);
        REQUIRE(entry);
        CHECK(entry->record == "newest of " + id.str());
        CHECK(entry->request == request);
    }
    CHECK(requests_in(path) == std::vector<std::string>{"asked by a", ""});
}

TEST_CASE("a job that starts at once is told of while it is journalled, and counts for nothing before that") {
    const test::TempFolder folder;
    auto book = *JobBook::open(folder.path(), k_alpha, sys::wall_now());
    std::vector<std::string> coming;
    bool journalled = false;
    book->tell_of_coming([&] {
        if (const auto one = book->take_coming()) coming.push_back(one->first.str() + ":" + one->second.command);
        journalled = journalled || whole(folder.path() + "/jobs.journal").find("\"first\"") != std::string::npos;
    });
    CHECK(take(*book, R"({"id":"busy","command":"a"})").verdict == JobBook::Verdict::accepted);
    CHECK(coming.empty());  // nobody said that it would start
    CHECK_FALSE(book->take_granted());
    auto next = *book->next(sys::wall_now());
    next.state = JobState::succeeded;
    REQUIRE(book->update(next));
    book->set_idle(true);
    CHECK(take(*book, "retained?").verdict == JobBook::Verdict::accepted);
    CHECK(coming.size() == 1);
    REQUIRE(book->take_granted());
    book->set_idle(true);
    CHECK(take(*book, R"({"id":"busy","command":"another"})").verdict == JobBook::Verdict::rejected);
    CHECK(coming.size() == 1);
    CHECK(take(*book, R"({"id":"first","command":"c"})").verdict == JobBook::Verdict::accepted);
    REQUIRE(coming.size() == 2);
    CHECK(coming[1] == "first:c");
    CHECK_FALSE(journalled);
    CHECK(book->take_granted()->id.str() == "first");

    // What nobody took in time is out of date.
    book->tell_of_coming([] {});
    book->set_idle(true);
    take(*book, R"({"id":"second","command":"d"})");
    CHECK(book->take_granted());
    CHECK_FALSE(book->take_coming());
}
