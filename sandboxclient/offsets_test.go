package sandboxclient

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// raw is output as a command writes it, and what a server makes of it.
type raw []byte

// text has U+FFFD for each byte that is not UTF-8, as the server sends it.
func (r raw) text() string {
	var b bytes.Buffer
	for len(r) > 0 {
		char, size := utf8.DecodeRune(r)
		b.WriteRune(char)
		r = r[size:]
	}
	return b.String()
}

// cut is a place near at that is not inside a character.
func (r raw) cut(at int) int {
	at = min(at, len(r))
	for from := at; from > 0 && from > at-utf8.UTFMax; from-- {
		if _, size := utf8.DecodeRune(r[from-1:]); size > 1 {
			if from-1+size > at {
				return from - 1
			}
			return at
		}
	}
	return at
}

// output is a command's output: letters, characters of all lengths, bytes that
// are none, and true U+FFFD, which look the same.
func randomOutput(random *rand.Rand, size int) raw {
	var r raw
	for len(r) < size {
		switch random.IntN(6) {
		case 0:
			r = append(r, byte(random.IntN(256)))
		case 1:
			r = append(r, "\uFFFD"...)
		case 2:
			r = utf8.AppendRune(r, rune(random.IntN(0x10FFFF)))
		default:
			r = append(r, byte('a'+random.IntN(26)))
		}
	}
	return r
}

// follow plays output to a track over connections that break, with frames that
// come twice, and returns what the track let through.
func follow(t *testing.T, random *rand.Rand, r raw) string {
	t.Helper()
	var got bytes.Buffer
	tr := newTrack(0)
	for at, lines := 0, 0; at < len(r); lines++ {
		if lines > 0 {
			tr.reconnect()
			at = int(tr.resume())
		}
		for n := random.IntN(8); n > 0 && at < len(r); n-- {
			end := at + max(r.cut(at+random.IntN(40))-at, 1)
			end = max(r.cut(end), at+1)
			for end < len(r) && r.cut(end) != end {
				end++
			}
			for range 1 + random.IntN(2) {
				fresh, _ := tr.accept([]byte(r[at:end].text()), int64(at), true)
				got.Write(fresh)
			}
			at = end
		}
	}
	if tr.lost != 0 {
		t.Errorf("%d bytes are said to be lost", tr.lost)
	}
	return got.String()
}

// TestOutputArrivesOnce: whatever breaks and comes twice, the output is whole
// and nothing comes twice, also where the text does not tell its offsets.
func TestOutputArrivesOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := randomOutput(random, random.IntN(300))
		if got, want := follow(t, random, r), r.text(); got != want {
			t.Fatalf("seed %d: output %q\n got %q\nwant %q", seed, r, got, want)
		}
	}
}

func FuzzOutputArrivesOnce(f *testing.F) {
	f.Add(uint64(1), []byte("one\xfftwo\uFFFD\xe4\xb8three€"))
	f.Fuzz(func(t *testing.T, seed uint64, output []byte) {
		random := rand.New(rand.NewPCG(seed, 2))
		if got, want := follow(t, random, output), raw(output).text(); got != want {
			t.Fatalf("seed %d: output %q\n got %q\nwant %q", seed, output, got, want)
		}
	})
}

// TestGaps: what the server no longer has is counted, and the rest goes on.
func TestGaps(t *testing.T) {
	t.Parallel()
	tr := newTrack(0)
	tr.accept([]byte("one"), 0, true)
	tr.reconnect()
	fresh, at := tr.accept([]byte("four"), 10, true)
	if string(fresh) != "four" || at != 10 || tr.lost != 7 || tr.resume() != 14 {
		t.Errorf("%q at %d, %d lost, next %d", fresh, at, tr.lost, tr.resume())
	}
	fresh, at = tr.accept([]byte("ourfive"), 11, true)
	if string(fresh) != "five" || at != 14 || tr.repeated != 3 {
		t.Errorf("%q at %d, %d repeated", fresh, at, tr.repeated)
	}
}

// TestNoOffsets: servers that do not count are taken at their word.
func TestNoOffsets(t *testing.T) {
	t.Parallel()
	tr := newTrack(5)
	for i, text := range []string{"é", "", "abc"} {
		if fresh, _ := tr.accept([]byte(text), 0, false); string(fresh) != text {
			t.Errorf("%d: %q", i, fresh)
		}
	}
	if tr.resume() != 10 || tr.lost != 0 {
		t.Errorf("next %d, %d lost", tr.resume(), tr.lost)
	}
}

// FuzzOffsets: no sequence of offsets makes the track panic or go back, or let
// more through than came.
func FuzzOffsets(f *testing.F) {
	f.Add([]byte("a\xffb"), int64(3), []byte("\uFFFD"), int64(-7), true)
	f.Fuzz(func(t *testing.T, one []byte, first int64, two []byte, second int64, has bool) {
		if first > 1<<40 || second > 1<<40 {
			return
		}
		tr := newTrack(0)
		for i, text := range []string{raw(one).text(), raw(two).text(), raw(one).text(), raw(two).text()} {
			before := tr.low
			fresh, _ := tr.accept([]byte(text), []int64{first, second}[i%2], has)
			if len(fresh) > len(text) || tr.low < before || tr.low > tr.high || tr.resume() < 0 {
				t.Fatalf("%q after %q at %d: %+v", fresh, text, first, tr)
			}
			if i%2 == 1 {
				tr.reconnect()
			}
		}
	})
}

// TestNoOffsetsAndNoText: a server that does not count, and whose text does not
// tell, is asked for what may have come already rather than for less than all,
// and what came is not kept for that.
func TestNoOffsetsAndNoText(t *testing.T) {
	t.Parallel()
	tr := newTrack(0)
	for range 1000 {
		tr.accept([]byte("ab\uFFFD"), 0, false)
	}
	if tr.resume() > 3000 || cap(tr.text) > 1000 {
		t.Errorf("goes on at %d, %d bytes are kept", tr.resume(), cap(tr.text))
	}
}
