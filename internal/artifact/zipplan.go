package artifact

import (
	"archive/zip"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// plan is the tree that an archive describes, checked before anything of it is
// written: what can be told from the directory is refused without unpacking.
type plan struct {
	root  *node
	nodes int   // files, links and directories, also those only implied by a path
	bytes int64 // unzipped, as declared; unpacking holds every entry to it
	steps int   // walked through links
}

type kind int

const (
	kindDir kind = iota
	kindFile
	kindLink
)

type node struct {
	kind     kind
	entry    *zip.File        // nil for a directory that is only implied
	target   string           // of a link
	children map[string]*node // of a directory
}

// planZip reads the directory and the local headers, and the targets of links;
// no file is decompressed.
func planZip(ctx context.Context, archive *zip.Reader, limits bounds) (*plan, error) {
	p := &plan{root: &node{kind: kindDir}}
	spans := make([]span, 0, len(archive.File))
	for i, f := range archive.File {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s, err := spanOf(f)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
		// Compared before the sum: a zip64 size can be anything up to 2^64.
		if f.UncompressedSize64 > uint64(limits.unzippedBytesMax-p.bytes) {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limits.unzippedBytesMax)
		}
		p.bytes += int64(f.UncompressedSize64)
		if err := p.add(f, limits); err != nil {
			return nil, err
		}
	}
	if err := refuseOverlap(spans); err != nil {
		return nil, err
	}
	return p, p.checkLinks([]*node{p.root})
}

// add places one entry. Two entries of one name: the later wins, as
// unzip -o has it; a file and a directory of one name are refused.
func (p *plan) add(f *zip.File, limits bounds) error {
	at, err := entryPath(f)
	if err != nil {
		return err
	}
	made := &node{entry: f}
	if made.kind, err = kindOf(f); err != nil {
		return err
	}
	if made.kind == kindLink {
		if made.target, err = linkTarget(f); err != nil {
			return err
		}
	}
	if len(at) == 0 {
		if made.kind != kindDir {
			return unsafe(f, "it would replace the tree's root")
		}
		return nil
	}
	dir := p.root
	for _, name := range at[:len(at)-1] {
		next := dir.children[name]
		if next == nil {
			next = &node{kind: kindDir}
			if err := p.attach(dir, name, next, limits); err != nil {
				return err
			}
		}
		if next.kind != kindDir {
			return unsafe(f, "it lies below a file or a link")
		}
		dir = next
	}
	name := at[len(at)-1]
	old := dir.children[name]
	switch {
	case old == nil:
		return p.attach(dir, name, made, limits)
	case (old.kind == kindDir) != (made.kind == kindDir):
		return unsafe(f, "it is a directory and a file")
	case old.kind == kindDir:
		old.entry = f
	default:
		dir.children[name] = made
	}
	return nil
}

func (p *plan) attach(dir *node, name string, child *node, limits bounds) error {
	if p.nodes++; p.nodes > limits.filesMax {
		return fmt.Errorf("%w: more than %d files and directories", ErrTooMany, limits.filesMax)
	}
	if dir.children == nil {
		dir.children = make(map[string]*node)
	}
	dir.children[name] = child
	return nil
}

func kindOf(f *zip.File) (kind, error) {
	if strings.HasSuffix(f.Name, "/") {
		if f.UncompressedSize64 != 0 {
			return 0, damaged(f, "a directory with contents")
		}
		return kindDir, nil
	}
	switch mode := f.Mode(); mode.Type() {
	case 0:
		return kindFile, nil
	case fs.ModeDir:
		if f.UncompressedSize64 != 0 {
			return 0, damaged(f, "a directory with contents")
		}
		return kindDir, nil
	case fs.ModeSymlink:
		return kindLink, nil
	default:
		return 0, unsafe(f, "it is a device, a pipe or a socket")
	}
}

func linkTarget(f *zip.File) (string, error) {
	if f.UncompressedSize64 > LinkTargetBytesMax {
		return "", unsafe(f, "its target is too long")
	}
	r, err := f.Open()
	if err != nil {
		return "", damaged(f, err.Error())
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, LinkTargetBytesMax+1))
	if err != nil {
		return "", damaged(f, err.Error())
	}
	target := string(raw)
	if target == "" || strings.ContainsRune(target, 0) || uint64(len(raw)) != f.UncompressedSize64 {
		return "", unsafe(f, "its target is not a path")
	}
	return target, nil
}

// linksFollowedMax is the kernel's own bound (ELOOP). stepsMax bounds the walk through all
// links of an archive: links to links of thousands of parts multiply.
const (
	linksFollowedMax = 40
	stepsMax         = 10_000_000 // more: ErrUnsafe
)

// checkLinks refuses links that lead out of the tree, by themselves or through
// other links. Dangling links and loops inside are harmless and stay. above
// holds the directories from the root to dir, both included.
func (p *plan) checkLinks(above []*node) error {
	dir := above[len(above)-1]
	for _, child := range dir.children {
		switch child.kind {
		case kindDir:
			if err := p.checkLinks(append(above[:len(above):len(above)], child)); err != nil {
				return err
			}
		case kindLink:
			if !p.staysInside(above, child.target) {
				return unsafe(child.entry, "it links out of the tree, to "+clip(child.target))
			}
			if p.steps > stepsMax {
				return unsafe(child.entry, "too many links through links")
			}
		}
	}
	return nil
}

// staysInside walks target from the directory above, as the kernel would. A name
// that does not exist is a nil node.
func (p *plan) staysInside(above []*node, target string) bool {
	here := slices.Clone(above)
	rest := []string{target}
	followed := 0
	for len(rest) > 0 && p.steps <= stepsMax {
		p.steps++
		step := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		if strings.HasPrefix(step, "/") {
			return false
		}
		first, more, found := strings.Cut(step, "/")
		if found {
			rest = append(rest, strings.TrimLeft(more, "/"))
		}
		switch first {
		case "", ".":
			continue
		case "..":
			if len(here) == 1 {
				return false
			}
			here = here[:len(here)-1]
			continue
		}
		var next *node
		if dir := here[len(here)-1]; dir != nil {
			next = dir.children[first]
		}
		if next != nil && next.kind == kindLink {
			if followed++; followed > linksFollowedMax {
				return true // ELOOP: leads nowhere
			}
			rest = append(rest, next.target)
			continue
		}
		here = append(here, next)
	}
	return true
}

// span is where an entry's data lies in the archive.
type span struct {
	from, to int64
	entry    *zip.File
}

func spanOf(f *zip.File) (span, error) {
	const encrypted = 1 << 0
	if f.Flags&encrypted != 0 {
		return span{}, damaged(f, "it is encrypted")
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return span{}, damaged(f, fmt.Sprintf("compression method %d", f.Method))
	}
	if f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64 {
		return span{}, damaged(f, "a stored entry of two sizes")
	}
	from, err := f.DataOffset()
	if err != nil {
		return span{}, damaged(f, err.Error())
	}
	to := from + int64(f.CompressedSize64)
	if int64(f.CompressedSize64) < 0 || to < from {
		return span{}, damaged(f, "its data ends beyond the archive")
	}
	return span{from: from, to: to, entry: f}, nil
}

// refuseOverlap refuses entries that share bytes: a few megabytes of shared deflate
// stream are how small archives unpack to terabytes.
func refuseOverlap(spans []span) error {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var end int64
	for _, s := range spans {
		if s.from == s.to {
			continue
		}
		if s.from < end {
			return unsafe(s.entry, "it shares bytes with another entry")
		}
		end = s.to
	}
	return nil
}
