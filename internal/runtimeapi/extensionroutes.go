package runtimeapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

const (
	extensionPrefix = "/2020-01-01/extension/"
	// registerBytesMax bounds the body of a registration: a list of two names.
	registerBytesMax = 64 << 10
	// registerTimeMax bounds how long it may take to come.
	registerTimeMax = 10 * time.Second
)

// Events of extensions. Source: Lambda developer guide, "Lambda extensions API".
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// Why an environment ends, as SHUTDOWN tells it. Source: as above.
const (
	ShutdownSpindown = "spindown"
	ShutdownTimeout  = "timeout"
	ShutdownFailure  = "failure"
)

// Types of refusals. Source, with the messages below: AWS's published runtime interface code.
const (
	errorInvalidName       = "Extension.InvalidExtensionName"
	errorClosed            = "Extension.RegistrationClosed"
	errorUnknownIdentifier = "Extension.UnknownExtensionIdentifier"
	errorMissingIdentifier = "Extension.MissingExtensionIdentifier"
	errorInvalidIdentifier = "Extension.InvalidExtensionIdentifier"
	errorInvalidState      = "Extension.InvalidExtensionState"
	errorMissingHeader     = "Extension.MissingHeader"
	errorTooMany           = "Extension.TooManyExtensions"
	errorInvalidEventType  = "Extension.InvalidEventType"
	errorInvalidFormat     = "InvalidRequestFormat"
)

var (
	emptyExtensionName         = extensionRefusal(errorInvalidName, "Empty extension name")
	registrationClosed         = extensionRefusal(errorClosed, "Extension registration closed already")
	extensionRegisteredAlready = extensionRefusal(errorInvalidState, "Extension with this name already registered")
	tooManyExtensions          = extensionRefusal(errorTooMany, "Extension limit ("+strconv.Itoa(ExtensionsMax)+") reached")
	missingIdentifier          = extensionRefusal(errorMissingIdentifier, "Missing Lambda-Extension-Identifier header")
	invalidIdentifier          = extensionRefusal(errorInvalidIdentifier, "Invalid Lambda-Extension-Identifier")
	missingErrorType           = extensionRefusal(errorMissingHeader, "Lambda-Extension-Function-Error-Type not found")
	registerTooLarge           = errorAnswer("413 Request Entity Too Large", "Exceeded maximum allowed payload size ("+strconv.Itoa(registerBytesMax)+" bytes).", "RequestEntityTooLarge")
)

// extensionRefusal is an answer with a message that may hold anything.
func extensionRefusal(errorType, message string) []byte {
	b, err := json.Marshal(struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}{message, errorType})
	if err != nil {
		panic("runtimeapi: two strings that cannot be JSON: " + err.Error())
	}
	return jsonAnswer("403 Forbidden", string(b))
}

// invalidExtensionState names the extension as AWS does: by its name when it registers, else
// by its identifier.
func invalidExtensionState(from, to, who string) []byte {
	return extensionRefusal(errorInvalidState, "State transition from "+from+" to "+to+" failed for extension "+who+". Error: State transition is not allowed")
}

// extensionRoute answers a request of the Extensions API.
func (c *conn) extensionRoute(rest []byte) bool {
	c.s.mu.Lock()
	c.extension = true
	c.s.mu.Unlock()
	get, post := string(c.head.method) == "GET", string(c.head.method) == "POST"
	switch string(rest) {
	case "register":
		if !post {
			return c.refuse(methodNotAllowed)
		}
		return c.register()
	case "event/next":
		if !get {
			return c.refuse(methodNotAllowed)
		}
		return c.nextEvent()
	case "init/error", "exit/error":
		if !post {
			return c.refuse(methodNotAllowed)
		}
		to := extensionInitError
		if string(rest) == "exit/error" {
			to = extensionExitError
		}
		return c.extensionError(to)
	}
	return c.refuse(notFound)
}

// registration is what a register request asks for.
type registration struct {
	Events            []string `json:"events"`
	ConfigurationKeys []string `json:"configurationKeys"`
}

