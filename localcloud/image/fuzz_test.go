package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSources reads any file of apt's sources, in both formats. Each part of a source is one word.
func FuzzSources(f *testing.F) {
	for _, text := range []string{
		"deb http://mirror.example/debian bookworm main contrib\n", "deb [signed-by=/a arch=amd64] http://a.example x main # comment",
		"deb [", "deb [] http://a x y", "Types: deb\nURIs: http://a http://b\nSuites: x x-updates\nComponents: main\nSigned-By: /k\n",
		"Types: deb\nEnabled: no", " continued", "\n\n\n", ":", "Types:\n deb\nURIs:\n a\nSuites:\n b",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range append(parseDeb822(text), parseOneLine(text)...) {
			for _, word := range append([]string{s.uri, s.suite}, s.components...) {
				require.Equal(t, []string{word}, strings.Fields(word))
			}
		}
	})
}
