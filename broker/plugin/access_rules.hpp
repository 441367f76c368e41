#pragma once
// What each user of the broker may read and write: the part of Mosquitto's access file (mosquitto.conf(5), acl_file) that
// the stack uses. Pure. Threads: any, while nobody adds.
//
//   topic [read|write|readwrite] FILTER    before the first user: of who has no name
//   user NAME
//   topic …                                of this user
//   pattern [read|write|readwrite] FILTER  of everybody who has a name, which takes the place of %u

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sutfleet::broker {

/// MQTT 5.0, 4.7: `+` is one level, `#` the rest with its parent; neither begins a match of a topic that begins with `$`.
[[nodiscard]] bool matches(std::string_view filter, std::string_view topic);

class AccessRules {
  public:
    enum class Access : unsigned { read = 1, write = 2, both = 3 };

    /// Takes the rules of one file. A line that is none gives no right: `bad` is told its number (from 1) and what was expected.
    void add(std::string_view text, const std::function<void(int line, const char* expected)>& bad);
    /// @param user empty: who has no name. A name with `+`, `#` or `/` has no right by a pattern.
    [[nodiscard]] bool may(std::string_view user, std::string_view topic, Access wanted) const;

  private:
    struct Rule {
        Access access;
        std::string filter;
    };
    using Rules = std::vector<Rule>;

    std::map<std::string, Rules, std::less<>> users_;
    Rules patterns_;
};

}  // namespace sutfleet::broker
