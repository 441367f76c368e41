#include "conf_check.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "conf/sut_conf_tree.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "context_check.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;
using conf::Kind;

constexpr std::size_t k_companion_limit = 1024 * 1024;  ///< the supervisor hands no larger one over
constexpr std::size_t k_companions_limit = 8 * 1024 * 1024;
constexpr std::size_t k_deepest = 8;
constexpr std::size_t k_most_entries = 10'000;

/// The message's own `path: `, which stands in front of every message anyway.
std::string without(const std::string& path, const std::string& message) {
    const auto lead = path + ": ";
    return message.starts_with(lead) ? message.substr(lead.size()) : message;
}

/// A name that would be right and looks like the one that is not; empty when there is none.
std::string suggested(std::string stem) {
    for (auto& c : stem) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
    stem = stem.substr(0, 63);
    while (!stem.empty() && stem.front() == '-') stem.erase(0, 1);
    while (!stem.empty() && stem.back() == '-') stem.pop_back();
    if (!SutName::parse(stem)) stem += "-sut";
    return SutName::parse(stem) ? stem : std::string();
}

Finding bad_name(const std::string& stem, const Error& error) {
    const auto better = suggested(stem);
    return {0, 0, "the file's name: " + error.message + (better.empty() ? "" : ": call it " + better + ".conf")};
}

std::string owner_of(const std::string& name) { return name.substr(0, name.find_first_of("._")); }

bool is_yaml(const std::string& name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }

bool is_path_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("/._-+@%").find(c) != std::string_view::npos; }

/// The absolute paths in a text that end with `/name`.
std::set<std::string> paths_to(const std::string& text, const std::string& name) {
    std::set<std::string> out;
    for (auto at = text.find("/" + name); at != std::string::npos; at = text.find("/" + name, at + 1)) {
        const auto end = at + 1 + name.size();
        if (end < text.size() && is_path_char(text[end])) continue;
        auto begin = at;
        while (begin > 0 && is_path_char(text[begin - 1])) --begin;
        if (text[begin] == '/') out.insert(text.substr(begin, end - begin));
    }
    return out;
}

bool is_mounted(const SutConf& conf, const std::string& path) {
    return std::ranges::any_of(conf.container.mounts, [&](const Mount& mount) {
        return path == mount.target || path.starts_with(mount.target + "/");
    });
}

/// A command that names a companion by its path on another machine would not find it: the agent has it under /sut/.
class PathCheck {
  public:
    PathCheck(const SutConf& conf, const std::vector<std::string>& companions, CheckedFile& out)
        : conf_(conf), companions_(companions), out_(out) {}

    void node(const conf::Node& node, int line, int column) {
        // A node that aliases share is looked at once: they can make a small text a tree without end.
        if (companions_.empty() || !seen_.insert(&node).second) return;
        for (const auto& [name, value] : node.entries) this->node(*value, name->line, name->column);
        for (const auto& item : node.items) this->node(*item, item->line, item->column);
        if (node.kind == Kind::scalar) text(node.text, line, column);
    }

  private:
    void text(const std::string& text, int line, int column) {
        for (const auto& companion : companions_)
            for (const auto& path : paths_to(text, companion))
                if (path != "/sut/" + companion && !is_mounted(conf_, path))
                    out_.warnings.push_back({line, column, "the agent has no " + path + ": write /sut/" + companion + ", or mount its folder ('mounts')"});
    }

    const SutConf& conf_;
    const std::vector<std::string>& companions_;
    CheckedFile& out_;
    std::set<const conf::Node*> seen_;
};

void check_agent_id(const conf::Node& root, const SutName& name, CheckedFile& out) {
    for (const auto& [key, value] : root.entries)
        if (key->text == "agent_id" && value->kind == Kind::scalar && value->text != name.str())
            out.warnings.push_back({value->line, value->column, "'agent_id' is '" + value->text.substr(0, 80) + "', but the SUT is called by its file: " + name.str()});
}

void check_context_of(const conf::Node& root, const std::string& path, CheckedFile& out) {
    for (const auto& [key, value] : root.entries)
        if (key->text == "context")
            if (auto why = context_error(path, value->text); !why.empty()) out.errors.push_back({value->line, value->column, std::move(why)});
}

