package egress

import "strings"

// Env returns the variables by which programs find a proxy at an address
// (host:port). A sandbox's own loopback is not for it.
func Env(address string) map[string]string {
	const local = "localhost,127.0.0.1,::1"
	env := map[string]string{"NODE_USE_ENV_PROXY": "1"}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env[name] = "http://" + address
		env[strings.ToLower(name)] = "http://" + address
	}
	env["NO_PROXY"], env["no_proxy"] = local, local
	return env
}

// TrustEnv returns the variables by which programs find the certificates they
// trust, in a file that has those of public authorities and the gateway's.
func TrustEnv(file string) map[string]string {
	env := make(map[string]string)
	for _, name := range []string{
		"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
		"PIP_CERT", "CARGO_HTTP_CAINFO", "DENO_CERT", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
	} {
		env[name] = file
	}
	return env
}
