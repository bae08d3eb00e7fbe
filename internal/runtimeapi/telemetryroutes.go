package runtimeapi

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/lambdad/lambdad/internal/runtimeapi/telemetryapi"
)

// Paths of the Telemetry and the Logs API. The guide writes the first with a slash at its end and
// without.
const (
	pathTelemetry = "/2022-07-01/telemetry"
	pathLogs      = "/2020-08-15/logs"
)

// Telemetry answers subscriptions of registered extensions.
type Telemetry interface {
	Subscribe(api telemetryapi.API, extension string, body []byte) (status int, answer []byte)
}

var telemetryTooLarge = errorAnswer("413 Request Entity Too Large", "Exceeded maximum allowed payload size ("+strconv.Itoa(telemetryapi.BodyMax)+" bytes).", "RequestEntityTooLarge")

// SetTelemetry says who answers subscriptions. Without it there are none of the two APIs.
func (s *Session) SetTelemetry(t Telemetry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telemetry = t
}

// telemetryPath tells which API a path is of.
func telemetryPath(path []byte) (api telemetryapi.API, ok bool) {
	switch string(bytes.TrimSuffix(path, []byte("/"))) {
	case pathTelemetry:
		return telemetryapi.Telemetry, true
	case pathLogs:
		return telemetryapi.Logs, true
	}
	return 0, false
}

// subscribe is PUT telemetry and PUT logs. Source of the refusals and their order: AWS's published
// runtime interface code.
func (c *conn) subscribe(api telemetryapi.API) bool {
	c.s.mu.Lock()
	c.extension = true
	telemetry := c.s.telemetry
	c.s.mu.Unlock()
	switch {
	case telemetry == nil:
		return c.refuse(notFound)
	case string(c.head.method) != "PUT":
		return c.refuse(methodNotAllowed)
	}
	id, ok, on := c.extensionID()
	if !ok {
		return on
	}
	name, ok := c.s.extensionNamed(bytes.ToLower(id))
	if !ok {
		return c.refuse(extensionRefusal(errorUnknownIdentifier, "Unknown extension "+string(id)))
	}
	b, err := c.readBody(telemetryapi.BodyMax, registerTimeMax)
	if errors.Is(err, errBodyTooLarge) {
		return c.refuse(telemetryTooLarge)
	}
	if err != nil {
		if isProtocolError(err) {
			c.write(badRequest)
		}
		return false
	}
	status, body := telemetry.Subscribe(api, name, b.data)
	answer := jsonAnswer(strconv.Itoa(status)+" "+http.StatusText(status), string(body))
	if status != http.StatusOK {
		return c.refuseRead(answer)
	}
	return c.write(answer)
}