/// Queues of that program may be called anything; here they are topic levels.
void check_queues(const conf::Node& root, CheckedFile& out) {
    for (const auto& [key, value] : root.entries) {
        if (key->text != "job_queues") continue;
        for (const auto& item : value->items)
            if (!SutName::parse(item->text))
                out.warnings.push_back({item->line, item->column, conf::describe(*item) + " in 'job_queues' is no queue's name here and is left out: expected 2 to 63 of a-z, 0-9 and '-'"});
    }
}

/// What the stack's owner allows, where that is known: `tools/ctl` and the supervisor's container tell it.
const Result<HostRules>* host_rules() {
    static const auto k_rules = []() -> std::optional<Result<HostRules>> {
        const auto value = [](const char* name) { const char* text = std::getenv(name); return std::string(text == nullptr ? "" : text); };
        if (std::getenv("SUTFLEET_ALLOW_MOUNTS") == nullptr) return std::nullopt;
        auto rules = parse_host_rules({value("SUTFLEET_ALLOW_MOUNTS"), value("SUTFLEET_ALLOW_IMAGES"), value("SUTFLEET_ALLOW_CAPS"), value("SUTFLEET_ALLOW_NETWORKS")});
        if (!rules) return rules;
        const auto stack = value("SUTFLEET_STACK");
        rules->stack = stack.empty() ? value("COMPOSE_PROJECT_NAME") : stack;
        rules->network = rules->stack + "-bus";
        rules->agent_image = value("SUTFLEET_AGENT_IMAGE");
        return rules;
    }();
    return k_rules ? &*k_rules : nullptr;
}

CheckedFile check(const std::string& path, const std::vector<std::string>& companions) {
    CheckedFile out{path, true, {}, {}};
    const fs::path file(path);
    if (file.extension() != ".conf") {
        out.errors.push_back({0, 0, "the file's name must be <sut>.conf"});
        return out;
    }
    const auto stem = file.stem().string();
    const auto name = SutName::parse(stem);
    if (!name) {
        out.errors.push_back(bad_name(stem, name.error()));
        return out;
    }
    // One byte more than allowed, so that the decoder says what is wrong with it.
    const auto text = sys::read_file(path, k_conf_limit + 1);
    if (!text) {
        out.errors.push_back({0, 0, without(path, text.error().message)});
        return out;
    }
    const auto* rules = host_rules();
    if (rules != nullptr && !*rules) {
        out.errors.push_back({0, 0, rules->error().message});
        return out;
    }
    const auto decoded = decode_sut_conf(*name, *text, rules == nullptr ? nullptr : &**rules);
    if (!decoded) {
        for (const auto& error : decoded.error()) out.errors.push_back({error.line, error.column, error.message});
        return out;
    }
    constexpr std::string_view k_queues = "job_queues: ";  // told with their lines
    for (const auto& key : decoded->not_acted_on)
        if (!key.starts_with(k_queues)) out.warnings.push_back({0, 0, "this version does not act on " + key});
    const auto tree = conf::parse_tree(*text);
    if (!tree) return out;
    check_agent_id(**tree, *name, out);
    check_queues(**tree, out);
    check_context_of(**tree, path, out);
    PathCheck(*decoded, companions, out).node(**tree, 1, 1);
    return out;
}

/// One that the agent gets: whether it does, and whether YAML is YAML.
CheckedFile check_companion(const std::string& path, std::size_t size) {
    CheckedFile out{path, false, {}, {}};
    if (size > k_companion_limit) {
        out.warnings.push_back({0, 0, "larger than 1 MiB: the agent does not get it; mount it ('mounts')"});
        return out;
    }
    if (!is_yaml(path) || size > k_conf_limit) return out;
    const auto text = sys::read_file(path, k_conf_limit);
    if (!text) {
        out.warnings.push_back({0, 0, without(path, text.error().message)});
        return out;
    }
    if (const auto tree = conf::parse_tree(*text); !tree)
        for (const auto& error : tree.error()) out.warnings.push_back({error.line, error.column, error.message + " (the agent gets the file as it is)"});
    return out;
}

