// Package session keeps the commands of one sandbox apart from the
// connections that watch them: what they print is kept for a while, any number
// of attachments reads it, each at its own pace, and timers say when a command
// nobody wants any more ends. The package knows nothing of HTTP.
//
// # Offsets
//
// A stream is the raw bytes a command wrote; an offset is a place in it. A
// chunk never ends inside a UTF-8 character, unless the stream does. Bytes that
// are no UTF-8 stay as they are here. Whoever turns chunks into text replaces
// each such byte with one U+FFFD, which is three bytes long, so that the length
// of the text no longer says where the chunk ended. A client whose last chunk
// has a U+FFFD in it therefore asks again for the offset of that chunk, and
// drops the text that it has.
//
// # What is kept
//
// The last [Options.Buffer] bytes of each stream are kept in memory. A
// command whose output is being read is held up when it is that much ahead of
// the leading reader, and loses nothing: what counts as read is what
// [Attachment.Ack] acknowledged, not what was handed out. Readers further
// behind than the leader miss what is dropped, and see it as an offset that
// does not continue the one before.
//
// When no attachment is left, or none has acknowledged anything for
// [Options.Stall], the command is not held up at once: up to [Options.Spill]
// bytes of each stream go to a file that nobody else can open. Only when that
// is full the command waits, and for [Options.Patience] at most, counted from
// when somebody last read. After that the oldest bytes are dropped, and the
// command runs on. Much output of an ended command that nobody reads goes to
// such files, too.
//
// # The end
//
// A command ends when its own process does, and its outcome is told after the
// last byte it wrote. What it left in the background can hold its output open:
// that is read until it pauses, for half a second at most, and from then on
// thrown away.
package session
