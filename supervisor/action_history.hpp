#pragma once
// The newest actions on each SUT, with their reasons. Pure; main thread only.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/ids.hpp"

namespace sutfleet {

struct PastAction {
    std::string what, why, at, result;  ///< at: RFC 3339; result: "ok" or the error
    unsigned times = 1;                 ///< the same again and again is one, at its newest time
    bool operator==(const PastAction&) const = default;
};

class ActionHistory {
  public:
    static constexpr std::size_t k_kept = 20;  ///< of one SUT

    void add(const SutName& sut, PastAction action);
    /// What an earlier life of ours reported, newest first. Counts once for a SUT, and goes behind what there is.
    void remember(const SutName& sut, const std::vector<PastAction>& earlier);
    /// Whether that has been asked for already: our own reports come back too, and need not be read.
    [[nodiscard]] bool remembers(const SutName& sut) const { return remembered_.contains(sut); }
    void forget(const SutName& sut);
    /// Newest first; empty when there is none.
    [[nodiscard]] const std::vector<PastAction>& of(const SutName& sut) const;

  private:
    std::map<SutName, std::vector<PastAction>> actions_;
    std::set<SutName> remembered_;
};

}  // namespace sutfleet
