package infra

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"time"
)

// placeholder stands in a stack's file for a value that only the stack's owner knows.
const placeholder = "REPLACE-ME"

// whole matches numbers that are written the same as text: not 007, and nothing with an exponent.
var whole = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,14})$`)

// fit turns a value of JSON into one of the field's type. Where it does not fit, the error says so in the words of the
// configuration: mapstructure's own speaks of Go's types.
func fit(from, to reflect.Type, value any) (any, error) {
	for to.Kind() == reflect.Pointer {
		to = to.Elem()
	}
	if value == placeholder {
		return nil, fmt.Errorf("still has the placeholder %s: put your own value in its place", placeholder)
	}
	switch to {
	case reflect.TypeFor[time.Duration]():
		return toDuration(value)
	case reflect.TypeFor[netip.Prefix]():
		return toPrefix(value)
	}
	switch to.Kind() {
	case reflect.String:
		return toText(value)
	case reflect.Int:
		return toInt(value)
	case reflect.Slice:
		return of(value, from.Kind() == reflect.Slice, "a list")
	case reflect.Map, reflect.Struct:
		return of(value, from.Kind() == reflect.Map, "keys with values")
	}
	return value, nil
}

// of refuses a value of another shape than the wanted one.
func of(value any, fits bool, wanted string) (any, error) {
	if !fits {
		return nil, fmt.Errorf("must be %s, got %s", wanted, inWords(value))
	}
	return value, nil
}

// inWords is a value in an error. It is cut short, and what cannot be printed is escaped.
func inWords(value any) string {
	switch v := value.(type) {
	case string:
		return shown(v)
	case json.Number:
		return shortened(v.String())
	case []any:
		return "a list"
	case map[string]any:
		return "keys with values"
	}
	return fmt.Sprint(value)
}

// toText takes whole numbers too: they look the same. Of other values YAML has changed the form before we see them: 1.20 is
// 1.2, and "no" is false.
func toText(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number:
		if whole.MatchString(v.String()) {
			return v.String(), nil
		}
		return nil, fmt.Errorf("must be text, got the number %s: put it in quotes", shortened(v.String()))
	case bool:
		return nil, fmt.Errorf("must be text, got %t: put it in quotes, as %q", v, strconv.FormatBool(v))
	}
	return of(value, false, "text")
}

// toInt refuses fractions: JSON has one kind of number, and mapstructure would cut it.
func toInt(value any) (any, error) {
	number, ok := value.(json.Number)
	if !ok {
		return of(value, false, "a whole number")
	}
	// No count here comes near the bound, and every int of Go holds it.
	if float, err := number.Float64(); err == nil && float == math.Trunc(float) && math.Abs(float) <= math.MaxInt32 {
		return int(float), nil
	}
	return of(value, false, "a whole number")
}

// toDuration reads durations as Go writes them.
func toDuration(value any) (any, error) {
	if given, ok := value.(string); ok {
		if parsed, err := time.ParseDuration(given); err == nil {
			return parsed, nil
		}
	}
	if number, ok := value.(json.Number); ok {
		return nil, fmt.Errorf("must be a duration such as 90s, 30m or 24h, got %s: add the unit", shortened(number.String()))
	}
	return of(value, false, "a duration such as 90s, 30m or 24h")
}

func toPrefix(value any) (any, error) {
	if given, ok := value.(string); ok {
		if parsed, err := netip.ParsePrefix(given); err == nil {
			return parsed, nil
		}
	}
	return of(value, false, "a network with the length of its prefix such as 10.0.0.0/16")
}
