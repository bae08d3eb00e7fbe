package story

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// TestBill invokes, kills lambdad with SIGKILL, and finds every invoke on the bill: of a server
// that runs, and of the data folder alone.
func TestBill(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	const code = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n    return 'x' * 100\n"
	blue := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("blue"), MemorySize: aws.Int32(256), Tags: map[string]string{"team": "blue"}}, map[string]string{"app.py": code})
	plain := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("plain")}, map[string]string{"app.py": code})
	for range 3 {
		c.Invoke(blue, "{}")
	}
	c.Invoke(plain, `{"fail":true}`)

	bill := func(args ...string) string {
		t.Helper()
		cmd := h.Command(context.Background(), house.Binary(t), append([]string{"bill", "--data", h.Data, "--listen", strings.TrimPrefix(h.Endpoint, "http://")}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("bill: %v\n%s", err, out)
		}
		return string(out)
	}
	rows := func(args ...string) map[string]map[string]string {
		t.Helper()
		all, err := csv.NewReader(strings.NewReader(bill(append(args, "--format", "csv")...))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]map[string]string{}
		for _, row := range all[1:] {
			byName[row[0]] = map[string]string{}
			for i, name := range all[0] {
				byName[row[0]][name] = row[i]
			}
		}
		return byName
	}
	check := func(when string) {
		t.Helper()
		byTag := rows("--by", "tag=team")
		if b := byTag["blue"]; b["requests"] != "3" || b["errors"] != "0" || b["inits"] == "0" || b["bytes_out"] != "306" || b["cost_requests"] != "0.0000006000" {
			t.Errorf("%s: blue: %v", when, b)
		}
		if u := byTag["(untagged)"]; u["requests"] != "1" || u["errors"] != "1" {
			t.Errorf("%s: untagged: %v", when, u)
		}
		if total := rows("--by", "account")["total"]; total["requests"] != "4" || total["peak_memory_mib"] == "0" {
			t.Errorf("%s: total: %v", when, total)
		}
	}
	check("while it runs")
	var sheet struct {
		Total    map[string]string
		AlwaysOn struct {
			PeakRunning int
			Server      string
		}
	}
	if err := json.Unmarshal([]byte(bill("--format", "json")), &sheet); err != nil || sheet.AlwaysOn.PeakRunning != 1 || sheet.AlwaysOn.Server == "" {
		t.Errorf("%+v: %v", sheet, err)
	}
	if text := bill(); !strings.Contains(text, "000000000000:us-east-1:blue") || !strings.Contains(text, "runs all the time") {
		t.Errorf("as text:\n%s", text)
	}

	// What was told to a client of the usage is on disk; what comes after it, a second later.
	c.Invoke(plain, "{}")
	time.Sleep(1500 * time.Millisecond) // the bound that metering promises, and what a slow disk adds
	h.Kill()
	check2 := rows("--by", "function")
	if p := check2["000000000000:us-east-1:plain"]; p["requests"] != "2" {
		t.Errorf("after SIGKILL, read from the folder: %v", check2)
	}
	h.Run()
	c = c.Again(h)
	if p := rows("--by", "function")["000000000000:us-east-1:plain"]; p["requests"] != "2" {
		t.Errorf("after SIGKILL and a restart: %v", p)
	}
	c.Invoke(plain, "{}")
	h.Stop()
	if p := rows("--by", "function")["000000000000:us-east-1:plain"]; p["requests"] != "3" {
		t.Errorf("after an orderly stop: %v", p)
	}

	h.Run()
	for _, by := range []string{"account", "function", "version", "tenant", "tag=team"} {
		if total := rows("--by", by)["total"]; total["requests"] != "6" {
			t.Errorf("by %s: %v", by, total)
		}
		var same struct{ Total map[string]string }
		if err := json.Unmarshal([]byte(bill("--by", by, "--format", "json")), &same); err != nil || same.Total["requests"] != "6" {
			t.Errorf("by %s, as JSON: %v: %v", by, same, err)
		}
		if text := bill("--by", by); !strings.Contains(text, "\n"+by) && !strings.Contains(text, " "+by+" ") {
			t.Errorf("by %s, as text:\n%s", by, text)
		}
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for _, span := range [][]string{
		{"--from", today.AddDate(0, 0, -1).Format(time.DateOnly), "--to", today.AddDate(0, 0, 2).Format(time.DateOnly)},
		{"--from", today.AddDate(0, 0, -1).Format(time.RFC3339)},
		{"--from", today.AddDate(0, -2, 0).Format(time.DateOnly), "--by", "account"},
	} {
		if total := rows(span...)["total"]; total["requests"] != "6" {
			t.Errorf("%v: %v", span, total)
		}
	}
	for want, args := range map[string][]string{
		`--by is "team"`:      {"--by", "team"},
		`--format is "xml"`:   {"--format", "xml"},
		`--from is "tuesday"`: {"--from", "tuesday"},
		"is not before --to":  {"--from", "2026-02-01", "--to", "2026-01-01"},
		"price table":         {"--prices", "/nonexistent.json"},
	} {
		out, err := h.Command(context.Background(), house.Binary(t), append([]string{"bill", "--data", h.Data, "--listen", strings.TrimPrefix(h.Endpoint, "http://")}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}

	// A year that had no invokes, and who may not ask.
	if total := rows("--from", "2020-01-01", "--to", "2021-01-01")["total"]; total["requests"] != "0" || total["cost"] != "0.0000000000" {
		t.Errorf("2020: %v", total)
	}
	response, err := http.Get(h.Endpoint + "/_lambdad/usage")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned: %s", response.Status)
	}
}
