// The supervisor's care for who may come to the broker: credentials that are changed, its certificate, and the open bench.

#include "certificate.hpp"
#include "supervisor.hpp"
#include "sys/clock.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;

constexpr auto k_look_at_certificate = 1min;
constexpr auto k_look_at_authority = 1s;  ///< the broker has a new one at once, and agents are away until they have it
constexpr auto k_answer_first = 1s;
constexpr const char* k_all = "--all";
constexpr const char* k_open_word =
    "the broker is open: whoever reaches it may do all that the operator may (compose/anonymous.yaml)";

}  // namespace

/// A new one is delivered first: the agent has it before the broker asks for it.
Result<std::string> Supervisor::rotate(const std::string& whose) {
    if (whose == k_all) {
        for (const auto& sut : registrar_.suts())
            if (auto begun = rotate(sut); !begun) return fail(begun.error().with(sut.str()));
        const auto what = "changing the credentials of " + std::to_string(registrar_.suts().size()) + " SUTs";
        if (settings_.password_file.empty()) return what;
        if (auto begun = registrar_.begin_own(settings_.password_file); !begun) return fail(begun.error());
        own_rotation_at_ = sys::steady_now() + k_answer_first;
        return what + ", and the supervisor's own";
    }
    const auto sut = SutName::parse(whose);
    if (!sut) return fail(sut.error());
    if (auto begun = rotate(*sut); !begun) return fail(begun.error());
    return "changing the credential of " + sut->str();
}

Result<void> Supervisor::open_console() {
    return settings_.console_env.empty() ? Result<void>() : registrar_.open_console(settings_.console_env, settings_.console_broker, settings_.open);
}

Result<void> Supervisor::rotate(const SutName& sut) {
    if (auto made = registrar_.rotate(sut); !made) return made;
    // Without a container there is nobody to give it to: the next one gets it when it is made.
    if (found_known_ && fleet_.found(sut) == nullptr && !fleet_.history(sut).busy) return end_rotation(sut, registrar_.newest(sut));
    fleet_.know(sut).delivered_hash = k_old_credential;
    fleet_.touch(sut);
    return {};
}

Result<void> Supervisor::end_rotation(const SutName& sut, const std::string& credential) {
    if (auto done = registrar_.delivered(sut, credential); !done) return done;
    say({format_rfc3339(sys::wall_now()), sut.str(), "rotate", "a new credential was asked for", "ok", "", ""});
    return {};
}

/// The supervisor's own and the console's: their connections end, and whoever asked shall have his answer by then. A life that
/// ends before is taken up by the next.
void Supervisor::rotate_own(SteadyTime now) {
    if (!own_rotation_at_ || now < *own_rotation_at_) return;
    own_rotation_at_.reset();
    for (const auto& done : {open_console(), registrar_.finish_own(settings_.password_file)})
        if (!done) sys::log(sys::Level::error, "the supervisor's own credential: " + done.error().message);
}

/// After a delivery: the agent has this one.
Result<void> Supervisor::settle_credential(const SutName& sut, const std::string& credential) {
    if (!registrar_.rotating(sut)) return {};
    Result<void> done;
    if (credential == registrar_.newest(sut)) {
        done = end_rotation(sut, credential);
        if (done) return done;
        done = fail(done.error().with("its new credential is not the broker's yet"));
    }
    fleet_.know(sut).delivered_hash = k_old_credential;  // it was asked for meanwhile, or is to be tried again
    return done;
}

/// Of the broker's files, when a connection to it was made: it may be another one, with nothing of what was.
void Supervisor::restore_users() {
    if (const auto restored = registrar_.restore(); !restored) sys::log(sys::Level::error, "broker users: " + restored.error().message);
}

/// Agents get another CA as they get another conf, by the engine: the broker need not be within their reach.
void Supervisor::look_at_authority(SteadyTime now) {
    if (!settings_.agent_tls() || now < authority_look_at_) return;
    authority_look_at_ = now + k_look_at_authority;
    auto authority = read_authority(settings_);
    const auto trouble = authority ? std::string() : "the CA for agents cannot be read, they have the one before: " + authority.error().message;
    if (trouble != std::exchange(authority_trouble_, trouble)) {
        trouble.empty() ? sys::log(sys::Level::info, "the CA for agents can be read again") : sys::log(sys::Level::error, trouble);
        fleet_report_at_ = {};
    }
    if (!authority || *authority == agent_ca_) return;
    agent_ca_ = *std::move(authority);
    for (const auto& [sut, file] : confs_.files()) want(sut, "the broker's CA");
}

/// What `fleet/state` says of the broker; a change for the worse is an event, too.
void Supervisor::look_at_certificate(SteadyTime now) {
    if (now < certificate_look_at_) return;
    certificate_look_at_ = now + k_look_at_certificate;
    auto word = certificate_word(certificates_end(settings_.auth_dir + "/tls"), sys::wall_now());
    if (word == std::exchange(certificate_, word) || !word.starts_with("degraded")) return;
    sys::log(sys::Level::warn, word);
    say({format_rfc3339(sys::wall_now()), "", "certificate", word, "degraded", "", ""});
}

std::string Supervisor::broker_word() const {
    if (settings_.open) return std::string("degraded: ") + k_open_word;
    if (!authority_trouble_.empty()) return "degraded: " + authority_trouble_;
    return certificate_.starts_with("degraded") ? certificate_ : "ok";
}

void Supervisor::warn_if_open() const {
    if (settings_.open) sys::log(sys::Level::error, std::string("OPEN BROKER: ") + k_open_word);
}

}  // namespace sutfleet
