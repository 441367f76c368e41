#pragma once
// The values that are masked in output, as they are delivered. Not safe for several threads.

#include <memory>
#include <string>

#include "masker.hpp"

namespace sutfleet::agent {

class SecretFiles {
  public:
    /// A file each, also behind the link of a delivery (core/agent_files.hpp); the last newline is no part of the secret.
    /// The folder need not be there.
    explicit SecretFiles(std::string folder);
    /// Looks whether others were delivered: one system call when not. Nobody can have printed a new value before it is
    /// found here, if the look comes after what was printed was read.
    /// @return these and those before, which a program may still have; the same object until there is another delivery
    const std::shared_ptr<const Secrets>& now();

  private:
    /// @return where the link leads; empty while there is none
    [[nodiscard]] std::string delivery() const;
    /// Sets trouble_.
    std::shared_ptr<const Secrets> read();

    static constexpr std::size_t k_most = 256;  ///< values and lines; of more, only the newest and those before them

    const std::string folder_, link_;
    std::string trouble_;  ///< of the last read; empty: it was whole
    std::string seen_;     ///< the delivery that was read, as a whole
    std::shared_ptr<const Secrets> newest_, all_;
};

}  // namespace sutfleet::agent
