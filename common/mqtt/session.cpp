#include "mqtt/session.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "core/backoff.hpp"
#include "mqtt/paho.hpp"

namespace sutfleet::mqtt {
namespace {

using namespace std::chrono_literals;

constexpr BackoffPolicy k_reconnect{200ms, 5s};
constexpr auto k_answer_limit = 10s;
constexpr PublishId k_quiet = 0;

/// The owner's side of Paho's callbacks: a leaf lock, so that no callback can wait for us.
class Inbox {
  public:
    explicit Inbox(const sys::Wake& wake) : wake_(wake) {}

    void put(Message message) {
        const std::scoped_lock lock(mutex_);
        if (drained_.messages.size() < k_inbox_limit)
            drained_.messages.push_back(std::move(message));
        else
            ++drained_.dropped;
        wake_.notify();
    }
    void acknowledge(PublishId id) {
        const std::scoped_lock lock(mutex_);
        drained_.acknowledged.push_back(id);
        wake_.notify();
    }
    Drained take() {
        const std::scoped_lock lock(mutex_);
        return std::exchange(drained_, {});
    }
    void notify() const { wake_.notify(); }

  private:
    const sys::Wake& wake_;
    std::mutex mutex_;
    Drained drained_;
};

/// One connection's publications that the broker has not acknowledged yet, at most `k_window` of them.
class Window final : public ::mqtt::iaction_listener {
  public:
    explicit Window(Inbox& inbox) : inbox_(inbox) {}

    bool reserve() {
        if (in_flight_.load() >= k_window) return false;
        ++in_flight_;
        return true;
    }
    /// @return whether somebody may wait for the space
    bool release_one() { return in_flight_-- == k_window; }
    [[nodiscard]] bool empty() const { return in_flight_ == 0; }

    void on_success(const ::mqtt::token& token) override {
        const bool was_full = release_one();
        if (const auto id = reinterpret_cast<PublishId>(token.get_user_context()); id != k_quiet)
            inbox_.acknowledge(id);
        else if (was_full)
            inbox_.notify();
    }
    void on_failure(const ::mqtt::token&) override { release_one(); }

  private:
    Inbox& inbox_;
    std::atomic<std::size_t> in_flight_{0};
};

/// Used for one connection and thrown away: what Paho says late of an old one never counts against the next.
struct Connection {
    Connection(Inbox& inbox, const SessionOptions& options) : window(inbox), client(make_client(options)) {}

    Window window;
    std::unique_ptr<::mqtt::async_client> client;  ///< last: its end fails what is in the window
};

class PahoSession final : public Session {
  public:
    PahoSession(SessionOptions options, const sys::Wake& wake, Intake intake)
        : options_(std::move(options)), url_(options_.url), wake_(wake), intake_(std::move(intake)), inbox_(wake) {
        thread_ = std::jthread([this](const std::stop_token& stop) { keep_connected(stop); });
    }
    ~PahoSession() override {
        thread_.request_stop();
        changed_.notify_all();
    }

    bool connected() const override { return connected_; }
    std::uint64_t epoch() const override { return epoch_; }
    std::string last_error() const override {
        const std::scoped_lock lock(mutex_);
        return last_error_;
    }
    Result<PublishId> publish(Publication publication) override;
    Drained drain() override;
    Result<void> subscribe(const Subscription& wanted) override;
    Result<void> unsubscribe(const std::string& filter) override;
    void move_to(const std::string& url) override;
    void close(std::chrono::milliseconds limit) override;

  private:
    /// The connection, if there is one.
    Result<std::shared_ptr<Connection>> up() const;
    void keep_connected(const std::stop_token& stop);
    Result<void> connect_once(const std::stop_token& stop);
    void wait_for_loss(const std::stop_token& stop);
    void leave(::mqtt::async_client& client) const;
    void set_callbacks(::mqtt::async_client& client);
    void lost(const std::string& why);
    std::chrono::milliseconds next_delay(unsigned failures);

    const SessionOptions options_;  ///< but for the URL
    std::string url_;
    const sys::Wake& wake_;
    const Intake intake_;
    Inbox inbox_;
    mutable std::mutex mutex_;  ///< guards url_, connection_ and last_error_
    std::condition_variable_any changed_;
    std::shared_ptr<Connection> connection_;
    std::string last_error_ = "not connected yet";
    std::atomic<bool> connected_{false};
    std::atomic<bool> lost_{false};
    std::atomic<std::uint64_t> epoch_{0};
    PublishId next_id_ = 1;  ///< the owner's thread only
    std::uint64_t attempts_ = 0;  ///< thread_ only, as is lost_at_
    std::optional<std::chrono::steady_clock::time_point> lost_at_;  ///< the last connection
    std::mt19937_64 random_{std::random_device{}()};
    std::jthread thread_;  ///< last: it uses all of the above
};

void PahoSession::set_callbacks(::mqtt::async_client& client) {
    const Origin origin{++attempts_, std::chrono::steady_clock::now(), lost_at_};
    client.set_message_callback([this, origin](const ::mqtt::const_message_ptr& message) {
        try {
            auto ours = from_paho(*message);
            ours.origin = origin;
            if (!intake_ || !intake_(ours)) inbox_.put(std::move(ours));
        } catch (...) {  // out of memory: the message is lost, the connection is not
        }
    });
    client.set_connection_lost_handler([this](const std::string& why) {
        lost(why.empty() ? "the connection to the broker was lost" : why);
    });
    client.set_disconnected_handler([this](const ::mqtt::properties&, ::mqtt::ReasonCode reason) {
        lost("the broker ended the connection, reason code " + std::to_string(static_cast<int>(reason)));
    });
}

void PahoSession::lost(const std::string& why) {
    {
        const std::scoped_lock lock(mutex_);
        last_error_ = why;
        lost_ = true;
        connected_ = false;
    }
    changed_.notify_all();
    wake_.notify();
}

Result<void> PahoSession::connect_once(const std::stop_token& stop) try {
    auto options = options_;
    {
        const std::scoped_lock lock(mutex_);
        options.url = url_;
        lost_ = false;
    }
    const auto connection = std::make_shared<Connection>(inbox_, options);
    set_callbacks(*connection->client);
    {
        const std::scoped_lock lock(mutex_);
        connection_ = connection;
    }
    if (auto up = establish(*connection->client, options, k_answer_limit, stop); !up) return up;
    const std::scoped_lock lock(mutex_);
    if (lost_) return fail(ErrorKind::transient, last_error_);
    last_error_.clear();
    connected_ = true;
    ++epoch_;
    wake_.notify();
    return {};
} catch (const std::exception& error) {
    return fail(ErrorKind::transient, error.what());
}

void PahoSession::move_to(const std::string& url) {
    {
        const std::scoped_lock lock(mutex_);
        url_ = url;
    }
    lost("the broker is reached at another address now");
}

void PahoSession::wait_for_loss(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return lost_.load(); });
    connected_ = false;
}

