package workertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// template is a program of a Driver that copies are made of: they run Main from its
// beginning, with Proc.Copy.
type template struct {
	driver  *Driver
	box     *box
	owner   aws.AccountID
	codeDir string
}

// Template implements sandbox.Templater.
func (d *Driver) Template(_ context.Context, s sandbox.Sandbox) (sandbox.Template, error) {
	b, ok := s.(*box)
	if !ok {
		return nil, fmt.Errorf("workertest: %T is no sandbox of mine", s)
	}
	if d.TemplateErr != nil {
		if err := d.TemplateErr(); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	spec := b.prog.spec
	b.mu.Unlock()
	if !spec.Template {
		return nil, fmt.Errorf("workertest: not started to be a template: %w", sandbox.ErrUnsupported)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.templates++
	return &template{driver: d, box: b, owner: spec.Owner, codeDir: spec.CodeDir}, nil
}

// Park implements sandbox.Template.
func (t *template) Park(ctx context.Context, id sandbox.ID) (sandbox.Sandbox, error) {
	s, err := t.driver.Park(ctx, sandbox.ParkSpec{ID: id})
	if err != nil {
		return nil, err
	}
	s.(*box).copy = t
	t.driver.mu.Lock()
	defer t.driver.mu.Unlock()
	t.driver.copies++
	return s, nil
}

// MemoryBytes implements sandbox.Template.
func (t *template) MemoryBytes() int64 { return 30 << 20 }

// Close implements sandbox.Template.
func (t *template) Close() error {
	t.driver.mu.Lock()
	t.driver.templates--
	t.driver.mu.Unlock()
	return t.box.Destroy(context.Background())
}

// passGates waits where lambdad's runtime clients do, and takes on what it is told there.
func (c *Client) passGates(p *Proc) error {
	at := func(name string) bool {
		return !p.Copy && slices.ContainsFunc(p.Spec.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if at("_LAMBDAD_WAIT") {
		if err := c.pass(p, "/2018-06-01/lambdad/start"); err != nil {
			return err
		}
	}
	if p.Copy || at("_LAMBDAD_TEMPLATE") {
		return c.pass(p, "/2018-06-01/runtime/restore/next")
	}
	return nil
}

func (c *Client) pass(p *Proc, gate string) error {
	if _, err := io.WriteString(c.conn, "GET "+gate+" HTTP/1.1\r\nHost: r\r\n\r\n"); err != nil {
		return err
	}
	_, body, status, err := c.read()
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", gate, status, body)
	}
	var told struct {
		Environment map[string]string `json:"environment"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return err
	}
	p.Spec.Env = nil
	for name, value := range told.Environment {
		p.Spec.Env = append(p.Spec.Env, name+"="+value)
	}
	slices.Sort(p.Spec.Env)
	return nil
}
