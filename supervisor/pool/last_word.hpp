#pragma once
// What the journal of a SUT that is gone says of a job that was granted to it: the last that can be known. Pure.

#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace sutfleet {

struct LastWord {
    enum class Kind {
        never_started,  ///< and it never will be there: it may go to another SUT
        ended,
        cut_off,  ///< it had started, and did not end
        unknown,  ///< nothing is left that could tell
    } kind = Kind::unknown;
    std::string why{};     ///< of the last two
    std::string record{};  ///< of one that ended, JSON
};

/// Searches a journal, as it comes piece by piece, for the newest entry of a job. Memory: one entry.
class JournalSearch {
  public:
    explicit JournalSearch(const JobId& id) : mark_("\"" + id.str() + "\""), id_(id.str()) {}
    void take(std::string_view bytes);
    /// After all of it.
    [[nodiscard]] LastWord word();

  private:
    void step_over(std::size_t enough);
    void note(const std::string& record);
    const std::string mark_, id_;
    std::string rest_;
    std::string newest_;  ///< record
};

/// What a record of an agent's journal means.
[[nodiscard]] LastWord last_word(const std::string& record);

}  // namespace sutfleet
