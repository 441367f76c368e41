#pragma once
// Decoder of `contexts/<name>.yaml`: YAML to a checked ImageContext. Never throws; no file access. Threads: any.

#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "conf/sut_conf_yaml.hpp"
#include "core/image_context.hpp"

namespace sutfleet {

/// Every broken rule of the text, not only the first.
tl::expected<ImageContext, std::vector<ConfError>> decode_context(std::string_view text);

}  // namespace sutfleet
