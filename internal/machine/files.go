package machine

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/names"
)

// Origin says how a file of a machine is made.
type Origin string

// The origins of files.
const (
	FromRootfs   Origin = "rootfs"   // the same on every machine that has the part
	FromGo       Origin = "part.go"  // made for the machine
	FromTemplate Origin = "template" // filled in for the machine, and then by consul-template
)

// File is a file of a machine's user-data, with the part that it comes from.
type File struct {
	cloudinit.File
	Part   string
	Origin Origin
}

// contents gathers what all parts bring to the machine. from names the part of each file by its path.
func (parts Parts) contents(c Cluster, m Machine) (all Contents, from map[string]string) {
	from = map[string]string{}
	for _, part := range parts {
		contents := Contents{}
		if part.On != nil {
			contents = part.On(c, m)
		}
		contents.tokens = part.Tokens
		for _, file := range contents.Files {
			from[file.Path] = part.Name
		}
		for _, config := range contents.Configs {
			from[config.Path] = part.Name
		}
		for _, t := range contents.Templates {
			from[t.Source()] = part.Name
		}
		all.append(contents)
	}
	slices.SortFunc(all.Templates, func(a, b Template) int { return cmp.Compare(a.Name, b.Name) })
	return all, from
}

// Files are all files of a machine's user-data. Their order is part of the user-data, and another user-data is another
// machine: a change of the order replaces every machine of every stack.
func (parts Parts) Files(c Cluster, m Machine) ([]File, error) {
	return parts.files(parts.contents(c.withDefaults(), m.withDefaults()))
}

// files are Files, of what all parts bring.
func (parts Parts) files(all Contents, from map[string]string) ([]File, error) {
	files, err := parts.rootfs()
	if err != nil {
		return nil, err
	}
	add := func(file cloudinit.File, origin Origin) {
		files = append(files, File{file, from[file.Path], origin})
	}
	for _, file := range all.Files {
		add(file, FromGo)
	}
	for _, config := range all.Configs {
		file, err := config.file(all)
		if err != nil {
			return nil, err
		}
		add(file, FromGo)
	}
	for _, t := range all.Templates {
		content, err := t.render(known(t.Data, all))
		if err != nil {
			return nil, err
		}
		add(cloudinit.File{Path: t.Source(), Permissions: "0600", Content: content}, FromTemplate)
	}
	return files, nil
}

// known is the value itself, or what it becomes with what all parts bring.
func known(value any, all Contents) any {
	if later, ok := value.(FromAll); ok {
		return later(all)
	}
	return value
}

func (c Config) file(all Contents) (cloudinit.File, error) {
	content, err := agentconfig.JSON(known(c.Value, all))
	if err != nil {
		return cloudinit.File{}, fmt.Errorf("render %s: %w", c.Path, err)
	}
	owner := ""
	if c.Owner != "" {
		owner = c.Owner + ":" + c.Owner
	}
	return cloudinit.File{
		Path: c.Path, Owner: owner, Permissions: "0600", Content: content,
		Defer: c.Owner != "", // the owner comes with the package
	}, nil
}

// rootfs are the files of all parts' rootfs/: first those that every machine has, in the order of their paths, then those
// of each other part.
func (parts Parts) rootfs() ([]File, error) {
	var files []File
	for _, part := range parts {
		tree, err := part.rootfs()
		if err != nil {
			return nil, err
		}
		files = append(files, tree...)
	}
	everywhere := map[string]bool{}
	for _, part := range parts {
		everywhere[part.Name] = part.Everywhere
	}
	slices.SortStableFunc(files, func(a, b File) int {
		if everywhere[a.Part] && everywhere[b.Part] {
			return byPath(a.Path, b.Path)
		}
		return cmp.Compare(rank(everywhere[a.Part]), rank(everywhere[b.Part]))
	})
	return files, nil
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// byPath compares paths folder by folder, as a walk through a file system meets them.
func byPath(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) }

// rootfs are the files of the part's rootfs/.
func (p Part) rootfs() ([]File, error) {
	if !p.holds("rootfs") {
		return nil, nil
	}
	var files []File
	err := fs.WalkDir(p.FS, "rootfs", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(p.FS, name)
		if err != nil {
			return err
		}
		file := cloudinit.File{Path: strings.TrimPrefix(name, "rootfs"), Permissions: "0644", Content: string(content)}
		if strings.HasPrefix(file.Path, names.Scripts) {
			file.Permissions = "0755" // an embedded file has no mode of its own
		}
		files = append(files, File{file, p.Name, FromRootfs})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the rootfs of part %s: %w", p.Name, err)
	}
	return files, nil
}
