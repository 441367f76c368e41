#pragma once
// Which SUTs wait for which context's image, what is being made, and when a way that failed is tried again. Each image is
// made once, however many wait for it. Pure: no clock, no call, no log.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/backoff.hpp"
#include "core/ids.hpp"
#include "core/timestamp.hpp"
#include "reconcile.hpp"

namespace sutfleet {

class ImageBook {
  public:
    /// The SUT cannot go on without the image of this context.
    void want(const std::string& context, const std::string& image, const SutName& sut);
    /// It waits no more, but for the context `keep`. @return the context that nobody waits for now, if it is being made
    std::optional<std::string> leave(const SutName& sut, const std::string& keep);
    /// The context is another now, or somebody asked: what failed is tried at once.
    /// @return whether it is being made as it was before; once that has ended it is begun anew
    bool retry(const std::string& context, const std::string& image);
    /// The contexts to begin with now, and they are begun; of two with one image, one after the other.
    std::vector<std::string> begin(SteadyTime now);
    /// It was changed meanwhile: how it ends tells nothing of what it is now.
    [[nodiscard]] bool is_outdated(const std::string& context) const;
    void says(const std::string& context, std::string doing);
    /// @param error empty: the image is there, and nobody waits for it any more
    /// @return who waited, and has another reason to now
    std::set<SutName> end(const std::string& context, const std::string& error, SteadyTime now, double random01);

    [[nodiscard]] bool is_begun(const std::string& context) const;
    [[nodiscard]] bool waits(const SutName& sut) const;
    [[nodiscard]] std::set<SutName> waiting(const std::string& context) const;
    /// Why a SUT of this context waits.
    [[nodiscard]] std::optional<ImageWait> wait_of(const std::string& context) const;
    /// When `begin` has something to do.
    [[nodiscard]] std::optional<SteadyTime> due() const;

  private:
    struct Entry {
        std::string image, doing, error;
        std::set<SutName> waiting;
        std::optional<SteadyTime> since;  ///< it is being made
        SteadyTime not_before{};
        unsigned failures = 0;
        std::optional<std::string> anew;  ///< the image that it is begun anew for
    };
    [[nodiscard]] bool is_made(const std::string& image) const;
    std::map<std::string, Entry> entries_;  ///< of contexts that somebody waits for or that are being made
};

inline constexpr BackoffPolicy k_failed_images{std::chrono::seconds{10}, std::chrono::minutes{5}};

}  // namespace sutfleet
