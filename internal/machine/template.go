package machine

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"

	"hashistack/internal/agentconfig"
)

// Template is one file that consul-template writes on the machine. It is a template twice: [[ ]] is filled in here, {{ }}
// by consul-template.
type Template struct {
	Name        string // of the template on the machine
	FS          fs.FS  // that has templates/<File>
	File        string
	Text        string // in place of a file, for a line or two
	Data        any    // or a FromAll that returns it
	Destination string
	Owner       string   // user, and group of the same name
	Command     []string // run when the file has changed
}

// Source is the template's path on the machine.
func (t Template) Source() string { return "/etc/consul-template.d/" + t.Name + ".ctmpl" }

// render fills in what is known now.
func (t Template) render(data any) (string, error) {
	parsed := template.New(t.File).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": strconv.Quote,
		"join":  func(s []string) string { return strings.Join(s, ",") },
		"json": func(config any) (string, error) {
			text, err := agentconfig.JSON(config)
			return strings.TrimSuffix(text, "\n"), err
		},
	})
	var err error
	if t.Text != "" {
		_, err = parsed.Parse(t.Text)
	} else {
		_, err = parsed.ParseFS(t.FS, path.Join("templates", t.File))
	}
	if err != nil {
		return "", fmt.Errorf("parse template of %s: %w", t.Source(), err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, data); err != nil {
		return "", fmt.Errorf("render %s: %w", t.Source(), err)
	}
	return b.String(), nil
}
