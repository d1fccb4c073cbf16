// Package bench holds the benchmarks of the command stream: the SDK against a
// floor client, which has the same transport, WebSocket library and scanner,
// and nothing above them. CONTRIBUTING.md says how to run and read them.
package bench
