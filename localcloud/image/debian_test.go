package image

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHostSources(t *testing.T) {
	const bookworm = "ID=debian\nVERSION_CODENAME=bookworm\n"
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	tests := map[string]struct {
		files   map[string]string
		want    string
		wantErr string
	}{
		"deb822 with third parties": {
			files: map[string]string{
				"etc/os-release": bookworm,
				"etc/apt/sources.list.d/debian.sources": "# a comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n  bookworm-backports\n" +
					"Components: main contrib\nSigned-By: " + keyring + "\n\nTypes: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\nSigned-By: " + keyring + "\n",
				"etc/apt/sources.list.d/off.sources":  "Types: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\nEnabled: no\n",
				"etc/apt/sources.list.d/vendor.list":  "deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example bookworm main\n",
				"etc/apt/sources.list.d/another.list": "deb https://another.example another-bookworm main\n",
			},
			want: "deb [signed-by=" + keyring + "] http://mirror.example/debian bookworm main\n" +
				"deb [signed-by=" + keyring + "] http://mirror.example/debian bookworm-updates main\n" +
				"deb [signed-by=" + keyring + "] http://mirror.example/security bookworm-security main\n",
		},
		"one line on a newer release": {
			files: map[string]string{
				"etc/os-release":       "ID=debian\nVERSION_CODENAME=trixie\n",
				"etc/apt/sources.list": "# old style\ndeb http://mirror.example/debian trixie main non-free # the rest\ndeb-src http://mirror.example/debian trixie main\n",
			},
			want: "deb [signed-by=" + keyring + "] http://mirror.example/debian bookworm main\n",
		},
		"no main archive": {
			files:   map[string]string{"etc/os-release": bookworm, "etc/apt/sources.list": "deb http://mirror.example/debian bookworm contrib\n"},
			wantErr: "found no source of Debian bookworm main",
		},
		"not Debian": {
			files:   map[string]string{"etc/os-release": "ID=fedora\n"},
			wantErr: "this host is not a Debian",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, content := range test.files {
				path = filepath.Join(root, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			}
			got, err := hostSources(root)
			if test.wantErr != "" {
				require.ErrorContains(t, err, test.wantErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}
