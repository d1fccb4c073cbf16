// Package egress is the way out of a sandbox: an HTTP and HTTPS proxy that the
// server runs on a listener inside the sandbox's network, which has no other
// way out.
//
// A Gateway holds what all sandboxes of a server share: what the server's
// operator lets them reach, the secrets of the workspace and a certificate
// authority. A Proxy serves one sandbox by the Rules made of its proxy
// configuration.
//
// A request passes three checks: the operator's list, the sandbox's own access
// list, and, once its host is resolved, the address the connection then goes
// to. The name is resolved here and once, so that the checked address is the
// one that is used. Addresses that are not public are out of reach unless the
// operator names them. In a tunnel the name that begins TLS is held to the
// lists, too: many hosts are behind one address.
//
// Header rules and callbacks add headers on the way, for HTTPS by ending TLS
// here with a certificate for the host. Secrets are sent over verified TLS
// only, and masked where an answer repeats them. An answer that changes their
// form (compressed, encoded, or in parts) is not recognised: rules should name
// hosts that do not give back what they are sent.
package egress
