package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"hashistack/internal/cloudinit"
)

// digestLength is enough hexadecimal digits to tell two contents of one file apart, and too few to find out a content by trying:
// secrets in files are random.
const digestLength = 12

// Digests say what a machine is made of, for those who review a change: what differs is why the machine is replaced. Each file has a
// digest of its content, owner and mode by its path. The packages have their versions, in clear. All else has one digest.
func Digests(config cloudinit.Config) (map[string]string, error) {
	digests := map[string]string{}
	for _, file := range config.WriteFiles {
		path := file.Path
		file.Path = ""
		content, err := json.Marshal(file)
		if err != nil {
			return nil, fmt.Errorf("digest of %s: %w", path, err)
		}
		digests[path] = digest(content)
	}
	var packages []string
	for _, p := range config.Packages {
		if p.Version == "" {
			packages = append(packages, p.Name)
			continue
		}
		packages = append(packages, p.Name+"="+p.Version)
	}
	digests["packages"] = strings.Join(packages, " ")
	config.WriteFiles, config.Packages = nil, nil
	rest, err := config.YAML()
	if err != nil {
		return nil, fmt.Errorf("digest of the boot: %w", err)
	}
	digests["boot"] = digest(rest)
	return digests, nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:digestLength]
}
