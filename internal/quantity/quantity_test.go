package quantity

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want int64
		err  error
	}{
		{"0", 0, nil},
		{"1", 1, nil},
		{"010", 10, nil},
		{"+5", 5, nil},
		{"-0", 0, nil},
		{"512Mi", 512 << 20, nil},
		{"10Gi", 10 << 30, nil},
		{"1.5Gi", 3 << 29, nil},
		{".5Ki", 512, nil},
		{"5.", 5, nil},
		{"1e3", 1000, nil},
		{"1E3", 1000, nil},
		{"1e+3", 1000, nil},
		{"15e-1", 2, nil},
		{"1e-64", 1, nil},
		{"1e-9999", 1, nil},
		{"0e99", 0, errRange},
		{"100k", 100_000, nil},
		{"2M", 2_000_000, nil},
		{"1G", 1_000_000_000, nil},
		{"3T", 3e12, nil},
		{"4P", 4e15, nil},
		{"5E", 5e18, nil},
		{"7Ei", 7 << 60, nil},
		{"500m", 1, nil},
		{"1001m", 2, nil},
		{"1u", 1, nil},
		{"1n", 1, nil},
		{"9223372036854775807", math.MaxInt64, nil},
		{"9223372036854775808", 0, errRange},
		{"8Ei", 0, errRange},
		{"10E", 0, errRange},
		{"1e19", 0, errRange},
		{"1e999999999999", 0, errRange},
		{"-1", 0, errNegative},
		{"-1Gi", 0, errNegative},
		{"", 0, errForm},
		{"Gi", 0, errForm},
		{".", 0, errForm},
		{"1.2.3", 0, errForm},
		{"1 Gi", 0, errForm},
		{" 1Gi", 0, errForm},
		{"1gi", 0, errForm},
		{"1K", 0, errForm},
		{"1KB", 0, errForm},
		{"1e", 0, errForm},
		{"1e1.5", 0, errForm},
		{"1Mi5", 0, errForm},
		{"0x10", 0, errForm},
		{"1_000", 0, errForm},
		{"1/2", 0, errForm},
		{"NaN", 0, errForm},
		{"--1", 0, errForm},
		{"+-1", 0, errForm},
		{"٣", 0, errForm},
		{strings.Repeat("1", 65), 0, errForm},
	} {
		got, err := ParseBytes(c.in)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %d, %v; want %d, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func TestParseMillicores(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"500m": 500, "1": 1000, "0.1": 100, "2.5": 2500, "100u": 1, "1k": 1_000_000} {
		if got, err := ParseMillicores(in); got != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	if _, err := ParseMillicores("9223372036854775807"); !errors.Is(err, errRange) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "500m", "512Mi", "1.5Gi", "1e3", "1E", "-1", "1e-5", ".5", "5.", "9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseBytes(s)
		if n < 0 || err != nil && n != 0 {
			t.Fatalf("%q: %d, %v", s, n, err)
		}
		milli, milliErr := ParseMillicores(s)
		if err == nil && milliErr == nil && milli < n-1 && n > 1 {
			t.Fatalf("%q: %d bytes, %d millicores", s, n, milli)
		}
		if milliErr == nil && err != nil {
			t.Fatalf("%q is a number of cores and not of bytes: %v", s, err)
		}
	})
}
