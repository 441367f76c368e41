#pragma once
// What `fleet/cmd/restart` and `…/reset` are asked: a SUT's name by itself, or with words behind it: `alpha --purge --now`.
// Pure.

#include <string_view>

#include "core/ids.hpp"

namespace sutfleet {

struct SutOrder {
    SutName sut;
    bool purge = false;
    bool now = false;
};

/// @param verb restart takes --now, reset --purge and, with it, --now; others take a name only
/// @return invalid_input that names the word that is wrong
Result<SutOrder> parse_sut_order(std::string_view verb, std::string_view argument);

}  // namespace sutfleet
