package bench

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

// Picture is a timeline as an SVG. Each resource that took long enough to be seen is a bar, ordered from top to bottom
// by its beginning; bars on the critical path are outlined.
type Picture struct {
	Title    string
	Bars     []Bar
	Critical []Bar
	// Shortest leaves out bars shorter than this; 0 draws all.
	Shortest Seconds
}

const (
	rowHeight  = 16
	labelWidth = 330
	chartWidth = 900
	headHeight = 56
)

// colours are by the first part of a type: who did the work.
var colours = map[string]string{
	"phase": "#6b7280", "hcloud": "#d6336c", "hashistack": "#7048e8", "vault": "#e8a100", "consul": "#c2255c",
	"nomad": "#0ca678", "tls": "#1c7ed6", "random": "#74b816", "pulumi": "#868e96",
}

func colour(kind string) string {
	if c, ok := colours[owner(kind)]; ok {
		return c
	}
	return "#868e96"
}

func owner(kind string) string {
	first, _, _ := strings.Cut(kind, ":")
	return first
}

var svg = template.Must(template.New("svg").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" viewBox="0 0 {{.Width}} {{.Height}}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="22" font-size="15" font-weight="600">{{.Title}}</text>
{{range .Legend}}<rect x="{{.X}}" y="32" width="10" height="10" fill="{{.Colour}}"/><text x="{{.TextX}}" y="41">{{.Name}}</text>
{{end}}{{range .Ticks}}<line x1="{{.X}}" y1="{{$.Top}}" x2="{{.X}}" y2="{{$.Bottom}}" stroke="#e9ecef"/><text x="{{.X}}" y="{{$.TickY}}" fill="#868e96" text-anchor="middle">{{.Label}}</text>
{{end}}{{range .Rows}}<text x="{{$.LabelX}}" y="{{.TextY}}" text-anchor="end"{{if .Critical}} font-weight="600"{{end}}>{{.Label}}</text><rect x="{{.X}}" y="{{.Y}}" width="{{.Width}}" height="11" rx="2" fill="{{.Colour}}"{{if .Critical}} stroke="#000000" stroke-width="1.2"{{end}}><title>{{.Hint}}</title></rect><text x="{{.AfterX}}" y="{{.TextY}}" fill="#495057">{{.Took}}</text>
{{end}}</svg>
`))

type row struct {
	Label, Hint, Took, Colour  string
	X, Y, Width, TextY, AfterX float64
	Critical                   bool
}

type tick struct {
	X     float64
	Label string
}

type legend struct {
	X, TextX     float64
	Name, Colour string
}

// Draw writes the picture.
func (p Picture) Draw(w io.Writer) error {
	end := 1.0
	for _, b := range p.Bars {
		end = math.Max(end, float64(b.End))
	}
	scale := chartWidth / end
	critical := map[string]bool{}
	for _, b := range p.Critical {
		critical[b.URN] = true
	}

	var rows []row
	var owners []string
	seen := map[string]bool{}
	for _, b := range p.Bars {
		took := b.End - b.Start
		if took < p.Shortest && !critical[b.URN] {
			continue
		}
		y := float64(headHeight + len(rows)*rowHeight)
		width := math.Max(1, float64(took)*scale)
		rows = append(rows, row{
			Label: label(b), Hint: fmt.Sprintf("%s %s: %.2f s to %.2f s", b.Kind, b.Name, b.Start, b.End), Took: fmt.Sprintf("%.1f", took),
			Colour: colour(b.Kind), X: labelWidth + float64(b.Start)*scale, Y: y, Width: width, TextY: y + 9,
			AfterX: labelWidth + float64(b.Start)*scale + width + 4, Critical: critical[b.URN],
		})
		if o := owner(b.Kind); !seen[o] {
			seen[o] = true
			owners = append(owners, o)
		}
	}
	bottom := headHeight + len(rows)*rowHeight
	data := map[string]any{
		"Title": p.Title, "Rows": rows, "LabelX": labelWidth - 6, "Top": headHeight - 4, "Bottom": bottom,
		"TickY": bottom + 14, "Width": labelWidth + chartWidth + 60, "Height": bottom + 24,
		"Ticks": ticks(end, scale), "Legend": legends(owners),
	}
	return svg.Execute(w, data)
}

// label is short enough for the margin: the type without its module, and the name.
func label(b Bar) string {
	if b.Kind == "phase" {
		return b.Name
	}
	kind := b.Kind[strings.LastIndex(b.Kind, ":")+1:]
	return kind + " " + b.Name
}

func ticks(end, scale float64) []tick {
	step := 1.0
	for _, s := range []float64{2, 5, 10, 20, 30, 60} {
		if end/step <= 16 {
			break
		}
		step = s
	}
	var all []tick
	for t := 0.0; t <= end; t += step {
		all = append(all, tick{X: labelWidth + t*scale, Label: fmt.Sprintf("%g s", t)})
	}
	return all
}

func legends(owners []string) []legend {
	var all []legend
	for i, o := range owners {
		x := float64(labelWidth + i*90)
		all = append(all, legend{X: x, TextX: x + 14, Name: o, Colour: colour(o)})
	}
	return all
}
