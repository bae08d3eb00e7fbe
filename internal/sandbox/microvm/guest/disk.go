package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// scsiScan is where the bus is asked to look; a machine without the bus has drives.
const scsiScan = "/sys/class/scsi_host/host0/scan"

// findDisk waits for a disk, and returns its device.
func findDisk(number int) (string, error) {
	look := onBus
	if _, err := os.Stat(scsiScan); errors.Is(err, os.ErrNotExist) {
		look = onDrive
	}
	for end := time.Now().Add(deviceMax); ; time.Sleep(poll) {
		device, err := look("/sys", number)
		if err == nil {
			var f *os.File
			if f, err = os.Open(device); err == nil {
				return device, f.Close()
			}
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("disk %d does not appear: %w", number, err)
		}
	}
}

// onBus asks the bus about one disk: to look for all takes long. Its file is
// there before the disk can be opened.
func onBus(sys string, number int) (string, error) {
	found, err := filepath.Glob(fmt.Sprintf("%s/class/scsi_device/0:0:0:%d/device/block/*", sys, number))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.Join(os.ErrNotExist, os.WriteFile(scsiScan, []byte(fmt.Sprintf("0 0 %d", number)), 0))
	}
	return "/dev/" + filepath.Base(found[0]), nil
}

// onDrive looks whether the host has put a disk behind its drive: one without is a
// sector long, which no disk is.
func onDrive(sys string, number int) (string, error) {
	slot, ok := Slot(number)
	if !ok {
		return "", fmt.Errorf("no drive is for disk %d", number)
	}
	name := "vd" + string(rune('a'+slot)) // drives appear in the order in which the host declared them
	size, err := os.ReadFile(filepath.Join(sys, "block", name, "size"))
	if err != nil {
		return "", err
	}
	if sectors, err := strconv.ParseInt(strings.TrimSpace(string(size)), 10, 64); err != nil || sectors <= NothingBytes/sectorBytes {
		return "", errors.Join(fmt.Errorf("drive %s is empty", name), err)
	}
	return "/dev/" + name, nil
}

const sectorBytes = 512
