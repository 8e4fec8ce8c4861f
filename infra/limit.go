package infra

import (
	"fmt"
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

// needed refuses an empty value, before another limit looks at it. remedy says what to set.
func needed(other limit[string], remedy string) limit[string] {
	return limit[string]{other.says, func(value string) error {
		if value == "" {
			return fmt.Errorf("missing: %s", remedy)
		}
		return other.test(value)
	}}
}

// optional passes an empty value, and leaves the others to another limit.
func optional(other limit[string]) limit[string] {
	return limit[string]{other.says, func(value string) error {
		if value == "" {
			return nil
		}
		return other.test(value)
	}}
}

// matching refuses what a pattern does not match. says is the pattern in words, with a good value; remedy may add to them.
func matching(pattern *regexp.Regexp, says, remedy string) limit[string] {
	return limit[string]{says, func(value string) error {
		if !pattern.MatchString(value) {
			return fmt.Errorf("must be %s, got %s%s", strings.ReplaceAll(says, "`", ""), shown(value), remedy)
		}
		return nil
	}}
}

// oneOf refuses all but a few values.
func oneOf[T ~string](values []T) limit[T] {
	return limit[T]{"one of " + commas(quoted(values)), func(value T) error {
		if !slices.Contains(values, value) {
			return fmt.Errorf("must be one of %s, got %s", commas(values), shown(string(value)))
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

// oneTo refuses numbers below 1 and above the highest.
func oneTo(highest int, remedy string) limit[int] {
	return limit[int]{fmt.Sprintf("1 to %d", highest), func(value int) error {
		if value < 1 || value > highest {
			return fmt.Errorf("must be between 1 and %d, got %d: %s", highest, value, remedy)
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
