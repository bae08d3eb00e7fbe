package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// dialMax is how long an address may take that should be refused at once or
// never answers.
const dialMax = 2 * time.Second

func networkDeeds() map[string]deed {
	return map[string]deed{
		"dial":        dial,
		"send":        send,
		"listeners":   listeners,
		"addresses":   addresses,
		"resolve":     resolve,
		"serve":       serve,
		"add-address": addAddress,
	}
}

// dial connects, writes its second argument and reads the answer.
func dial(args []string) (string, error) {
	network := "tcp"
	if strings.HasPrefix(args[0], "@") || strings.HasPrefix(args[0], "/") {
		network = "unix"
	}
	c, err := net.DialTimeout(network, args[0], dialMax)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if len(args) < 2 {
		return "connected", nil
	}
	if err := c.SetDeadline(time.Now().Add(dialMax)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, args[1]); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return strings.TrimSpace(string(answer)), err
}

// await connects and waits until the other side hangs up.
func await(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.ReadAll(c)
	return err
}

// send sends a datagram and waits for an answer.
func send(args []string) (string, error) {
	c, err := net.DialTimeout("udp", args[0], dialMax)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(dialMax)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(c, args[1]); err != nil {
		return "", err
	}
	p := make([]byte, 2048)
	n, err := c.Read(p)
	return string(p[:n]), err
}

// listeners lists the ports that somebody listens on, in hexadecimal as the kernel tells.
func listeners([]string) (string, error) {
	var out []string
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		content, err := os.ReadFile("/proc/net/" + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // not every kernel has IPv6
		}
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && (fields[3] == "0A" || (strings.HasPrefix(file, "udp") && fields[3] == "07")) {
				out = append(out, file+" "+fields[1])
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), nil
}

func addresses([]string) (string, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, " "), nil
}

func resolve(args []string) (string, error) {
	list, err := net.LookupHost(args[0])
	return strings.Join(list, " "), err
}

// serve says its addresses and answers everybody until it is ended. Before it listens it asks
// for a name, if it is given one.
func serve(args []string) (string, error) {
	if len(args) > 1 {
		if _, err := resolve(args[1:]); err != nil {
			return "", err
		}
	}
	network := "tcp"
	if strings.HasPrefix(args[0], "@") || strings.HasPrefix(args[0], "/") {
		network = "unix"
	}
	l, err := net.Listen(network, args[0])
	if err != nil {
		return "", err
	}
	list, err := addresses(nil)
	if err != nil {
		return "", err
	}
	fmt.Println(list, "serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return "", err
		}
		if _, err := fmt.Fprintln(c, "served"); err != nil {
			fmt.Println(err)
		}
		c.Close()
	}
}

// addAddress tries to give the loopback device another address.
func addAddress(args []string) (string, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return "", err
	}
	// struct ifreq: a name of 16 bytes, then a sockaddr_in.
	request := make([]byte, 40)
	copy(request, "lo")
	request[16] = syscall.AF_INET
	copy(request[20:], net.ParseIP(args[0]).To4())
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFADDR, uintptr(unsafe.Pointer(&request[0])))
	if errno != 0 {
		return "", errno
	}
	return "added", nil
}
