package shape

// Kind is the type of a value on the wire.
type Kind uint8

const (
	KindStructure Kind = iota + 1
	KindList
	KindMap
	KindString
	KindBoolean
	KindByte    // 8 bits, signed
	KindShort   // 16 bits
	KindInteger // 32 bits
	KindLong    // 64 bits
	KindFloat   // 32 bits
	KindDouble  // 64 bits
	KindBlob
	KindTimestamp
	KindDocument // any JSON value
)

var kindNames = [...]string{
	KindStructure: "structure", KindList: "list", KindMap: "map", KindString: "string", KindBoolean: "boolean",
	KindByte: "byte", KindShort: "short", KindInteger: "integer", KindLong: "long", KindFloat: "float", KindDouble: "double", KindBlob: "blob",
	KindTimestamp: "timestamp", KindDocument: "document",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Location is the place of a member in a message. Protocols without HTTP
// bindings ignore it.
type Location uint8

const (
	LocationBody         Location = iota
	LocationHeader                // one header
	LocationHeaders               // a map: every header that begins with the name
	LocationQuery                 // one query parameter, or every one for a map
	LocationURI                   // a label of the path
	LocationStatusCode            // the status of the answer
	LocationPayload               // the whole body
	LocationEventHeader           // a header of an event in a stream
	LocationEventPayload          // the whole payload of such an event
)

// TimestampFormat is how a time is written.
type TimestampFormat uint8

const (
	// TimestampDefault leaves the choice to the protocol and the location.
	TimestampDefault TimestampFormat = iota
	TimestampISO8601
	TimestampRFC822
	TimestampUnix
)

// Member describes one member of a structure, or the elements of a list, or the
// keys or values of a map. Members are static data: never changed after they
// were made.
type Member struct {
	// Name is the model's name, e.g. "FunctionName". For elements it is "member"
	// and for a map's parts "key" and "value".
	Name string
	// WireName is the locationName where the model gives one, else Name.
	WireName string
	// FormName is the name in the query protocol, where the service has spoken it
	// with other names before it had another protocol; else "".
	FormName string
	// Shape is the name of the shape that the member has.
	Shape    string
	Kind     Kind
	Location Location
	Time     TimestampFormat

	Required bool
	// Sparse lists and maps keep null elements.
	Sparse     bool
	Flattened  bool
	Attribute  bool // an XML attribute
	JSONValue  bool // a string that is JSON inside
	Streaming  bool
	Event      bool // an event stream
	Union      bool // a structure of which one member is set
	Idempotent bool
	Sensitive  bool // its value is never shown

	Namespace       string
	NamespacePrefix string
	// ElementName is the name of the structure as the root of an XML payload.
	ElementName string

	Limits  *Limits
	Element *Member // of a list
	Key     *Member // of a map
	Value   *Member // of a map
}

// Schema describes a structure.
type Schema struct {
	Name    string
	Members []Member
	// Payload is the index of the member that is the whole body, -1 without one.
	Payload int
	// HasBody tells whether any member is in the body (or is the payload).
	HasBody bool
	Union   bool

	ElementName     string // the structure's own XML name
	Namespace       string
	NamespacePrefix string

	// Error is set for error shapes.
	Error *ErrorTrait
}

// ErrorTrait is the wire form of an error shape.
type ErrorTrait struct {
	Code   string // e.g. "NoSuchEntity" of NoSuchEntityException
	Status int
	Sender bool // the client's fault
	// QueryCode is the code in the former query protocol, where it differs.
	QueryCode string
}

// Limits are the constraints of a shape. They are checked by package constraint.
type Limits struct {
	// Min and Max bound a length or a value, where Has tells that they are set.
	Min, Max       float64
	HasMin, HasMax bool
	Pattern        *Pattern
	Enum           []string
	// Unique lists have no two equal elements.
	Unique bool
}

// XMLName is the name in forms and in XML.
func (m *Member) XMLName() string {
	if m.FormName != "" {
		return m.FormName
	}
	return m.WireName
}

// ByWireName finds a member in a body by its name on the wire, -1 when unknown.
func (s *Schema) ByWireName(name string) int {
	for i := range s.Members {
		if s.Members[i].WireName == name {
			return i
		}
	}
	return -1
}
