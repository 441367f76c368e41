#include "program_tree.hpp"

#include "sys/file.hpp"

namespace sutfleet {
namespace {
constexpr std::size_t k_program_limit = 64 * 1024 * 1024;
}

Result<std::string> program_build(const std::string& folder) {
    auto text = sys::read_file(folder + "/BUILD", 256);
    if (!text) return fail(text.error().with("the agents' programs"));
    while (!text->empty() && text->back() == '\n') text->pop_back();
    return text;
}

Result<ProgramTree> read_program_tree(const std::string& folder) {
    auto build = program_build(folder);
    if (!build) return fail(build.error());
    ProgramTree tree{*std::move(build), {}};
    for (const std::string part : {"bin", "lib", "lib-tls"}) {
        const auto names = sys::list_folder(folder + "/" + part);
        if (!names) return fail(names.error());
        tree.entries.push_back({VolumeEntry::Kind::folder, part, {}, 0755, 0, 0});
        for (const auto& name : *names) {
            auto content = sys::read_file(folder + "/" + part + "/" + name, k_program_limit);
            if (!content) return fail(content.error());
            tree.entries.push_back({VolumeEntry::Kind::file, part + "/" + name, *std::move(content), 0555, 0, 0});
        }
    }
    return tree;
}

}  // namespace sutfleet
