package infra

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// limit is what a value must be.
type limit[T any] struct {
	// says is the limit in the documentation: "an IPv4 network", "from 1 to 10".
	says string
	// test returns the rule that the value breaks, with the remedy, or nil.
	test func(value T) error
}

// anything passes every value: somebody else checks it, Hetzner for example, or no value is wrong.
func anything[T any](says string) limit[T] {
	return limit[T]{says, func(T) error { return nil }}
}

// present refuses an empty value. remedy says what to set.
func present(says, remedy string) limit[string] {
	return limit[string]{says, func(value string) error {
		if value == "" {
			return fmt.Errorf("missing: %s", remedy)
		}
		return nil
	}}
}

// matching refuses what a pattern does not match. says is the pattern in words.
func matching(pattern *regexp.Regexp, says string) limit[string] {
	return limit[string]{says, func(value string) error {
		if !pattern.MatchString(value) {
			return fmt.Errorf("must be %s, got %q", says, value)
		}
		return nil
	}}
}

// oneOf refuses all but a few values.
func oneOf[T ~string](values []T) limit[T] {
	return limit[T]{"one of " + commas(quoted(values)), func(value T) error {
		if !slices.Contains(values, value) {
			return fmt.Errorf("must be one of %s, got %q", commas(values), value)
		}
		return nil
	}}
}

// quoted puts values between the marks that Markdown has for code.
func quoted[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = "`" + string(value) + "`"
	}
	return texts
}

// commas lists values: "a, b, c".
func commas[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}

// and lists values as a sentence does: "a, b and c".
func and[T ~string](values []T) string {
	last := len(values) - 1
	return commas(values[:last]) + " and " + string(values[last])
}

// atLeast refuses numbers below lowest.
func atLeast(lowest int, reason string) limit[int] {
	return limit[int]{fmt.Sprintf("%d or more", lowest), func(value int) error {
		if value < lowest {
			return fmt.Errorf("must be %d or more, got %d: %s", lowest, value, reason)
		}
		return nil
	}}
}

// fromTo refuses numbers outside of a range.
func fromTo(lowest, highest int, remedy string) limit[int] {
	return limit[int]{fmt.Sprintf("%d to %d", lowest, highest), func(value int) error {
		if value < lowest || value > highest {
			return fmt.Errorf("must be between %d and %d, got %d: %s", lowest, highest, value, remedy)
		}
		return nil
	}}
}

// lasting refuses durations outside of a range. such is a good value, or some.
func lasting(shortest, longest time.Duration, such, reason string) limit[time.Duration] {
	says := fmt.Sprintf("a duration from `%s` to `%s`", short(shortest), short(longest))
	return limit[time.Duration]{says, func(value time.Duration) error {
		if value < shortest || value > longest {
			return fmt.Errorf("must be a duration between %s and %s such as %s, got %s: %s", shortest, longest, such, value, reason)
		}
		return nil
	}}
}

// wholeSeconds refuses fractions of a second besides what another limit refuses: Vault counts in seconds.
func wholeSeconds(other limit[time.Duration]) limit[time.Duration] {
	return limit[time.Duration]{other.says + " in whole seconds", func(value time.Duration) error {
		if err := other.test(value); err != nil {
			return err
		}
		if value%time.Second != 0 {
			return fmt.Errorf("must be whole seconds, got %s", value)
		}
		return nil
	}}
}

// short writes a duration as people do: 24h, not 24h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ipv4Network refuses what is not the address of an IPv4 network.
var ipv4Network = limit[netip.Prefix]{"an IPv4 network", func(value netip.Prefix) error {
	switch {
	case !value.IsValid():
		return errors.New("missing: set it to an IPv4 network such as 10.0.0.0/16")
	case !value.Addr().Is4() || value != value.Masked():
		return fmt.Errorf("must be an IPv4 network without host bits, got %s: did you mean %s?", value, value.Masked())
	}
	return nil
}}

// roomy refuses IPv4 networks with fewer addresses than one of this many bits has.
func roomy(bits int) limit[netip.Prefix] {
	return limit[netip.Prefix]{fmt.Sprintf("an IPv4 network, /%d or larger", bits), func(value netip.Prefix) error {
		if err := ipv4Network.test(value); err != nil {
			return err
		}
		if value.Bits() > bits {
			return fmt.Errorf("%s is too small: use a /%d or larger", value, bits)
		}
		return nil
	}}
}

// notTheInternet refuses networks that hold every address there is.
var notTheInternet = limit[netip.Prefix]{"a network that is not the whole internet", func(value netip.Prefix) error {
	if value.IsValid() && value.Bits() == 0 {
		return fmt.Errorf("%s would open the APIs to the whole internet: name your own networks", value)
	}
	return nil
}}
