package main

const runHelp = `Run a command in a fresh sandbox, print what it prints as it comes, and delete
the sandbox. With an API key in LANGSMITH_API_KEY the sandbox is on LangSmith,
without one on this machine.

Standard input is passed on with --interactive only, as by docker and kubectl:
without it the command reads the end of the file at once, and what is piped into
sandbox run is not read. (A loop that reads lines and runs a sandbox for each
would else lose them to the first, and a pipe that nobody closes would keep the
command waiting.) Input must be UTF-8, and bytes of the output that are not
arrive as U+FFFD: encode binary data, as with base64.

With --tty the command has this terminal: all keys are its own, Ctrl-C, Ctrl-D
and Ctrl-Z too, and it is told when the terminal has another size. -it works as
in docker run.

Without --tty, Ctrl-C kills the command and deletes the sandbox, as do SIGTERM
and SIGHUP, with --tty as well. A second one gives up at once, and may leave the
sandbox.

A connection that is lost is made anew for some minutes, while the command runs
on, and its output goes on where it was. If that fails too, the message has the
command's id.

Exit code:
  that of the command; 127 if it was not found, 126 if it could not be run,
  128+n if signal n ended it
  125       sandbox itself failed, or the command ran into its timeout
  128+n     sandbox was ended by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129
            by SIGHUP, 141 if its output was closed, as by head`
