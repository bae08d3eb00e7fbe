package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// daemonLeaf is the group that lambdad moves itself into where its own shall
// have children with controllers: apart from the root, the kernel lets a group
// have either those or processes. Whoever lambdad starts finds itself there too.
const daemonLeaf = "lambdad.daemon"

// asideMax bounds the attempts to move processes that fork meanwhile.
const asideMax = 10

// aboveLeaf is the group that was ours, or our parent's, before stepping aside.
func aboveLeaf(dir string) string {
	if filepath.Base(dir) == daemonLeaf {
		return filepath.Dir(dir)
	}
	return dir
}

// openV2 finds a place in the unified hierarchy whose children have the
// controllers that version 1 does not, or as many of them as can be had. Our own
// group is the better place: what the host's owner limits and counts there then
// includes the sandboxes. But a login session's group is shared with a shell,
// and a service's has no more controllers than somebody asked for; there root
// makes a group at the top.
func (p *Parent) openV2(host Host, name string) error {
	if host.V2 == "" {
		return nil
	}
	var wanted []string
	for _, c := range []string{memory, cpu, pids} {
		if _, ok := p.v1[c]; !ok {
			wanted = append(wanted, c)
		}
	}
	places := []string{host.V2}
	if host.V2Root != host.V2 {
		places = append(places, host.V2Root)
	}
	slices.SortStableFunc(places, func(a, b string) int { return len(available(b, wanted)) - len(available(a, wanted)) })
	for _, place := range places {
		has := available(place, wanted)
		if len(has) == 0 {
			continue
		}
		err := enable(place, has)
		if errors.Is(err, syscall.EBUSY) && place == host.V2 && stepAside(place, host.V2Root) == nil {
			err = enable(place, has)
		}
		if err != nil {
			continue
		}
		dir := filepath.Join(place, name)
		if makeDir(dir) != nil {
			continue
		}
		if enable(dir, has) != nil {
			if err := removeDir(dir); err != nil {
				return err
			}
			continue
		}
		p.v2 = dir
		for _, c := range has {
			p.v2Controllers[c] = true
		}
		return nil
	}
	// No controllers to be had; freezing and killing still need none.
	for _, place := range places {
		dir := filepath.Join(place, name)
		if err := makeDir(dir); err == nil {
			p.v2 = dir
			return nil
		} else if !notOurs(err) {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// available are those of the wanted controllers that dir can give its children.
func available(dir string, wanted []string) []string {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil // not ours even to look at
	}
	has := strings.Fields(string(content))
	var found []string
	for _, c := range wanted {
		if slices.Contains(has, c) {
			found = append(found, c)
		}
	}
	return found
}

// enable gives the children of dir the controllers.
func enable(dir string, wanted []string) error {
	for _, c := range wanted {
		if err := write(dir, "cgroup.subtree_control", "+"+c); err != nil {
			return err
		}
	}
	return nil
}

// stepAside moves this process out of its own group into a leaf beside the
// sandboxes' parent. Others there come along if the whole group was delegated.
func stepAside(own, root string) error {
	leaf := filepath.Join(own, daemonLeaf)
	for range asideMax {
		content, err := os.ReadFile(filepath.Join(own, "cgroup.procs"))
		if err != nil {
			return err
		}
		list := strings.Fields(string(content))
		if len(list) == 0 {
			return nil
		}
		if !slices.Equal(list, []string{strconv.Itoa(os.Getpid())}) && !delegated(own, root) {
			return syscall.EBUSY
		}
		if err := makeDir(leaf); err != nil {
			return err
		}
		for _, pid := range list {
			// One that ended meanwhile needs no move.
			if err := write(leaf, "cgroup.procs", pid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return syscall.EBUSY
}

// delegated tells whether all that is in our own group is ours to arrange:
// systemd says so of a unit with Delegate= (systemd.resource-control(5)), root
// does by giving a user the topmost group of a subtree, and inside a container
// its topmost group is the container's.
func delegated(own, root string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(own, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	if uid := os.Geteuid(); uid != 0 && ownedBy(own, uid) && !ownedBy(filepath.Dir(own), uid) {
		return true
	}
	// The host's own root, and only that, has no type.
	_, err := os.Stat(filepath.Join(own, "cgroup.type"))
	return own == root && !errors.Is(err, fs.ErrNotExist)
}

func ownedBy(path string, uid int) bool {
	var stat unix.Stat_t
	return unix.Stat(path, &stat) == nil && int(stat.Uid) == uid
}
