package main

import (
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// guestDouble answers as process 1 of a machine would.
type guestDouble struct {
	drives map[string]*drive
	path   string
	booted bool
	still  sync.Mutex // held while the machine is paused
}

func (g *guestDouble) live() {
	if obey("guest") {
		os.Exit(4) // its kernel panics
	}
	conn, err := net.Dial("unix", fmt.Sprintf("%s_%d", g.path, guest.LinePort))
	if err != nil {
		fmt.Println("guest:", err)
		return
	}
	var l *line.Line
	l = line.New(conn, line.Options{Message: func(p []byte) {
		g.still.Lock()
		defer g.still.Unlock()
		if r, ok := line.DecodeRenew(p); ok {
			if obey("renew") {
				return
			}
			l.Reset()
			if r.Again {
				if _, err := l.Open(line.Output); err != nil {
					fmt.Println("guest:", err)
				}
			}
			send(l.Send(line.Done()))
			return
		}
		r, err := line.DecodeRequest(p)
		var reply line.Reply
		if err == nil {
			reply, err = g.do(l, r)
		}
		if err != nil {
			reply = line.Reply{Error: err.Error()}
		}
		if r.Hold {
			go func() { send(l.SendAndHold(line.Encode(reply))) }()
			return
		}
		send(l.Send(line.Encode(reply)))
	}})
	if g.booted {
		send(l.Send(line.Encode(line.Reply{Ready: true})))
	}
	fmt.Println("guest:", l.Serve())
}

func send(err error) {
	if err != nil {
		fmt.Println("guest:", err)
	}
}

func (g *guestDouble) do(l *line.Line, r line.Request) (line.Reply, error) {
	switch {
	case r.Park != nil:
		for _, m := range append([]line.Mount{r.Park.Root}, r.Park.Mounts...) {
			if err := g.mount(m.Disk); err != nil {
				return line.Reply{}, err
			}
		}
	case r.Start != nil:
		for _, m := range r.Start.Mounts {
			if err := g.mount(m.Disk); err != nil {
				return line.Reply{}, err
			}
		}
		if r.Start.TmpDisk != 0 {
			if err := g.mount(r.Start.TmpDisk); err != nil {
				return line.Reply{}, err
			}
		}
		s, err := l.Open(line.Output)
		if err != nil {
			return line.Reply{}, err
		}
		go func() {
			_, err := s.Write([]byte("the program runs\n"))
			send(err)
		}()
	case r.Measure:
		return line.Reply{Usage: &line.Usage{Memory: 1 << 20, Peak: 1 << 20}}, nil
	}
	return line.Reply{}, nil
}

// mount sees that there is a disk behind a drive.
func (g *guestDouble) mount(number int) error {
	slot, ok := guest.Slot(number)
	if !ok {
		return fmt.Errorf("no drive for disk %d", number)
	}
	d := g.drives[fmt.Sprintf("d%d", slot)]
	if d == nil {
		return fmt.Errorf("no drive %d", slot)
	}
	info, err := os.Stat(d.Path)
	if err == nil && info.Size() <= guest.NothingBytes {
		err = fmt.Errorf("drive %s is empty", d.ID)
	}
	return err
}
