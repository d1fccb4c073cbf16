// Package wire encodes and decodes the frames of the command stream, whose
// types are in package gen.
//
// Nearly all that travels is output, in frames of one shape, and encoding/json
// is what would limit its speed. So frames of output and input are scanned and
// written by hand. Whatever else arrives, other frames, other members, white
// space, goes to encoding/json, which is also what the tests hold the scanner
// to.
package wire
