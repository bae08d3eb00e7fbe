package clone

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bequeath lets copies have the memory that the process wanted no child to have.
// Node.js keeps its heap from children, so that they start faster; a copy is
// nothing without it.
func (o *Original) bequeath() error {
	f, err := os.Open("/proc/" + strconv.Itoa(o.tracee.pid) + "/smaps")
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	defer f.Close()
	var list []call
	var start, end uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		first, rest, _ := strings.Cut(lines.Text(), " ")
		if first != "VmFlags:" {
			if from, to, ok := strings.Cut(first, "-"); ok {
				start, _ = strconv.ParseUint(from, 16, 64)
				end, _ = strconv.ParseUint(to, 16, 64)
			}
			continue
		}
		// dc: not copied on fork; io: of a device. Source: proc_pid_smaps(5).
		if flags := strings.Fields(rest); slices.Contains(flags, "dc") && !slices.Contains(flags, "io") {
			list = append(list, do("madvise", unix.SYS_MADVISE, start, end-start, unix.MADV_DOFORK))
		}
	}
	const some = listBytes/entryBytes - 1
	for part := range slices.Chunk(list, some) {
		if _, err := o.run(o.tracee, part); err != nil {
			return err
		}
	}
	return nil
}
