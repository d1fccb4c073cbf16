package wire_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// texts are kinds of output, by what they cost to decode.
var texts = map[string]string{
	"plain":  "the quick brown fox jumps over the lazy dog, again and again; ",
	"lines":  "drwxr-xr-x 2 root root 4096 Nov 22 23:01 some/path/of/a/file.go\n",
	"utf8":   "größer als früher, 日本語のテキスト, naïve café 😀 ",
	"escape": "{\"key\": \"a \\\"b\\\" c\", \"n\": 1}\n\t",
	"ansi":   "\x1b[32mok\x1b[0m pkg \x1b[1;31mfail\x1b[0m 0.1s\n",
}

func of(text string, size int) []byte {
	s := strings.Repeat(text, size/len(text)+1)[:size]
	return []byte(strings.ToValidUTF8(s, "x"))
}

func BenchmarkDecode(b *testing.B) {
	for kind, text := range texts {
		for _, size := range []int{4 << 10, 32 << 10, 256 << 10} {
			data := of(text, size)
			message := wire.AppendOutput(nil, gen.FrameStdout, data, 1<<30)
			kept := make([]byte, len(message))
			name := kind + "/" + strconv.Itoa(size>>10) + "k"
			b.Run("scan/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					copy(kept, message)
					if _, err := wire.Decode(kept); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("json/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					var f gen.OutputFrame
					if err := json.Unmarshal(message, &f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkAppendOutput(b *testing.B) {
	for kind, text := range texts {
		data := of(text, 32<<10)
		var dst []byte
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				dst = wire.AppendOutput(dst[:0], gen.FrameStdout, data, 1)
			}
		})
	}
}
