// Deliveries that are made together. The engine here answers nothing else: what matters is who gets which result.
#include "courier.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <semaphore>
#include <thread>

using namespace sutfleet;

namespace {

struct Deliveries final : Engine {
    Result<void> deliver(std::string_view, const std::map<std::string, std::string>&, const std::vector<Delivery>& all) override {
        if (++trips <= 2) gate.acquire();  // the first two are under way until the test lets them go
        const std::scoped_lock lock(mutex);
        sizes.push_back(all.size());
        if (std::ranges::any_of(all, [](const Delivery& one) { return one.volume == "bad"; })) return fail(ErrorKind::transient, "bad volume");
        return {};
    }
    std::counting_semaphore<> gate{0};
    std::atomic<int> trips{0};
    std::mutex mutex;
    std::vector<std::size_t> sizes;

    static tl::unexpected<Error> none() { return fail(ErrorKind::permanent, "not of this test"); }
    Result<Info> ping() override { return none(); }
    Result<std::vector<FoundContainer>> agents(std::string_view) override { return none(); }
    Result<FoundContainer> inspect(std::string_view) override { return none(); }
    Result<std::vector<std::pair<std::string, std::string>>> with_role(std::string_view, std::string_view) override { return none(); }
    Result<std::string> image_user(std::string_view) override { return none(); }
    Result<std::string> image_file(std::string_view, const std::map<std::string, std::string>&, std::string_view) override { return none(); }
    Result<void> read_volume_file(std::string_view, const std::map<std::string, std::string>&, const std::string&, std::string_view,
                                  const std::function<bool(std::string_view)>&) override { return {}; }
    Result<void> run(const Errand&, std::chrono::milliseconds) override { return none(); }
    Result<std::string> create(const AgentContainer&) override { return none(); }
    Result<void> start(std::string_view) override { return none(); }
    Result<void> stop(std::string_view, std::chrono::seconds) override { return none(); }
    Result<void> kill(std::string_view) override { return none(); }
    Result<void> remove(std::string_view) override { return none(); }
    Result<ProbeOutcome> probe(std::string_view, const std::vector<std::string>&, std::chrono::milliseconds) override { return none(); }
    Result<std::string> tail(std::string_view, int) override { return none(); }
    Result<void> create_volume(std::string_view, const std::map<std::string, std::string>&) override { return none(); }
    Result<void> remove_volume(std::string_view) override { return none(); }
    Result<bool> has_volume(std::string_view) override { return none(); }
    Result<void> load_image(const ByteSource&, const ImageTransfer&) override { return none(); }
    Result<void> build_image(const ImageRecipe&, const ByteSource&, const ImageTransfer&) override { return none(); }
    Result<void> pull_image(std::string_view, const ImageTransfer&) override { return none(); }
};

}  // namespace

TEST_CASE("courier: what waits goes together, and one that cannot be delivered fails alone") {
    Deliveries engine;
    Courier courier(engine, {});
    std::atomic<int> fine{0}, failed{0};
    std::vector<std::jthread> callers;
    const auto call = [&](const std::string& volume) {
        callers.emplace_back([&, volume] { ++(courier.deliver("image", {{volume, {}}}) ? fine : failed); });
    };
    call("first");
    while (engine.trips < 1) std::this_thread::yield();
    call("second");
    while (engine.trips < 2) std::this_thread::yield();
    for (const auto* volume : {"a", "b", "bad", "c"}) call(volume);
    engine.gate.release(2);
    callers.clear();
    CHECK(fine == 5);
    CHECK(failed == 1);
    CHECK(std::ranges::all_of(engine.sizes, [](std::size_t size) { return size >= 1 && size <= 4; }));
}

TEST_CASE("courier: who is to be started waits for company while enough others are on their way; what is urgent takes all along") {
    Deliveries engine;
    engine.gate.release(2);
    Courier courier(engine, {});
    const auto trips = [&] { const std::scoped_lock lock(engine.mutex); return engine.sizes; };
    std::mutex mutex;
    std::vector<Courier::Start> on_the_way;
    std::vector<std::jthread> callers;
    const auto call = [&](const std::string& volume) {
        callers.emplace_back([&, volume] {
            auto start = courier.deliver_for_start("image", {{volume, {}}});
            const std::scoped_lock lock(mutex);
            if (start) on_the_way.push_back(*std::move(start));
        });
    };
    for (std::size_t i = 0; i < k_enough_to_start; ++i) {
        call("early");
        callers.clear();
    }
    REQUIRE(trips().size() == k_enough_to_start);
    for (int i = 0; i < 5; ++i) call("late");
    CHECK(courier.deliver("image", {{"urgent", {}}}));
    CHECK(courier.deliver("image", {{"urgent", {}}}));
    for (int i = 0; i < 5; ++i) call("last");
    { const std::scoped_lock lock(mutex); on_the_way.clear(); }  // all are started
    callers.clear();
    CHECK(on_the_way.size() <= 10);
    const auto sizes = trips();
    CHECK(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}) == k_enough_to_start + 12);
    on_the_way.clear();
    CHECK(courier.deliver_for_start("image", {{"bad", {}}}).error().message == "bad volume");
    for (std::size_t i = 0; i < 2 * k_enough_to_start; ++i) CHECK(courier.deliver_for_start("image", {{"again", {}}}));  // none is counted for ever
}
