package artifact

import (
	"archive/zip"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// entryPath turns the name of a zip entry into the names from the tree's
// root down to it. The root itself ("./") is an empty path.
func entryPath(f *zip.File) ([]string, error) {
	name := f.Name
	if !utf8.ValidString(name) {
		// Without the UTF-8 flag a name is in code page 437. Source: APPNOTE.TXT, appendix D.
		const utf8Flag = 1 << 11
		if f.Flags&utf8Flag != 0 {
			return nil, unsafe(f, "its name is not UTF-8")
		}
		decoded, err := charmap.CodePage437.NewDecoder().String(name)
		if err != nil {
			return nil, unsafe(f, "its name has no known encoding")
		}
		name = decoded
	}
	switch {
	case name == "":
		return nil, unsafe(f, "it has no name")
	case len(name) > PathBytesMax:
		return nil, unsafe(f, "its path is too long")
	case strings.ContainsRune(name, 0):
		return nil, unsafe(f, "its name has a NUL")
	case strings.ContainsRune(name, '\\'):
		// APPNOTE.TXT 4.4.17.1 demands forward slashes. Kept as it is, the name would be
		// one file that no import finds; converted, it would be a second spelling of "..".
		return nil, unsafe(f, "its name has a backslash")
	case name[0] == '/':
		return nil, unsafe(f, "its path is absolute")
	}
	var path []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return nil, unsafe(f, "its path has ..")
		case len(part) > NameBytesMax:
			return nil, unsafe(f, "its name is too long")
		default:
			path = append(path, part)
		}
	}
	if len(path) > DepthMax {
		return nil, unsafe(f, "it lies too deep")
	}
	return path, nil
}

func unsafe(f *zip.File, why string) error {
	return fmt.Errorf("%w: %q: %s", ErrUnsafe, clip(f.Name), why)
}

func damaged(f *zip.File, why string) error {
	return fmt.Errorf("%w: %q: %s", ErrNotZip, clip(f.Name), why)
}
