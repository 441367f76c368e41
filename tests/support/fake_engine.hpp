#pragma once
// Speaks, on a unix socket, the calls of the Docker Engine API that the supervisor makes, and runs nothing: for fleets
// larger than a machine, and for answers that a real engine gives seldom. Everything else is tested against a real one.
// Threads: one answers all calls, one after the other; the functions are for the test's own thread.

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "private_broker.hpp"
#include "sys/fd.hpp"

namespace sutfleet::test {

class FakeEngine {
  public:
    explicit FakeEngine(std::string stack);
    ~FakeEngine();
    FakeEngine(const FakeEngine&) = delete;
    FakeEngine& operator=(const FakeEngine&) = delete;
    [[nodiscard]] std::string host() const { return "unix://" + path_; }

    enum class Fault {
        none,
        refused,    ///< 500 with a message
        conflict,   ///< 409
        not_found,  ///< 404
        cut_off,    ///< half of an answer
        hangs,      ///< none, and cut off when the fault is another
        late,       ///< the right one, when the fault is another
    };
    /// Of the calls that make or change this SUT's container (`POST` on it).
    void fail(const std::string& sut, Fault fault);
    /// Of the calls that look at it.
    void blind(const std::string& sut, Fault fault);
    /// The image is not there, until one of its name is loaded or built.
    void lose_image(const std::string& image);
    /// Of what brings images: none of it is there then.
    void fail_images(Fault fault);
    /// The agent's process ends by itself. With `told` false its event is lost.
    void end(const std::string& sut, int exit_code, bool told = true);
    /// From now on it does so as soon as it is started.
    void end_at_once(const std::string& sut, int exit_code);
    /// An event that changes nothing.
    void nudge(const std::string& sut);
    void break_events();
    /// What is answered to whoever wants a file of this volume; 404 else. With `No such container` the helper is gone, too.
    void set_archive(const std::string& volume, int status, const std::string& body);
    /// What was put into the volume last, as it came.
    [[nodiscard]] std::string archive_put(const std::string& volume);
    /// It is not there, whoever makes it.
    void keep_no_volume(const std::string& volume);

    [[nodiscard]] std::size_t running();
    [[nodiscard]] bool runs(const std::string& sut);
    /// How often something was asked, by kind: list, inspect, create, start, archive …
    [[nodiscard]] std::size_t asked(const std::string& what);
    /// The same, of one SUT's container.
    [[nodiscard]] std::size_t asked(const std::string& what, const std::string& sut);
    [[nodiscard]] std::size_t all_asked();
    /// Calls that hang now.
    [[nodiscard]] std::size_t hanging();

  private:
    struct Container {
        std::string id, name, sut, hash, programs, image, status = "created", started;
        std::vector<std::string> volumes;
        int exit_code = 0;
    };
    struct Request {
        std::string method, path, query, body;
    };
    struct Answer {
        int status = 200;
        std::string body = "{}";
    };
    void serve();
    void serve_one(sys::UniqueFd connection);
    void set_fault(std::map<std::string, Fault>& of, const std::string& sut, Fault fault);
    static bool read_request(int fd, Request& into);
    static void read_head(const std::string& text, Request& into);
    static bool read_chunks(int fd, std::string rest);
    /// With the lock, as the next.
    void give(int connection, const Request& request);
    Answer answer(const Request& request);
    Answer answer_container(const Request& request, const std::string& key, const std::string& verb);
    Answer answer_archive(const Request& request, const Container& one);
    Answer create(const Request& request);
    Answer answer_images(const Request& request);
    Answer list(const Request& request);
    [[nodiscard]] static std::string inspect(const Container& one, const std::string& stack);
    Container* find(const std::string& key);
    void change(Container& one, const std::string& status, const std::string& action);
    void tell(const Container& one, const std::string& action);
    void count(const std::string& what, const std::string& sut);
    /// @return false when it was answered by the fault
    bool pass_fault(const Request& request, sys::UniqueFd& connection);
    [[nodiscard]] std::string sut_of(const Request& request);

    const std::string stack_;
    TempFolder folder_;
    std::string path_;
    sys::UniqueFd listener_;
    std::mutex mutex_;  ///< guards all below
    std::map<std::string, Container> containers_;   ///< by id
    std::map<std::string, std::string> ids_;        ///< by name
    std::set<std::string> volumes_, no_volumes_;
    std::map<std::string, Answer> archives_;
    std::map<std::string, std::string> archives_put_;
    std::map<std::string, Fault> faults_, blind_;
    std::map<std::string, int> end_at_once_;
    std::set<std::string> lost_images_;
    static constexpr const char* k_images = "/images";  ///< of faults_: no SUT is called that
    std::map<std::string, std::size_t> asked_;
    std::vector<sys::UniqueFd> listeners_;  ///< of events
    struct Hung {
        std::string sut;
        Request request;
        Fault fault;
        sys::UniqueFd connection;
    };
    std::vector<Hung> hung_;
    unsigned long long last_ = 0;
    std::jthread thread_;
};

}  // namespace sutfleet::test