/// A connection that is given up while it is good: Paho ends it in good order, and then the broker does not publish the will.
void PahoSession::leave(::mqtt::async_client& client) const try {
    if (options_.will) client.publish(::mqtt::make_message(options_.will->topic, options_.will->payload, 1, true))->wait_for(1s);
    client.disconnect()->wait_for(1s);
} catch (const std::exception&) {  // it was lost meanwhile
}

std::chrono::milliseconds PahoSession::next_delay(unsigned failures) {
    return with_full_jitter(backoff(k_reconnect, failures),
                            std::uniform_real_distribution<double>(0.1, 1.0)(random_));
}

void PahoSession::keep_connected(const std::stop_token& stop) {
    unsigned failures = 0;
    while (!stop.stop_requested()) {
        if (auto up = connect_once(stop); up) {
            failures = 0;
            wait_for_loss(stop);
            lost_at_ = std::chrono::steady_clock::now();
        } else {
            const std::scoped_lock lock(mutex_);
            last_error_ = up.error().message;
        }
        std::shared_ptr<Connection> old;
        {
            const std::scoped_lock lock(mutex_);
            old = std::exchange(connection_, nullptr);
        }
        if (!stop.stop_requested() && old && old->client->is_connected()) leave(*old->client);
        old.reset();
        wake_.notify();
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, next_delay(++failures), [] { return false; });
    }
}

Result<std::shared_ptr<Connection>> PahoSession::up() const {
    const std::scoped_lock lock(mutex_);
    if (!connected_ || !connection_) return fail(ErrorKind::transient, "no connection to the broker");
    return connection_;
}

Result<void> PahoSession::subscribe(const Subscription& wanted) try {
    const auto connection = up();
    if (!connection) return fail(connection.error());
    (*connection)->client->subscribe(wanted.filter, wanted.qos, subscribe_options(wanted));
    return {};
} catch (const std::exception& error) {
    return fail(ErrorKind::transient, error.what());
}

Result<void> PahoSession::unsubscribe(const std::string& filter) try {
    const auto connection = up();
    if (!connection) return fail(connection.error());
    (*connection)->client->unsubscribe(filter);
    return {};
} catch (const std::exception& error) {
    return fail(ErrorKind::transient, error.what());
}

Result<PublishId> PahoSession::publish(Publication publication) {
    const auto connection = up();
    if (!connection) return fail(connection.error());
    Window& window = (*connection)->window;
    if (!window.reserve()) return fail(ErrorKind::transient, "the broker does not keep up");
    const PublishId id = publication.quiet ? k_quiet : next_id_++;
    try {
        (*connection)->client->publish(to_paho(std::move(publication)), reinterpret_cast<void*>(id), window);
        return id;
    } catch (const std::exception& error) {
        window.release_one();
        return fail(ErrorKind::transient, error.what());
    }
}

Drained PahoSession::drain() { return inbox_.take(); }

void PahoSession::close(std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    if (auto connection = up()) {
        while (connected_ && !(*connection)->window.empty() && std::chrono::steady_clock::now() < deadline) {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, 2ms);  // an acknowledgement has no condition of its own
        }
        try {
            (*connection)->client->disconnect()->wait_for(std::max<std::chrono::milliseconds>(
                100ms, std::chrono::duration_cast<std::chrono::milliseconds>(
                           deadline - std::chrono::steady_clock::now())));
        } catch (const std::exception&) {  // it was lost meanwhile: nothing is left to be closed
        }
    }
    thread_.request_stop();
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

}  // namespace

std::unique_ptr<Session> Session::open(SessionOptions options, const sys::Wake& wake, Intake intake) {
    return std::make_unique<PahoSession>(std::move(options), wake, std::move(intake));
}

Result<void> end_session(SessionOptions options, std::chrono::milliseconds limit) try {
    options.clean_start = true;
    options.session_expiry = std::chrono::seconds{0};
    options.will.reset();
    options.subscriptions.clear();
    const auto client = make_client(options);
    if (auto up = establish(*client, options, limit); !up) return up;
    client->disconnect()->wait_for(limit);
    return {};
} catch (const std::exception& error) {
    return fail(ErrorKind::transient, error.what());
}

}  // namespace sutfleet::mqtt
