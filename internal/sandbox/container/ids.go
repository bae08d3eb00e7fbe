package container

import (
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// Who the program is inside. Source: `id` on Lambda, recorded as sbx_user1051
// in 2025; its numbers are those of the managed runtimes.
const (
	programUser = "sbx_user1051"
	programUID  = 993
	programGID  = 990
	nobodyID    = 65534
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

// rootID is the host's id of the sandbox's root; the next one is the program's.
func (b *box) rootID() int {
	return slotFirstID + int((b.driver.firstSlot+b.slot)%slotsMax)*slotIDs
}

// ids says what the sandbox's ids are on the host. Without root only our own
// id may be mapped.
func (b *box) ids() (users, groups []pid1.IDMap) {
	if b.driver.rootless {
		return []pid1.IDMap{{Inside: programUID, Host: int32(os.Geteuid())}}, []pid1.IDMap{{Inside: programGID, Host: int32(os.Getegid())}}
	}
	root := int32(b.rootID())
	of := func(program int32) []pid1.IDMap {
		return []pid1.IDMap{{Inside: 0, Host: root}, {Inside: program, Host: root + 1}, {Inside: nobodyID, Host: root + 2}}
	}
	return of(programUID), of(programGID)
}

// outputOwner is who must own the output pipe, so that the program can open
// /dev/stdout again.
func (b *box) outputOwner() (uid, gid int) {
	if b.driver.rootless {
		return os.Geteuid(), os.Getegid()
	}
	return b.rootID() + 1, b.rootID() + 1
}
