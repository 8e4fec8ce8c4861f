package infra

import (
	"fmt"
	"slices"
	"strings"
)

// problems are what is wrong with a configuration: one sentence for each path.
type problems struct {
	paths     []string
	sentences []string
}

// add notes a problem at path ("pools[0].count"). A path keeps its first problem: what follows from a value that could
// not be read is not worth a second sentence.
func (p *problems) add(path, format string, args ...any) {
	if slices.Contains(p.paths, path) {
		return
	}
	p.paths = append(p.paths, path)
	if !strings.Contains(path, ":") {
		path = namespace + ":" + path
	}
	p.sentences = append(p.sentences, path+": "+fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.sentences) == 0 {
		return nil
	}
	return fmt.Errorf("the stack's configuration has %d problem(s); nothing was changed:\n  - %s",
		len(p.sentences), strings.Join(p.sentences, "\n  - "))
}
