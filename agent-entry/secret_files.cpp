#include "secret_files.hpp"

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "core/agent_files.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {
constexpr std::size_t k_secret_limit = 64 * 1024;
}  // namespace

SecretFiles::SecretFiles(std::string folder) : folder_(std::move(folder)), link_(folder_ + "/" + std::string(agent_files::k_current)) {
    auto found = delivery();  // first, then read
    all_ = newest_ = read();
    if (trouble_.empty()) seen_ = std::move(found);
}

const std::shared_ptr<const Secrets>& SecretFiles::now() {
    auto found = delivery();
    if (found == seen_ || found.empty()) return all_;  // none: the engine is just exchanging it
    const auto fresh = read();
    all_ = fresh->and_those_of(*all_);
    if (all_->size() > k_most) all_ = fresh->and_those_of(*newest_);
    newest_ = fresh;
    if (trouble_.empty()) seen_ = std::move(found);  // otherwise it is read again
    return all_;
}

std::string SecretFiles::delivery() const {
    std::array<char, 64> target;
    const auto size = ::readlink(link_.c_str(), target.data(), target.size());
    return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::shared_ptr<const Secrets> SecretFiles::read() {
    std::vector<std::string> values;
    std::string trouble;
    const auto names = sys::list_folder(folder_);
    if (!names && names.error().kind != ErrorKind::not_found) trouble = names.error().message;
    for (const auto& name : names.value_or(std::vector<std::string>{})) {
        if (name.starts_with('.')) continue;  // what the names are links to
        auto value = sys::read_file(folder_ + "/" + name, k_secret_limit);
        if (!value && value.error().kind == ErrorKind::not_found) continue;  // a link of one that is not kept any more
        if (!value) {
            trouble = value.error().message;
            continue;
        }
        while (value->ends_with('\n') || value->ends_with('\r')) value->pop_back();
        values.push_back(*std::move(value));
    }
    if (!trouble.empty() && trouble != trouble_) sys::log(sys::Level::warn, "a secret is not masked in output: " + trouble);
    trouble_ = std::move(trouble);
    return std::make_shared<const Secrets>(values);
}

}  // namespace sutfleet::agent
