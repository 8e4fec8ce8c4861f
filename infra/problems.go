package infra

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
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
	if !printable(path) {
		path = strconv.Quote(path) // a key can have any characters
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

// printable tells whether text has nothing but what can be seen, and spaces: no newlines, no other control characters, and
// nothing that changes the direction in which it is read.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// shown is a value in a problem: in quotes, what cannot be printed escaped, and no longer than a line.
func shown(value string) string { return strconv.Quote(shortened(value)) }

func shortened(value string) string {
	const most = 80
	if len(value) <= most {
		return value
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(value[:most], ""), len(value))
}
