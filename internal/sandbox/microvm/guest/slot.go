package guest

// A machine to which no disk can be added has drives from its boot on. Which disk is
// behind which drive, both ends know.
const (
	// LinePort is where the host listens for the line, where it is a socket.
	LinePort = 1024
	// TmpSlot is the one drive that can be written.
	TmpSlot    = 0
	RootSlots  = 7
	StartSlots = 7
	Slots      = 1 + RootSlots + StartSlots
	// NothingBytes is the size of a drive without a disk: a sector.
	NothingBytes = 512

	// Numbers of disks: those of the root, those that come at the start, and /tmp.
	RootDisk  = 1
	StartDisk = 128
	DisksMax  = 250
	TmpDisk   = DisksMax
)

// Slot is the drive of a disk, if it has one.
func Slot(number int) (int, bool) {
	switch {
	case number == TmpDisk:
		return TmpSlot, true
	case number >= RootDisk && number < RootDisk+RootSlots:
		return 1 + number - RootDisk, true
	case number >= StartDisk && number < StartDisk+StartSlots:
		return 1 + RootSlots + number - StartDisk, true
	}
	return 0, false
}
