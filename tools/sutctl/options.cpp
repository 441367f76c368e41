#include "options.hpp"

#include <CLI/CLI.hpp>
#include <sstream>

#include "core/duration.hpp"
#include "core/version.hpp"
#include "exit.hpp"

namespace sutfleet::ctl {
namespace {

struct Raw {
    Options options;
    std::string color = "auto";
    std::string timeout;
    std::size_t tail = 0;
};

CLI::App* add(CLI::App& app, const std::string& name, const std::string& what) {
    auto* sub = app.add_subcommand(name, what);
    sub->fallthrough();
    return sub;
}

void add_sut(CLI::App* sub, Raw& raw) {
    sub->add_option("sut", raw.options.sut, "Name of the SUT")->required();
}

void add_looking(CLI::App& app, Raw& raw) {
    auto* ps = add(app, "ps", "List the SUTs, their health and jobs");
    ps->add_flag("-q,--quiet", raw.options.quiet, "Only the names");
    ps->add_flag("-w,--watch", raw.options.watch, "Show it again whenever it changes");
    add_sut(add(app, "describe", "Show all that is known of a SUT"), raw);

    auto* logs = add(app, "logs", "Show the log of a SUT, or of one of its jobs");
    logs->add_flag("-f,--follow", raw.options.follow,
                   "Go on with what comes; with a job, until it ends");
    logs->add_option("--tail", raw.tail, "At most so many lines of what is there");
    add_sut(logs, raw);
    logs->add_option("job", raw.options.job, "Id of a job");

    add_sut(add(app, "jobs", "List the jobs of a SUT"), raw);
    auto* job = add(app, "job", "Show the record of a job");
    add_sut(job, raw);
    job->add_option("id", raw.options.job, "Id of the job")->required();

    auto* events = add(app, "events", "Show what the supervisor did, and why");
    events->add_flag("-f,--follow", raw.options.follow, "Go on with what it does");
    events->add_option("--tail", raw.tail, "At most so many of those that are past");
    events->add_option("sut", raw.options.sut, "Only of this SUT");
    add(app, "doctor", "Check socket, rights, broker, clocks, disk, image and confs, and say what to do");
    auto* validate = add(app, "validate", "Check confs, and folders of them as they are, without a broker");
    validate->add_option("files", raw.options.words, "Confs or folders (default: $SUTFLEET_SUT_DIR, else sut)");
    auto* completion = add(app, "completion", "Print a shell's completion script");
    completion->add_option("shell", raw.options.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish", "suts", "templates"}));
    add(app, "version", "Show the version");
}

void add_acting(CLI::App& app, Raw& raw) {
    auto* submit = add(app, "submit", "Give a SUT a job, or with --queue whichever of those that serve it is idle");
    submit->add_option("--queue", raw.options.queue, "Name of a queue, instead of a SUT");
    submit->add_flag("--wait", raw.options.wait, "Print its output and exit with its code");
    submit->add_option("--timeout", raw.timeout, "Of the job: 90s, 15m, 2h");
    submit->add_option("-f,--file", raw.options.file,
                       "Script, or a job as JSON or (*.yaml, *.yml) YAML, from a file; - is stdin");
    submit->add_option("sut", raw.options.sut, "Name of the SUT, unless there is a queue");
    submit->add_option("command", raw.options.words,
                       "One word is a script for /bin/sh; several are run as they are");

    auto* conf = add(app, "add", "Add a SUT: a conf from a template, key=value…");
    conf->add_option("--from", raw.options.from, "Template: a name, or a file by its path (default: jobs)");
    conf->add_flag("--dry-run", raw.options.dry_run, "Only print the conf");
    conf->add_option("name", raw.options.sut, "Name of the SUT")->required();
    conf->add_option("values", raw.options.words, "key=value for each key of the template");

    auto* secret = add(app, "secret", "Keep a secret of a SUT (value from stdin or -f FILE), list their names, remove one");
    secret->add_flag("--shared", raw.options.shared, "Of all SUTs that ask for it, instead of one");
    secret->add_option("-f,--file", raw.options.file, "The value, as it is in a file; - is stdin");
    secret->add_option("action", raw.options.action, "set, ls or rm")->required()->check(CLI::IsMember({"set", "ls", "rm"}));
    secret->add_option("words", raw.options.words, "Name of the SUT, key");

    auto* cancel = add(app, "cancel", "Cancel the running job, or one by its id; with --queue one of a queue");
    cancel->add_option("--queue", raw.options.queue, "Name of a queue, instead of a SUT");
    cancel->add_option("sut", raw.options.sut, "Name of the SUT, unless there is a queue");
    cancel->add_option("id", raw.options.job, "Id of the job");
    auto* restart = add(app, "restart", "Restart a SUT's agent once its running job has ended");
    restart->add_flag("--now", raw.options.now, "At once: a job that runs is lost, a changed conf is acted on");
    add_sut(restart, raw);
    add_sut(add(app, "drain", "Let a SUT take no more jobs"), raw);
    add_sut(add(app, "resume", "Let a SUT take jobs again"), raw);
    auto* prune = add(app, "prune", "Remove the job folders of a SUT that its conf's limits let go");
    prune->add_flag("--dry-run", raw.options.dry_run, "Only say which");
    add_sut(prune, raw);
    auto* reinit = add(app, "reinit", "Do the init steps of a SUT again, or one of them");
    add_sut(reinit, raw);
    reinit->add_option("step", raw.options.step, "Name of the step (default: all)");
    auto* reset = add(app, "reset", "Release a SUT from quarantine and backoff");
    reset->add_flag("--purge", raw.options.purge, "Remove its container and its volumes, with all jobs and logs");
    reset->add_flag("--now", raw.options.now, "With --purge: also while a job runs, which is lost");
    reset->add_flag("--yes", raw.options.yes, "With --purge: do not ask");
    add_sut(reset, raw);
    auto* credentials = add(app, "credentials", "Show our user and password at the broker, or change one: rotate NAME|--all");
    credentials->add_flag("--all", raw.options.all, "Those of all SUTs, of operator and of viewer");
    credentials->add_option("action", raw.options.step, "rotate (default: show)")->check(CLI::IsMember({"rotate"}));
    credentials->add_option("name", raw.options.sut, "A SUT, operator or viewer");
    add(app, "plan", "Show what the supervisor would do next");
    add(app, "apply", "Release what the supervisor holds back");
}

Parsed wrong(std::string message) {
    return {std::nullopt, k_usage, "", std::move(message)};
}

/// CLI11 only says that a subcommand is missing; the word that stands in its place is what helps.
std::string explain(const CLI::App& app, int argc, const char* const* argv, const char* what) {
    if (!app.get_subcommands().empty()) return what;
    for (int i = 1; i < argc; ++i) {
        const std::string word(argv[i]);
        if (word == "--color") ++i;
        if (word.starts_with('-')) continue;
        return "unknown command '" + word + "'";
    }
    return what;
}

Parsed finish(const CLI::App& app, Raw raw) {
    auto& options = raw.options;
    const auto* sub = app.get_subcommands().front();
    options.command = sub->get_name();
    options.color = raw.color == "always"  ? Color::always
                    : raw.color == "never" ? Color::never
                                           : Color::automatic;
    const bool has_tail = options.command == "logs" || options.command == "events";
    if (has_tail && sub->count("--tail") > 0) options.tail = raw.tail;
    if (!raw.timeout.empty()) {
        const auto timeout = parse_duration(raw.timeout);
        if (!timeout) return wrong("--timeout: " + timeout.error().message);
        if (timeout->count() == 0) return wrong("--timeout: expected more than 0");
        options.timeout = *timeout;
    }
    if (options.command == "reset" && !options.purge && (options.now || options.yes))
        return wrong("reset: --now and --yes go with --purge: a release waits for nothing");
    const bool cancels = options.command == "cancel";
    if (cancels && !options.queue.empty() && (options.sut.empty() || !options.job.empty()))
        return wrong("cancel: expected --queue NAME and the id of a job");
    if (cancels && options.queue.empty() && options.sut.empty()) return wrong("cancel: expected the name of a SUT, or --queue NAME");
    if (cancels && !options.queue.empty()) options.job = std::exchange(options.sut, {});
    if (!options.queue.empty() && !options.sut.empty())  // there is no SUT: the command begins with that word
        options.words.insert(options.words.begin(), std::exchange(options.sut, {}));
    if (options.command == "submit" && options.queue.empty() && options.sut.empty())
        return wrong("submit: expected the name of a SUT, or --queue NAME");
    if (options.command == "submit" && options.words.empty() == options.file.empty())
        return wrong(options.words.empty()
                         ? "submit: expected a command, or -f FILE"
                         : "submit: expected either a command or -f FILE, not both");
    if (options.command == "credentials" && (options.all || !options.sut.empty()) != !options.step.empty())
        return wrong("credentials rotate: expected the name of a SUT, operator, viewer, or --all");
    if (options.command == "credentials" && options.all && !options.sut.empty())
        return wrong("credentials rotate: expected either a name or --all, not both");
    return {std::move(options), 0, "", ""};
}

}  // namespace

namespace {

/// The one table of commands: --help, the parser and completion all come from it.
void set_up(CLI::App& app, Raw& raw) {
    app.set_version_flag("--version", "sutctl " + std::string(k_version));
    app.add_flag("--json", raw.options.json, "One JSON object a line");
    app.add_option("--color", raw.color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    app.require_subcommand(1);
    app.footer(
        "The broker comes from SUTFLEET_BROKER, SUTFLEET_USER and SUTFLEET_PASSWORD, else from the "
        "file\n"
        "$SUTFLEET_ENV_FILE, else from .sutfleet/client.env in this folder or one above it.\n"
        "Exit: 0 ok, 1 failed, 2 usage, 3 broker unreachable, 4 refused, 124 timed out, 130 "
        "interrupted;\n"
        "submit --wait exits with the job's own code.");
    add_looking(app, raw);
    add_acting(app, raw);
}

CommandSpec spec_of(const CLI::App& app, const std::string& name) {
    CommandSpec out{name, app.get_description(), {}, {}};
    for (const auto* option : app.get_options()) {
        OptionSpec one{{}, option->get_description(), option->get_items_expected_max() > 0};
        for (const auto& word : option->get_snames()) one.names.push_back("-" + word);
        for (const auto& word : option->get_lnames()) one.names.push_back("--" + word);
        if (one.names.empty())
            out.words.push_back(option->get_name());
        else
            out.options.push_back(std::move(one));
    }
    return out;
}

}  // namespace

std::vector<CommandSpec> command_table() {
    Raw raw;
    CLI::App app("", "sutctl");
    set_up(app, raw);
    std::vector<CommandSpec> out{spec_of(app, "")};
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        out.push_back(spec_of(*sub, sub->get_name()));
    return out;
}

Parsed parse_options(int argc, const char* const* argv) {
    Raw raw;
    CLI::App app("sutctl: look at the SUTs of a sutfleet and give them jobs", "sutctl");
    set_up(app, raw);
    try {
        app.parse(argc, argv);
        return finish(app, std::move(raw));
    } catch (const CLI::ParseError& error) {
        std::ostringstream out;
        std::ostringstream err;
        const bool asked = app.exit(error, out, err) == 0;
        if (asked) return {std::nullopt, k_ok, out.str(), ""};
        return wrong(explain(app, argc, argv, error.what()));
    }
}

}  // namespace sutfleet::ctl
