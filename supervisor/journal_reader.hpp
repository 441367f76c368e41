#pragma once
// Finds out what a SUT that is gone has journalled of a job, from its state volume, and sees to it that the job does not
// start there when the SUT comes back. One after the other, on a thread of its own: the engine may be slow.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.hpp"
#include "pool/last_word.hpp"
#include "settings.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

class JournalReader {
  public:
    struct Question {
        SutName sut;
        JobId id;
        unsigned number = 0;  ///< of its grant
    };
    struct Answer {
        Question question;
        Result<LastWord> word;  ///< an error is no word: it is asked again
    };
    /// `owner` is notified after each.
    JournalReader(const Settings& settings, Engine& engine, const sys::Wake& owner);
    ~JournalReader() { thread_.request_stop(); }
    JournalReader(const JournalReader&) = delete;
    JournalReader& operator=(const JournalReader&) = delete;

    void ask(Question question);
    std::vector<Answer> take();

  private:
    void work(const std::stop_token& stop);
    Result<LastWord> find_out(const Question& question);
    Result<void> no_container(const SutName& sut);
    Result<LastWord> read(const Question& question, const std::string& volume);

    const Settings& settings_;
    Engine& engine_;
    const sys::Wake& owner_;
    std::mutex mutex_;  ///< guards the two below
    std::condition_variable_any added_;
    std::deque<Question> questions_;
    std::vector<Answer> answers_;
    std::jthread thread_;
};

/// Of a journal: far more than the agent's own limits let it become.
inline constexpr std::size_t k_journal_read_limit = 512 * 1024 * 1024;

}  // namespace sutfleet
