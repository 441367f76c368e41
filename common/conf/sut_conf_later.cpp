#include "conf/sut_conf_sections.hpp"

namespace sutfleet::conf {

void read_later(MapReader& root, SutConf& out) {
    std::map<std::string, std::string> secrets;
    root.text_map("secrets", secrets);
    mark_not_acted_on(root, "secrets", root.line_of("secrets"), out);
}

}  // namespace sutfleet::conf
