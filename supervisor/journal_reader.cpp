#include "journal_reader.hpp"

#include "container_spec.hpp"
#include "core/agent_files.hpp"
#include "sys/crash_point.hpp"

namespace sutfleet {
JournalReader::JournalReader(const Settings& settings, Engine& engine, const sys::Wake& owner)
    : settings_(settings), engine_(engine), owner_(owner), thread_([this](const std::stop_token& stop) { work(stop); }) {}

void JournalReader::ask(Question question) {
    const std::scoped_lock lock(mutex_);
    questions_.push_back(std::move(question));
    added_.notify_one();
}

std::vector<JournalReader::Answer> JournalReader::take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(answers_, {});
}

void JournalReader::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (added_.wait(lock, stop, [this] { return !questions_.empty(); })) {
        const auto question = std::move(questions_.front());
        questions_.pop_front();
        lock.unlock();
        auto word = find_out(question);
        lock.lock();
        answers_.push_back({question, std::move(word)});
        owner_.notify();
    }
}

/// The order is what makes it safe, whatever starts meanwhile: an agent that starts after the withdrawal was put there reads
/// it before its first job; one that started before has a container now, or has left in the journal all that it did.
Result<LastWord> JournalReader::find_out(const Question& question) {
    if (auto gone = no_container(question.sut); !gone) return fail(gone.error());
    const auto volume = state_volume(settings_, question.sut);
    const auto there = engine_.has_volume(volume);
    if (!there) return fail(there.error());
    if (!*there) return LastWord{LastWord::Kind::unknown, "its state volume " + volume + " is gone, too"};
    const auto name = std::string(agent_files::k_withdrawn) + question.id.str();
    auto put = engine_.deliver(settings_.agent_image, helper_labels(settings_),
                               {{volume, {{VolumeEntry::Kind::file, name, std::to_string(question.number) + "\n"}}}});
    if (!put) return fail(put.error());
    sys::crash_point("gone: withdrawn, not read");
    if (auto gone = no_container(question.sut); !gone) return fail(gone.error());
    return read(question, volume);
}

Result<void> JournalReader::no_container(const SutName& sut) {
    const auto found = engine_.inspect(container_name(settings_, sut));
    if (found) return fail(ErrorKind::conflict, "its container is there");
    return found.error().kind == ErrorKind::not_found ? Result<void>{} : fail(found.error());
}

Result<LastWord> JournalReader::read(const Question& question, const std::string& volume) {
    JournalSearch search(question.id);
    std::size_t bytes = 0;
    const auto done = engine_.read_volume_file(settings_.agent_image, helper_labels(settings_), volume, agent_files::k_jobs_journal,
                                               [&](std::string_view part) {
                                                   bytes += part.size();
                                                   if (bytes > k_journal_read_limit) return false;
                                                   search.take(part);
                                                   return true;
                                               });
    if (!done && done.error().kind == ErrorKind::not_found) return LastWord{LastWord::Kind::unknown, "its state volume has no journal"};
    if (!done) return fail(done.error());
    if (bytes > k_journal_read_limit) return fail(ErrorKind::permanent, "its journal is larger than 512 MiB: not read");
    return search.word();
}

}  // namespace sutfleet
