#pragma once
// A conf with `{{key}}` and `{{key=default}}` in it, and how it is filled in. Pure.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exit.hpp"

namespace sutfleet::ctl {

struct Template {
    std::string name;
    std::string text;

    /// What its line `# template: …` says.
    [[nodiscard]] std::string what() const;
};

/// Of sut/templates/, in the order of their names.
const std::vector<Template>& shipped_templates();

struct TemplateKey {
    std::string name;
    std::optional<std::string> otherwise;  ///< none: it must be given
    bool operator==(const TemplateKey&) const = default;
};
/// Each once, in the order of the text; without `name`, which is the SUT's.
std::vector<TemplateKey> template_keys(std::string_view text);

using Values = std::map<std::string, std::string>;
/// `key=value` words. @return k_usage for another form, a key twice, or a value with control characters
Outcome<Values> parse_values(const std::vector<std::string>& words);

/// @return k_usage that names every key that is missing or that the template does not have
Outcome<std::string> fill_in(const Template& from, const std::string& sut, const Values& values);

}  // namespace sutfleet::ctl
