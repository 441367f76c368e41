#include "gate.hpp"

#include <unistd.h>

#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_limit = 4096;

/// A file that is there closes the gate, whatever is in it.
std::string read_why(const std::string& path) {
    const auto text = sys::read_file(path, k_limit);
    if (text) return text->empty() ? "no reason was kept" : *text;
    return text.error().kind == ErrorKind::not_found ? std::string() : text.error().message;
}

void keep(const std::string& path, const std::string& why) {
    if (const auto written = sys::write_file_atomic(path, why.substr(0, k_limit), 0644, sys::Durability::durable); !written)
        sys::log(sys::Level::error, "after a restart jobs would be taken: " + written.error().message);
    sys::crash_point("gate: closed");
}

}  // namespace

Gate::Gate(const std::string& state_folder)
    : maintenance_file_(state_folder + "/maintenance"),
      draining_file_(state_folder + "/draining"),
      maintenance_(read_why(maintenance_file_)),
      draining_(read_why(draining_file_)) {}

void Gate::maintain(const std::string& why) {
    maintenance_ = why;
    keep(maintenance_file_, why);
}

void Gate::drain() {
    draining_ = "draining";
    keep(draining_file_, draining_);
}

void Gate::resume() {
    for (const auto* file : {&maintenance_file_, &draining_file_}) ::unlink(file->c_str());
    sys::crash_point("gate: opened");
    maintenance_.clear();
    draining_.clear();
}

void Gate::hold(SteadyTime until, std::string why) {
    held_until_ = until;
    held_ = std::move(why);
}

std::string Gate::refusal() const {
    if (!maintenance_.empty()) return "maintenance: " + maintenance_;
    return draining_.empty() ? no_room_ : draining_;
}

}  // namespace sutfleet::agent