/// One that belongs to no conf.
CheckedFile check_stray(const std::string& path, const std::string& name) {
    CheckedFile out{path, false, {}, {}};
    const auto owner = owner_of(name);
    if (is_yaml(name))
        if (const auto text = sys::read_file(path, k_conf_limit))
            if (const auto tree = conf::parse_tree(*text); tree && (*tree)->kind == Kind::map)
                for (const auto& [key, value] : (*tree)->entries)
                    if (key->text == "agent_id" || key->text == "job_queues") {
                        out.warnings.push_back({key->line, key->column, "looks like a conf and is not used as one: call it " + owner + ".conf"});
                        return out;
                    }
    if (SutName::parse(owner))
        out.warnings.push_back({0, 0, "belongs to no SUT: there is no " + owner + ".conf; no agent gets it"});
    else
        out.warnings.push_back({0, 0, "belongs to no SUT: expected <sut>.* or <sut>_*; no agent gets it"});
    return out;
}

/// A sub-folder is not looked at; whoever put confs there should know.
CheckedFile check_sub_folder(const std::string& path) {
    CheckedFile out{path + "/", false, {}, {}};
    std::size_t confs = 0, seen = 0;
    std::error_code error;
    fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error);
    for (; !error && at != fs::recursive_directory_iterator() && seen < k_most_entries; at.increment(error), ++seen) {
        if (at.depth() >= static_cast<int>(k_deepest)) at.disable_recursion_pending();
        confs += at->path().extension() == ".conf" ? 1U : 0U;
    }
    if (confs > 0)
        out.warnings.push_back({0, 0, "a sub-folder is not looked at: " + std::to_string(confs) + " conf" + (confs == 1 ? " in it does" : "s in it do") +
                                          " not run; move to the folder above what should"});
    return out;
}

struct Entry {
    bool is_folder = false;
    std::size_t size = 0;
};

std::map<std::string, Entry> entries_of(const std::string& folder, const std::vector<std::string>& names) {
    std::map<std::string, Entry> out;
    for (const auto& name : names) {
        if (name.starts_with('.') || name.ends_with('~')) continue;  // of editors and git
        std::error_code error;
        const auto status = fs::status(folder + "/" + name, error);
        Entry entry{fs::is_directory(status), 0};
        if (fs::is_regular_file(status)) entry.size = static_cast<std::size_t>(fs::file_size(folder + "/" + name, error));
        out[name] = entry;
    }
    return out;
}

}  // namespace

std::string to_text(const std::string& path, const Finding& finding) {
    return finding.line == 0 ? path + ": " + finding.message : to_string(path, {finding.line, finding.column, finding.message});
}

CheckedFile check_conf(const std::string& path) { return check(path, {}); }

std::vector<CheckedFile> check_folder(const std::string& folder) {
    const auto names = sys::list_folder(folder);
    if (!names) return {{folder, false, {{0, 0, without(folder, names.error().message)}}, {}}};
    const auto entries = entries_of(folder, *names);
    std::map<std::string, std::vector<std::string>> companions;
    std::map<std::string, std::size_t> sizes;
    for (const auto& [name, entry] : entries) {
        const auto owner = owner_of(name);
        if (!entries.contains(owner + ".conf") || entry.is_folder) continue;
        if (name != owner + ".conf") companions[owner].push_back(name);
        if (entry.size <= k_companion_limit) sizes[owner] += entry.size;
    }
    std::vector<CheckedFile> out;
    for (const auto& [name, entry] : entries) {
        const auto path = folder + (folder.ends_with('/') ? "" : "/") + name;
        const auto owner = owner_of(name);
        if (name.ends_with(".conf") && owner + ".conf" == name) {
            out.push_back(check(path, companions[owner]));
            if (sizes[owner] > k_companions_limit)
                out.back().errors.push_back({0, 0, "its companions are larger than 8 MiB together: mount them ('mounts')"});
        } else if (name.ends_with(".conf")) {
            out.push_back(check(path, {}));
        } else if (entry.is_folder && name == "templates") {
            continue;  // of `sutctl add`
        } else if (entry.is_folder) {
            out.push_back(check_sub_folder(path));
        } else if (entries.contains(owner + ".conf")) {
            out.push_back(check_companion(path, entry.size));
        } else {
            out.push_back(check_stray(path, name));
        }
    }
    return out;
}

}  // namespace sutfleet::ctl
