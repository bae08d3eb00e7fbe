// Package script tells user stories through lambdad's own command line, as text files.
package script

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lambdad/lambdad/test/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

func TestScripts(t *testing.T) {
	bin := filepath.Dir(house.Binary(t))
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("ADDR", house.FreeAddress(t))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
	})
}

// ready ADDR waits until a lambdad answers there.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready ADDR")
	}
	for range 300 {
		response, err := http.Get("http://" + args[0] + "/_lambdad/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("nothing is ready at %s", args[0])
}
