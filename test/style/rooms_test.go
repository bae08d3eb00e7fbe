// Package style holds the tests of the house itself: who may import whom, and
// what a file may look like. It must never import a room, so that a broken room
// cannot hide a broken rule.
package style

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const (
	module = "github.com/lambdad/lambdad"
	house  = module + "/internal/"
)

// room is one row of the table in the design: what a room may import of the others.
type room struct {
	name   string
	level  int
	except map[string]string // same-level room it may import -> reason
	never  map[string]string // lower room it must not import -> reason
}

// rooms are read level by level: a room may import every room of a lower level
// and its own sub-packages, but for the exceptions named here.
var rooms = []room{
	{name: "aws", level: 0},
	{name: "wire", level: 1, never: nil},
	{name: "store", level: 1},
	{name: "telemetry", level: 1, except: map[string]string{"store": "log groups and events are records at rest"}},
	{name: "record", level: 1, except: map[string]string{"store": "it is the typed form of what the store holds"}},
	{name: "api", level: 2},
	{name: "iam", level: 2},
	{name: "artifact", level: 2},
	{name: "sandbox", level: 2, never: map[string]string{
		"store": "a driver's state is the host's own; records belong to whoever decides",
		"wire":  "a driver knows no protocol",
	}},
	{name: "runtimeapi", level: 2, never: map[string]string{
		"store": "it answers the code in one sandbox and remembers nothing",
		"wire":  "the Runtime API is not an AWS service protocol",
	}},
	{name: "worker", level: 3, never: map[string]string{
		"api": "below frontend nobody knows an AWS wire shape",
		"iam": "credentials come through a door",
	}},
	{name: "control", level: 3, never: map[string]string{
		"sandbox":    "control starts nothing",
		"runtimeapi": "control starts nothing",
	}},
	{name: "services", level: 3, never: map[string]string{
		"sandbox":    "a neighbour service starts nothing",
		"runtimeapi": "a neighbour service starts nothing",
	}},
	{name: "assignment", level: 4, never: map[string]string{
		"control": "control never meets data: they share records",
		"api":     "below frontend nobody knows an AWS wire shape",
		"sandbox": "above worker nobody names a sandbox",
	}},
	{name: "frontend", level: 5, never: map[string]string{
		"control": "control never meets data: they share records",
		"sandbox": "above worker nobody names a sandbox",
	}},
	{name: "gateway", level: 6, never: map[string]string{
		"control": "control never meets data: they share records",
		"sandbox": "above worker nobody names a sandbox",
	}},
	{name: "poller", level: 6, never: map[string]string{
		"control": "control never meets data: they share records",
		"sandbox": "above worker nobody names a sandbox",
	}},
	{name: "node", level: 7},
}

// driverDoor is the one package above the drivers that may name them.
const driverDoor = house + "node"

func TestRooms(t *testing.T) {
	byName := map[string]room{}
	for _, r := range rooms {
		byName[r.name] = r
	}
	for _, p := range listPackages(t) {
		if !strings.HasPrefix(p.ImportPath, house) {
			continue
		}
		from, ok := byName[roomOf(p.ImportPath)]
		if !ok {
			t.Errorf("%s: no such room in the table; give it a row with its level", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, house) {
				if from.name == "aws" && strings.Contains(imp, ".") {
					t.Errorf("%s imports %s: aws imports the standard library only", p.ImportPath, imp)
				}
				continue
			}
			to, ok := byName[roomOf(imp)]
			if !ok {
				t.Errorf("%s imports %s, which has no row in the table", p.ImportPath, imp)
				continue
			}
			if to.name == from.name {
				continue
			}
			if reason, banned := from.never[to.name]; banned {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, reason)
				continue
			}
			if to.level < from.level {
				continue
			}
			if _, allowed := from.except[to.name]; allowed && to.level == from.level {
				continue
			}
			t.Errorf("%s (level %d) imports %s (level %d): imports go downwards only", p.ImportPath, from.level, imp, to.level)
		}
	}
}

// TestDriversAreNamedByNodeOnly holds the second law.
func TestDriversAreNamedByNodeOnly(t *testing.T) {
	drivers := []string{"container", "gvisor", "microvm"}
	for _, p := range listPackages(t) {
		if roomOf(p.ImportPath) == "sandbox" || p.ImportPath == driverDoor || !strings.HasPrefix(p.ImportPath, house) {
			continue
		}
		for _, imp := range p.Imports {
			for _, d := range drivers {
				if imp == house+"sandbox/"+d {
					t.Errorf("%s imports the driver %s: only node names a driver", p.ImportPath, d)
				}
			}
		}
	}
}

// TestServicesDoNotMeet keeps control/<a> from control/<b>: a resource of
// another service is read from its records, or through a door.
func TestServicesDoNotMeet(t *testing.T) {
	for _, p := range listPackages(t) {
		rest, ok := strings.CutPrefix(p.ImportPath, house+"control/")
		if !ok {
			continue
		}
		service, _, _ := strings.Cut(rest, "/")
		for _, imp := range p.Imports {
			other, ok := strings.CutPrefix(imp, house+"control/")
			if ok && !strings.HasPrefix(other+"/", service+"/") {
				t.Errorf("%s imports %s: services do not meet", p.ImportPath, imp)
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	for _, p := range listPackages(t) {
		if strings.HasPrefix(p.ImportPath, house+"api/") || strings.Contains(p.ImportPath, "/testdata/") {
			continue
		}
		if strings.HasPrefix(p.ImportPath, module+"/internal/") && p.Doc == "" {
			t.Errorf("%s has no package comment: say what it owns and what it must never import", p.ImportPath)
		}
	}
}

func roomOf(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, house)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return path.Clean(name)
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Doc,Imports", module+"/...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