// decodeRegistration reads the body of a register request. refusal is the answer to a bad one.
func decodeRegistration(body []byte) (invoke, shutdown bool, refusal []byte) {
	var r registration
	if err := json.Unmarshal(body, &r); err != nil {
		return false, false, extensionRefusal(errorInvalidFormat, err.Error())
	}
	if len(r.ConfigurationKeys) > 0 {
		return false, false, extensionRefusal(errorInvalidFormat, "configurationKeys are deprecated; use environment variables instead")
	}
	for _, event := range r.Events {
		switch event {
		case eventInvoke:
			invoke = true
		case eventShutdown:
			shutdown = true
		default:
			return false, false, extensionRefusal(errorInvalidEventType, event+": ErrorInvalidEventType")
		}
	}
	return invoke, shutdown, nil
}

// wantsAccount reports whether the features that an extension accepts have the account's id.
func wantsAccount(features []byte) bool {
	for feature := range bytes.SplitSeq(features, []byte(",")) {
		if string(bytes.TrimSpace(feature)) == "accountId" {
			return true
		}
	}
	return false
}

func (c *conn) register() bool {
	if len(c.head.extension.name) == 0 {
		return c.refuse(emptyExtensionName)
	}
	// Copied before the body is read over them.
	name, account := string(c.head.extension.name), wantsAccount(c.head.extension.features)
	b, err := c.readBody(registerBytesMax, registerTimeMax)
	if errors.Is(err, errBodyTooLarge) {
		return c.refuse(registerTooLarge)
	}
	if err != nil {
		if isProtocolError(err) {
			c.write(badRequest)
		}
		return false
	}
	invoke, shutdown, refusal := decodeRegistration(b.data)
	if refusal != nil {
		return c.refuseRead(refusal)
	}
	id, f, refusal := c.s.register(name, invoke, shutdown)
	if refusal != nil {
		return c.refuseRead(refusal)
	}
	return c.write(registered(id, f, account))
}

// refuseRead is refuse for a request whose body was read.
func (c *conn) refuseRead(answer []byte) bool {
	c.head.length, c.head.chunked = 0, false
	return c.refuse(answer)
}

func registered(id aws.RequestID, f Function, account bool) []byte {
	answer := struct {
		FunctionName    string        `json:"functionName"`
		FunctionVersion string        `json:"functionVersion"`
		Handler         string        `json:"handler"`
		AccountID       aws.AccountID `json:"accountId,omitempty"`
	}{f.Name, f.Version, f.Handler, ""}
	if account {
		answer.AccountID = f.Account
	}
	b, err := json.Marshal(answer)
	if err != nil {
		panic("runtimeapi: a registration that cannot be JSON: " + err.Error())
	}
	return withField(jsonAnswer("200 OK", string(b)), "Lambda-Extension-Identifier", string(id))
}

// extensionID is the identifier that a request carries. It reports false after it has answered
// one without, and then whether the connection can be used on.
func (c *conn) extensionID() (id []byte, ok, on bool) {
	id = c.head.extension.id
	switch {
	case len(id) == 0:
		return nil, false, c.refuse(missingIdentifier)
	case !isUUID(id):
		return nil, false, c.refuse(invalidIdentifier)
	}
	return id, true, true
}

// isUUID reports whether b has the form of a UUID.
func isUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, d := range b {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if d != '-' {
				return false
			}
		} else if ('0' > d || d > '9') && ('a' > d || d > 'f') && ('A' > d || d > 'F') {
			return false
		}
	}
	return true
}

func (c *conn) nextEvent() bool {
	id, ok, on := c.extensionID()
	if !ok {
		return on
	}
	id = bytes.ToLower(id)
	if !c.discardBody(refusedTimeMax) {
		return false
	}
	// Set before anything can deliver: out belongs to the writer from now on.
	c.waiting = true
	event, refusal := c.s.nextEvent(c, id)
	if event == nil && refusal == nil {
		return true
	}
	c.waiting = false
	if refusal != nil {
		return c.refuseRead(refusal)
	}
	return c.writeEvent(event) == nil
}

// extensionError is POST init/error and exit/error. What the body tells is for nobody: AWS reads
// the header alone.
func (c *conn) extensionError(to extensionState) bool {
	id, ok, on := c.extensionID()
	if !ok {
		return on
	}
	id = bytes.ToLower(id)
	errorType := string(c.head.extension.errorType)
	if errorType == "" {
		return c.refuse(missingErrorType)
	}
	if !c.discardBody(refusedTimeMax) {
		return false
	}
	answer := c.s.extensionError(id, errorType, to)
	if &answer[0] != &statusAccepted[0] {
		return c.refuseRead(answer)
	}
	return c.write(answer)
}
