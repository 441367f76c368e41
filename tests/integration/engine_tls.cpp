// The engine's client with certificates, against OpenSSL's own server: what is wrong is said, with the file, and is
// healed by better files, without another client.
#include <doctest/doctest.h>

#include <filesystem>

#include "http_client.hpp"
#include "program.hpp"

using namespace sutfleet;
using test::has;
using test::Program;

namespace {

void openssl(const std::string& folder, const std::string& words) {
    const auto ran = test::run({"/bin/sh", "-c", "openssl " + words}, {}, folder);
    if (ran.exit != 0) throw std::runtime_error(ran.out);
}

const std::string k_key = " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";

/// Certificates as one makes them for dockerd: <name>-ca.pem, and by it <name>-server.pem and <name>-client.pem.
void make_authority(const std::string& folder, const std::string& name) {
    openssl(folder, "req -x509 -days 2 -subj /CN=" + name + k_key + "-keyout " + name + "-ca.key -out " + name + "-ca.pem");
}
void make(const std::string& folder, const std::string& ca, const std::string& name, const std::string& address, int days = 2) {
    openssl(folder, "req -subj /CN=" + name + " -addext subjectAltName=IP:" + address + k_key + "-keyout " + name + ".key -out " + name + ".csr");
    openssl(folder, "x509 -req -copy_extensions copy -days " + std::to_string(days) + " -in " + name + ".csr -CA " + ca + "-ca.pem -CAkey " + ca +
                        "-ca.key -out " + name + ".pem");
}

/// A folder of certificates, an engine's end of TLS, and a client whose files are in `client/`.
struct Lab {
    test::TempFolder top;
    std::optional<Program> server;
    std::string port;

    Lab() {
        std::filesystem::create_directory(path("client"));
        for (const auto* ca : {"lab", "other"}) make_authority(top.path(), ca);
        make(top.path(), "lab", "server", "127.0.0.1");
        make(top.path(), "lab", "elsewhere", "127.0.0.2");
        make(top.path(), "lab", "old", "127.0.0.1", -1);
        make(top.path(), "lab", "client", "127.0.0.1");
        make(top.path(), "other", "stranger", "127.0.0.1");
        use("lab", "client");
    }
    [[nodiscard]] std::string path(const std::string& name) const { return top.path() + "/" + name; }
    void use(const std::string& ca, const std::string& client) const {
        const auto copy = [&](const std::string& from, const std::string& to) {
            std::filesystem::copy_file(path(from), path("client/" + to), std::filesystem::copy_options::overwrite_existing);
        };
        copy(ca + "-ca.pem", "ca.pem"), copy(client + ".pem", "cert.pem"), copy(client + ".key", "key.pem");
    }
    void serve(const std::string& name) {
        server.reset();
        server.emplace(std::vector<std::string>{"openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "2", "-verify_return_error",
                                                "-CAfile", path("lab-ca.pem"), "-cert", path(name + ".pem"), "-key", path(name + ".key")});
        REQUIRE(server->says("ACCEPT 127.0.0.1:"));
        const auto out = server->out();
        const auto at = out.find("ACCEPT 127.0.0.1:") + 17;
        port = out.substr(at, out.find_first_not_of("0123456789", at) - at);
    }
    [[nodiscard]] docker::HttpClient client() const { return *docker::HttpClient::open({"tcp://127.0.0.1:" + port, "1", path("client")}); }
};

std::string trouble(const docker::HttpClient& client) {
    const auto answer = client.send({"GET", "/version", {}, {}, std::chrono::seconds{20}});
    if (answer) return "status " + std::to_string(answer->status);
    CHECK(answer.error().kind == ErrorKind::transient);
    return answer.error().message;
}

}  // namespace

TEST_CASE("engine by TLS: both sides are checked; what is wrong is said with the file, and heals with it") {
    Lab lab;
    lab.serve("server");
    const auto client = lab.client();
    CHECK(trouble(client) == "status 200");

    lab.use("other", "client");
    CHECK(has(trouble(client), "the engine's certificate is refused: expected one for this address, not expired, of the CA in " + lab.path("client/ca.pem")));
    lab.use("lab", "stranger");
    CHECK(has(trouble(client), "the engine refuses the certificate " + lab.path("client/cert.pem") + ": expected one, not expired, of a CA"));
    lab.use("lab", "old");
    CHECK(has(trouble(client), "the engine refuses the certificate " + lab.path("client/cert.pem")));
    std::filesystem::copy_file(lab.path("stranger.key"), lab.path("client/key.pem"), std::filesystem::copy_options::overwrite_existing);
    CHECK(has(trouble(client), "key.pem: expected a certificate and its key, in PEM"));
    for (const auto* file : {"ca.pem", "cert.pem", "key.pem"}) {
        lab.use("lab", "client");
        std::filesystem::remove(lab.path(std::string("client/") + file));
        CHECK(has(trouble(client), "cannot read " + lab.path(std::string("client/") + file) + ": No such file or directory: expected "));
    }
    lab.use("lab", "client");
    std::filesystem::resize_file(lab.path("client/ca.pem"), 0);
    CHECK(has(trouble(client), lab.path("client/ca.pem") + ": expected the CA of the engine's certificate, in PEM"));
    lab.use("lab", "client");
    CHECK(trouble(client) == "status 200");
}

TEST_CASE("engine by TLS: an engine whose certificate has expired or is another machine's, and one without TLS") {
    Lab lab;
    lab.serve("old");
    CHECK(has(trouble(lab.client()), "certificate has expired"));
    lab.serve("elsewhere");
    CHECK(has(trouble(lab.client()), "expected one for this address"));
    const test::PrivateBroker plain;
    lab.port = std::to_string(plain.port());
    CHECK(has(trouble(lab.client()), "no TLS there: expected an engine with --tlsverify"));
}

TEST_CASE("engine by TLS: what the docker CLI's variables mean, and what is refused at once") {
    using docker::HttpClient;
    CHECK(HttpClient::open({"tcp://127.0.0.1:1"}));
    CHECK(HttpClient::open({"unix:///nowhere", "1", "/certs"}));  // as the CLI: no TLS on a unix socket
    const auto unverified = HttpClient::open({"tcp://127.0.0.1:1", "", "/certs"});
    REQUIRE_FALSE(unverified);
    CHECK(has(unverified.error().message, "expected DOCKER_TLS_VERIFY=1"));
    CHECK(has(trouble(*HttpClient::open({"tcp://127.0.0.1", "1", "/nowhere"})), "https://127.0.0.1:2376: cannot read /nowhere/ca.pem"));
    CHECK(has(trouble(*HttpClient::open({"tcp://[::1]"})), "http://[::1]:2375: "));
}
