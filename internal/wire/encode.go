package wire

import (
	"encoding/json"
	"strconv"

	"github.com/langsandbox/sandbox-go/gen"
)

// AppendOutput appends a frame of output to dst. Bytes of data that are not
// UTF-8 become U+FFFD, one each.
func AppendOutput(dst []byte, stream gen.FrameType, data []byte, offset int64) []byte {
	dst = appendData(dst, stream, data)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, offset, 10)
	return append(dst, '}')
}

// AppendInput appends a frame of input to dst. Bytes of data that are not
// UTF-8 become U+FFFD, one each.
func AppendInput(dst, data []byte) []byte {
	return append(appendData(dst, gen.FrameInput, data), '}')
}

func appendData(dst []byte, kind gen.FrameType, data []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","data":`...)
	return appendString(dst, data)
}

// Encode encodes one of gen's frames.
func Encode(frame any) ([]byte, error) { return json.Marshal(frame) }
