// Package sandboxagent is the first process inside a sandbox. Any program
// that imports the package can be the agent: it is started again under the
// agent's name and with a marker in its environment, and an early init then
// takes the process over and never returns to the program's main. Without both
// the package does nothing.
//
// The agent builds the sandbox's root, starts commands, opens files and reaps
// what ended. It speaks with the server over one socket, and takes its end as
// the order to exit, which makes the kernel kill everything in its pid
// namespace. The bytes of commands and files never pass through it.
package sandboxagent

// CookieKey begins the cookies of commands, which are entries of their
// environments.
const CookieKey = "SANDBOX_COMMAND_ID="
