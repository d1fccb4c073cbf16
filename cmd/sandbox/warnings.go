package main

import (
	"context"
	"log/slog"
)

// warnings passes the warnings of the client on to the user.
type warnings struct{ app *app }

// Enabled is whether a record is a warning, or worse.
func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle prints the message of a record. A command that is out of reach leaves
// the keys of the terminal to this program.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	what := r.Message
	r.Attrs(func(attr slog.Attr) bool {
		lost := attr.Key == "command" && w.app.remains.lineLost()
		if lost {
			what += "; Ctrl-C gives up"
		}
		return !lost
	})
	w.app.say(what)
	return nil
}

// WithAttrs drops the attributes, which are for developers.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup is WithAttrs.
func (w warnings) WithGroup(string) slog.Handler { return w }
