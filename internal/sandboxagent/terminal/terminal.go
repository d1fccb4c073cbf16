//go:build unix

// Package terminal makes pseudo-terminals.
package terminal

// Size is the size of a terminal, in characters.
type Size struct {
	Cols uint16 `json:"cols"`
	Rows uint16 `json:"rows"`
}
