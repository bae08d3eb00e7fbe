package images

import (
	"os"
	"path"
	"strings"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
)

// pathDefault is where programs are looked for in an image that names no PATH. Source: the
// container runtimes' own.
const pathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookPath finds a program as a shell would inside the image: by itself if its name has a slash, else
// in the directories of PATH. ok is false if there is none.
func (i Image) LookPath(program, paths, dir string) (found string, ok bool) {
	root, err := os.OpenRoot(i.Root)
	if err != nil {
		return "", false
	}
	defer root.Close()
	if strings.Contains(program, "/") {
		if !path.IsAbs(program) {
			program = path.Join("/", dir, program)
		}
		return program, runtimes.Executable(root, program)
	}
	if paths == "" {
		paths = pathDefault
	}
	for _, p := range strings.Split(paths, ":") {
		if at := path.Join("/", p, program); path.IsAbs(p) && runtimes.Executable(root, at) {
			return at, true
		}
	}
	return "", false
}
