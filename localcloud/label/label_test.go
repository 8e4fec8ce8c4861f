package label_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/label"
)

func TestSelectorMatches(t *testing.T) {
	prod := map[string]string{"env": "prod", "role": "vault", "example.com/my": "", "empty": ""}
	tests := []struct {
		selector string
		want     bool
	}{
		{"", true},
		{"env", true},
		{"region", false},
		{"!env", false},
		{"!region", true},
		{"env=prod", true},
		{"env==prod", true},
		{"env = prod", true},
		{"env=dev", false},
		{"region=prod", false},
		{"env!=prod", false},
		{"env!=dev", true},
		{"region!=eu", true},
		{"env in (dev,prod)", true},
		{"env in (dev, test)", false},
		{"region in (eu)", false},
		{"env notin (dev,prod)", false},
		{"env notin (dev)", true},
		{"region notin (eu)", true},
		{"env=prod,role=vault", true},
		{"env=prod,role!=vault", false},
		{"env in (dev,prod),role,!region", true},
		{"example.com/my", true},
		{"empty=", true},
		{"env=", false},
	}
	for _, tt := range tests {
		t.Run(tt.selector, func(t *testing.T) {
			s, err := label.Parse(tt.selector)
			require.NoError(t, err)
			assert.Equal(t, tt.want, s.Matches(prod))
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, selector := range []string{",", "env,", "=prod", "!", "env in ()(", "env in (a", "env > 1", "a b", "env=pr/od", "env=-x", "hetzner.cloud/x"} {
		t.Run(selector, func(t *testing.T) {
			_, err := label.Parse(selector)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "label selector")
		})
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("a", 64)
	tests := map[string]struct {
		labels map[string]string
		err    string
	}{
		"none":            {nil, ""},
		"plain":           {map[string]string{"env": "prod", "a.b_c-d": "1.2_3-4"}, ""},
		"prefixed":        {map[string]string{"example.com/role": "x"}, ""},
		"empty value":     {map[string]string{"just-a-key": ""}, ""},
		"longest":         {map[string]string{long[:63]: long[:63]}, ""},
		"empty key":       {map[string]string{"": "x"}, "label key"},
		"long key":        {map[string]string{long: "x"}, "63 characters"},
		"long value":      {map[string]string{"a": long}, "63 characters"},
		"bad key":         {map[string]string{"-a": "x"}, "begin and end"},
		"bad value":       {map[string]string{"a": "x y"}, `value "x y"`},
		"bad prefix":      {map[string]string{"Exa mple/a": "x"}, "DNS subdomain"},
		"reserved prefix": {map[string]string{"hetzner.cloud/a": "x"}, "reserved"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := label.Validate(tt.labels)
			if tt.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.err)
		})
	}
}
