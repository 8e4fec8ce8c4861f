package security

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// unit is a row of the table of systemd's scores in ARCHITECTURE.md.
type unit struct {
	name, kind string // of which machines: "server" or "client"
	score      float64
}

// unitsHeading begins the section of ARCHITECTURE.md with the table.
const unitsHeading = "\n## Units\n"

// readUnits reads the table of systemd's scores from ARCHITECTURE.md below a folder: unit, machine, score before, score now.
func readUnits(root string) ([]unit, error) {
	content, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		return nil, err
	}
	_, section, _ := strings.Cut(string(content), unitsHeading)
	section, _, _ = strings.Cut(section, "\n## ")
	var units []unit
	row := regexp.MustCompile("(?m)^\\| `([a-z-]+[.]service)` \\| (server|client) \\| [^|]+ \\| ([0-9.]+) \\|")
	for _, found := range row.FindAllStringSubmatch(section, -1) {
		score, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			return nil, fmt.Errorf("table of units in ARCHITECTURE.md: %q: %w", found[0], err)
		}
		units = append(units, unit{found[1], found[2], score})
	}
	if len(units) == 0 {
		return nil, errors.New("ARCHITECTURE.md has no table of units")
	}
	return units, nil
}

// exposure is the last line of what systemd-analyze says.
var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// units compare systemd's scores with the table: 10 is a unit that may do everything.
func (w *world) units(ctx context.Context) ([]Row, error) {
	units, err := readUnits(w.stack.Root)
	if err != nil {
		return nil, err
	}
	machines := map[string]string{"server": w.server, "client": w.client}
	var rows []Row
	for _, u := range units {
		rows = append(rows, looked("systemd on a "+u.kind, "the score of "+u.name, func() (string, error) {
			score, err := w.score(ctx, machines[u.kind], u.name)
			seen := fmt.Sprintf("%.1f, at most %.1f by the table", score, u.score)
			if err == nil && score > u.score+0.05 { // the table's figures are rounded
				err = errors.New(seen)
			}
			return seen, err
		}))
	}
	return rows, nil
}

func (w *world) score(ctx context.Context, machine, name string) (float64, error) {
	out, err := w.stack.OnMachine(ctx, machine, "systemd-analyze", "security", "--no-pager", name)
	if err != nil {
		return math.Inf(1), err
	}
	found := exposure.FindSubmatch(out)
	if found == nil {
		return math.Inf(1), fmt.Errorf("systemd-analyze says no score of %s", name)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
