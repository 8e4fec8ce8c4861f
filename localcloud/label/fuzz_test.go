package label_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/label"
)

// FuzzParse reads any selector and any label. Nothing panics, and what the one accepts the other does as well: a label that
// may be set can be selected, and by nothing else than what is said.
func FuzzParse(f *testing.F) {
	for _, selector := range []string{
		"", " ", ",", "env", "!env", "env=prod", "env==prod", "env!=prod", "env in (prod,test)", "env notin (prod)", "env=prod,!old",
		"env in (prod", "env in prod)", "env in ()", "a=b=c", "!=", "!", "=", "(", ")", "),(", "env in (a),b notin (c,d)",
		"hetzner.cloud/x", "a/b/c=d", "example.com/app=web", "env=\n", "env=\x00", "env\u00a0in\u00a0(a)", "k in (a)\n",
	} {
		f.Add(selector, "env", "prod")
	}
	f.Add("env=prod", "example.com/app", "")
	f.Add("env=prod", "a\nb", "c\nd")
	f.Fuzz(func(t *testing.T, selector, key, value string) {
		labels := map[string]string{key: value}
		valid := label.Validate(labels) == nil
		if parsed, err := label.Parse(selector); err == nil {
			parsed.Matches(labels)
			parsed.Matches(nil)
		}
		if !valid {
			return
		}
		for selector, want := range map[string]bool{
			key: true, "!" + key: false, key + "=" + value: true, key + "!=" + value: false, key + " in (" + value + ",x)": true,
			key + " notin (" + value + ")": false, "other-" + key + "=" + value: false,
		} {
			parsed, err := label.Parse(selector)
			if len(key) > 50 && err != nil {
				continue // other- makes it too long
			}
			if want || err == nil {
				require.NoError(t, err, "%q", selector)
				assert.Equal(t, want, parsed.Matches(labels), "%q", selector)
			}
		}
	})
}
