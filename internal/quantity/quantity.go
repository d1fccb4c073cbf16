// Package quantity reads Kubernetes quantities, such as 500m and 512Mi.
package quantity

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// maxLength bounds the text of a quantity; the longest sensible one
// is far shorter.
const maxLength = 64

var (
	errForm     = errors.New("must be a number with an optional unit, such as 500m, 512Mi or 1e3")
	errNegative = errors.New("must not be negative")
	errRange    = errors.New("is too large")
)

var units = map[string]*big.Rat{
	"":   big.NewRat(1, 1),
	"n":  big.NewRat(1, 1e9),
	"u":  big.NewRat(1, 1e6),
	"m":  big.NewRat(1, 1e3),
	"k":  power(10, 3),
	"M":  power(10, 6),
	"G":  power(10, 9),
	"T":  power(10, 12),
	"P":  power(10, 15),
	"E":  power(10, 18),
	"Ki": power(2, 10),
	"Mi": power(2, 20),
	"Gi": power(2, 30),
	"Ti": power(2, 40),
	"Pi": power(2, 50),
	"Ei": power(2, 60),
}

func power(base, exponent int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil))
}

// ParseBytes reads a Kubernetes quantity as a number of bytes, rounded up.
func ParseBytes(s string) (int64, error) { return parse(s, 1) }

// ParseMillicores reads a Kubernetes quantity as thousandths of a core,
// rounded up.
func ParseMillicores(s string) (int64, error) { return parse(s, 1000) }

// parse reads a Kubernetes quantity (sign, decimal number, and a
// decimal or binary unit or an exponent) and returns it times scale, rounded
// up. The result is never negative.
func parse(s string, scale int64) (int64, error) {
	if len(s) > maxLength {
		return 0, errForm
	}
	unsigned, negative := strings.CutPrefix(s, "-")
	if !negative {
		unsigned = strings.TrimPrefix(s, "+")
	}
	end := strings.IndexFunc(unsigned, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(unsigned)
	}
	number, unit := unsigned[:end], unsigned[end:]
	if strings.Count(number, ".") > 1 || strings.Trim(number, ".") == "" {
		return 0, errForm
	}
	factor, err := unitFactor(unit)
	if err != nil {
		return 0, err
	}
	value, ok := new(big.Rat).SetString("0" + strings.TrimSuffix(number, "."))
	if !ok {
		return 0, errForm
	}
	if negative && value.Sign() != 0 {
		return 0, errNegative
	}
	value.Mul(value, factor).Mul(value, big.NewRat(scale, 1))
	return ceil(value)
}

func unitFactor(unit string) (*big.Rat, error) {
	if factor, ok := units[unit]; ok {
		return factor, nil
	}
	if unit[0] != 'e' && unit[0] != 'E' {
		return nil, errForm
	}
	exponent, err := strconv.ParseInt(unit[1:], 10, 16)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && exponent > maxLength:
		return nil, errRange
	case err != nil:
		return nil, errForm
	case exponent < -maxLength:
		exponent = -maxLength // rounds up to the smallest unit all the same
	}
	if exponent < 0 {
		return new(big.Rat).Inv(power(10, -exponent)), nil
	}
	return power(10, exponent), nil
}

func ceil(value *big.Rat) (int64, error) {
	quotient, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	if !quotient.IsInt64() {
		return 0, errRange
	}
	return quotient.Int64(), nil
}
