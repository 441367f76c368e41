#pragma once
// Where the engine is, in the docker CLI's own terms. Pure.

#include <string>
#include <utility>

namespace sutfleet::docker {

struct EngineAddress {
    EngineAddress(std::string engine_host, std::string verify = {}, std::string certificates = {})
        : host(std::move(engine_host)), tls_verify(std::move(verify)), cert_path(std::move(certificates)) {}
    std::string host;        ///< DOCKER_HOST
    std::string tls_verify;  ///< DOCKER_TLS_VERIFY: TLS on tcp:// unless it is empty
    std::string cert_path;   ///< DOCKER_CERT_PATH: the folder with ca.pem, cert.pem and key.pem
};

}  // namespace sutfleet::docker
