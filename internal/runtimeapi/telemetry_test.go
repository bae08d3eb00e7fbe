package runtimeapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/runtimeapi/telemetryapi"
)

// told is a Telemetry that answers with what it was asked.
type told struct{ status int }

func (t told) Subscribe(api telemetryapi.API, extension string, body []byte) (int, []byte) {
	return t.status, fmt.Appendf(nil, "%d %s %s", api, extension, body)
}

func (p *peer) put(path, id, body string) (status int, answer string) {
	p.t.Helper()
	field := ""
	if id != "" {
		field = "Lambda-Extension-Identifier: " + id + "\r\n"
	}
	p.send("PUT %s HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, field, len(body), body)
	res, answer := p.read()
	return res.StatusCode, strings.TrimSuffix(answer, "\n")
}

func TestSubscribe(t *testing.T) {
	s, addr := serveWith(t, Options{Function: aFunction, External: []string{"ext"}})
	p := dial(t, addr)
	id := p.register("ext", `["INVOKE"]`)
	if status, body := p.put(pathTelemetry, id, "{}"); status != 404 {
		t.Error("without anybody who answers: ", status, body)
	}
	s.SetTelemetry(told{200})
	const unknown = "01234567-89ab-4def-8123-456789abcdef"
	for _, c := range []struct {
		path, id, body string
		status         int
		want           string
	}{
		{pathTelemetry, id, "{}", 200, "0 ext {}"},
		{pathTelemetry + "/", strings.ToUpper(id), "{}", 200, "0 ext {}"},
		{pathLogs, id, "", 200, "1 ext "},
		{pathTelemetry, "", "{}", 403, `{"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`},
		{pathTelemetry, "x", "{}", 403, `{"errorMessage":"Invalid Lambda-Extension-Identifier","errorType":"Extension.InvalidExtensionIdentifier"}`},
		{pathLogs, unknown, "{}", 403, `{"errorMessage":"Unknown extension ` + unknown + `","errorType":"Extension.UnknownExtensionIdentifier"}`},
		{pathTelemetry, id, strings.Repeat("x", telemetryapi.BodyMax+1), 413, `{"errorMessage":"Exceeded maximum allowed payload size (65536 bytes).","errorType":"RequestEntityTooLarge"}`},
		{"/2022-07-01/logs", id, "{}", 404, "404 page not found"},
	} {
		if status, answer := p.put(c.path, c.id, c.body); status != c.status || answer != c.want {
			t.Errorf("%s %s: %d %s", c.path, c.id, status, answer)
		}
	}
	p.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathTelemetry)
	if res, body := p.read(); res.StatusCode != 405 {
		t.Error(res.Status, body)
	}
	for _, status := range []int{202, 400, 403} {
		s.SetTelemetry(told{status})
		if got, answer := p.put(pathTelemetry, id, "{}"); got != status || answer != "0 ext {}" {
			t.Error(got, answer)
		}
	}
}
