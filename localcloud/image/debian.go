package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mmdebstrapArgs shape the tree; the package lists are added to them.
var mmdebstrapArgs = []string{
	"--variant=minbase",
	// Nobody reads documentation on these machines. It is half of a Debian system's files, and half of what dpkg
	// writes.
	"--dpkgopt=path-exclude=/usr/share/doc/*",
	"--dpkgopt=path-exclude=/usr/share/man/*",
	"--dpkgopt=path-exclude=/usr/share/locale/*",
	"--dpkgopt=path-exclude=/usr/share/info/*",
	"--aptopt=APT::Install-Recommends \"false\"",
	// Each machine makes its own identity at first boot.
	`--customize-hook=rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id "$1"/etc/hostname "$1"/etc/resolv.conf`,
	`--customize-hook=: >"$1"/etc/machine-id`,
}

// bootstrap makes the Debian tree in dir/root and downloads the machines' further packages to dir/packages.
func bootstrap(ctx context.Context, dir string, progress io.Writer) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is not installed: run `apt-get install mmdebstrap`")
	}
	sources, err := hostSources("/")
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "host.list")
	if err := os.WriteFile(list, []byte(sources), 0o600); err != nil {
		return err
	}
	packages := filepath.Join(dir, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil { //nolint:gosec // served to everyone
		return err
	}

	args := slices.Clone(mmdebstrapArgs)
	args = append(args,
		"--include="+strings.Join(basePackages, ","),
		// Downloaded in the same run, so that apt knows what the tree has when it looks for dependencies.
		fmt.Sprintf(`--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb &&
			APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes --download-only -o APT::Install-Recommends=true install %s &&
			cp "$1"/var/cache/apt/archives/*.deb %q`, strings.Join(mirrorPackages, " "), packages),
		// Machines must not inherit the host's mirror or the options of the build, such as a proxy.
		`--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap`,
	)
	proxy, err := hostAptProxy(ctx)
	if err != nil {
		return err
	}
	args = append(args, proxy...)
	args = append(args, suite, filepath.Join(dir, "root"), list)

	if _, err := fmt.Fprintln(progress, "building the Debian 12 image (about two minutes)"); err != nil {
		return err
	}
	var said bytes.Buffer
	// It mounts /proc and /sys in the tree, and the host's own /dev/shm.
	cmd := apart(ctx, "mmdebstrap", args...)
	out := io.MultiWriter(&said, infoLines{progress})
	cmd.Stdout, cmd.Stderr = out, out // one writer, so that exec does not write from two goroutines
	if err := runApart(cmd); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", errors.Join(ctx.Err(), err), tail(said.String(), 30))
	}
	return os.Remove(list)
}

// hostSources returns the host's apt sources of Debian's main archive, in apt's one-line format, for our suite. The
// host's owner has chosen the mirror; one that serves another release of Debian has ours too.
func hostSources(root string) (string, error) {
	release, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if err != nil {
		return "", fmt.Errorf("find out which Debian this is: %w", err)
	}
	codename := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\w+)$`).FindSubmatch(release)
	if codename == nil || !regexp.MustCompile(`(?m)^ID=debian$`).Match(release) {
		return "", errors.New("the machine image is built from the host's Debian package sources, and this host is not a Debian: use a Debian 12 host")
	}

	var entries []source
	for _, pattern := range []string{"etc/apt/sources.list", "etc/apt/sources.list.d/*.list", "etc/apt/sources.list.d/*.sources"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			if strings.HasSuffix(path, ".sources") {
				entries = append(entries, parseDeb822(string(content))...)
			} else {
				entries = append(entries, parseOneLine(string(content))...)
			}
		}
	}

	var out strings.Builder
	main := false
	for _, e := range entries {
		tail, ok := strings.CutPrefix(e.suite, string(codename[1]))
		// Third parties name their suites after Debian's too, but sign with keys of their own.
		ours := e.signedBy == "" || strings.Contains(e.signedBy, "debian-archive")
		if !ok || !ours || !slices.Contains(e.components, "main") || !slices.Contains([]string{"", "-updates", "-security"}, tail) {
			continue
		}
		main = main || tail == ""
		fmt.Fprintf(&out, "deb [%s] %s %s%s main\n", e.options(), e.uri, suite, tail)
	}
	if !main {
		return "", fmt.Errorf("found no source of Debian %s main in %s/etc/apt/sources.list or sources.list.d: add Debian's", codename[1], strings.TrimSuffix(root, "/"))
	}
	return out.String(), nil
}

// source is one repository of the host: one URI and one suite.
type source struct {
	uri, suite string
	components []string
	signedBy   string
}

func (s source) options() string {
	if s.signedBy == "" {
		// mmdebstrap's own default for Debian; written out, because an empty option list is a syntax error.
		return "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
	}
	return "signed-by=" + s.signedBy
}

// parseDeb822 reads the .sources format of sources.list(5). Fields we have no use for are skipped.
func parseDeb822(content string) []source {
	var all []source
	for stanza := range strings.SplitSeq(content, "\n\n") {
		fields := map[string]string{}
		last := ""
		for line := range strings.Lines(stanza) {
			switch key, value, ok := strings.Cut(line, ":"); {
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
				fields[last] += " " + strings.TrimSpace(line)
			case ok:
				last = strings.ToLower(strings.TrimSpace(key))
				fields[last] = strings.TrimSpace(value)
			}
		}
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || strings.EqualFold(fields["enabled"], "no") {
			continue
		}
		signedBy := fields["signed-by"]
		for _, uri := range strings.Fields(fields["uris"]) {
			for _, suite := range strings.Fields(fields["suites"]) {
				all = append(all, source{uri: uri, suite: suite, components: strings.Fields(fields["components"]), signedBy: signedBy})
			}
		}
	}
	return all
}

var oneLine = regexp.MustCompile(`^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)`)

// parseOneLine reads the one-line format of sources.list(5).
func parseOneLine(content string) []source {
	var all []source
	for line := range strings.Lines(content) {
		m := oneLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		s := source{uri: m[2], suite: m[3], components: strings.Fields(m[4])}
		for _, option := range strings.Fields(m[1]) {
			if path, ok := strings.CutPrefix(option, "signed-by="); ok {
				s.signedBy = path
			}
		}
		all = append(all, s)
	}
	return all
}

// hostAptProxy passes on how the host's apt reaches its mirror: mmdebstrap does not read the host's configuration.
func hostAptProxy(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%f \"%v\";%n", "Acquire::http::Proxy", "Acquire::https::Proxy").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-config dump: %w", err)
	}
	var args []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, `""`) {
			args = append(args, "--aptopt="+line)
		}
	}
	return args, nil
}

// infoLines passes on the lines in which mmdebstrap says what it is doing, and drops the output of apt and dpkg.
type infoLines struct{ to io.Writer }

func (w infoLines) Write(p []byte) (int, error) {
	lines := bufio.NewScanner(bytes.NewReader(p))
	for lines.Scan() {
		line, ok := strings.CutPrefix(lines.Text(), "I: ")
		if !ok {
			continue
		}
		if _, err := fmt.Fprintln(w.to, "  "+line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
