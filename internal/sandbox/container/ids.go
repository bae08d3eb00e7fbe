package container

import (
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// Each sandbox has user ids of its own on the host, which own nothing there:
// even without its user namespace one sandbox could not touch another. The
// range lies above those that systemd and shadow hand out.
// Source: systemd, UIDS-GIDS: 1879048192 to 2147352575 is unused.
const (
	slotFirstID = 1879048192
	slotIDs     = 4 // root, the program, nobody, one spare
	slotsMax    = (2147352576 - slotFirstID) / slotIDs
)

// slotRoot is the host's id of the root of the sandbox in a slot; the next one is the program's.
func slotRoot(slot uint32) int {
	return slotFirstID + int(slot%slotsMax)*slotIDs
}

// rootID is the host's id of the sandbox's root.
func (b *box) rootID() int { return b.root }

// birth says who the sandbox's users are. Without root only our own id may be
// mapped; within another sandbox's namespace everybody is who he is there.
func (b *box) birth() pid1.Spawn {
	if b.driver.rootless {
		return pid1.Spawn{
			Users:    []pid1.IDMap{{Inside: isolate.ProgramUID, Host: int32(os.Geteuid())}},
			Groups:   []pid1.IDMap{{Inside: isolate.ProgramGID, Host: int32(os.Getegid())}},
			Rootless: true,
		}
	}
	root := int32(b.rootID())
	of := func(program int32) []pid1.IDMap {
		if b.within != nil {
			return []pid1.IDMap{{Inside: 0, Host: 0}, {Inside: program, Host: program}, {Inside: isolate.NobodyID, Host: isolate.NobodyID}}
		}
		return []pid1.IDMap{{Inside: 0, Host: root}, {Inside: program, Host: root + 1}, {Inside: isolate.NobodyID, Host: root + 2}}
	}
	return pid1.Spawn{Users: of(isolate.ProgramUID), Groups: of(isolate.ProgramGID), OwnerUID: isolate.ProgramUID, OwnerGID: isolate.ProgramGID}
}

// outputOwner is who must own the output pipe, so that the program can open
// /dev/stdout again.
func (b *box) outputOwner() (uid, gid int) {
	if b.driver.rootless {
		return os.Geteuid(), os.Getegid()
	}
	return b.rootID() + 1, b.rootID() + 1
}
