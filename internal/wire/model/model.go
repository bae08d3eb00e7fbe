package model

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
)

// Model is one service as AWS describes it.
type Model struct {
	Metadata   Metadata              `json:"metadata"`
	Operations map[string]*Operation `json:"operations"`
	Shapes     map[string]*Shape     `json:"shapes"`
}

// Metadata names the service and the protocols it speaks.
type Metadata struct {
	APIVersion     string          `json:"apiVersion"`
	EndpointPrefix string          `json:"endpointPrefix"`
	JSONVersion    string          `json:"jsonVersion"`
	Protocol       string          `json:"protocol"`
	Protocols      []string        `json:"protocols"`
	ServiceID      string          `json:"serviceId"`
	SigningName    string          `json:"signingName"`
	TargetPrefix   string          `json:"targetPrefix"`
	XMLNamespace   json.RawMessage `json:"xmlNamespace"`
	// QueryCompatible is present (and an empty object) where error codes of the
	// former query protocol are told beside those of the present one.
	QueryCompatible *struct{} `json:"awsQueryCompatible"`
}

// Operation is one call of the service.
type Operation struct {
	Name     string `json:"name"`
	HTTP     HTTP   `json:"http"`
	Input    *Ref   `json:"input"`
	Output   *Ref   `json:"output"`
	Errors   []Ref  `json:"errors"`
	AuthType string `json:"authtype"`
	// Auth lists the authentication schemes, e.g. "smithy.api#noAuth".
	Auth        []string `json:"auth"`
	Endpoint    Endpoint `json:"endpoint"`
	Compression struct {
		Encodings []string `json:"encodings"`
	} `json:"requestcompression"`
}

// Endpoint carries the host prefix some operations are called under.
type Endpoint struct {
	HostPrefix string `json:"hostPrefix"`
}

// HTTP is the binding of an operation to HTTP.
type HTTP struct {
	Method       string `json:"method"`
	RequestURI   string `json:"requestUri"`
	ResponseCode int    `json:"responseCode"`
}

// Shape is a type of the model.
type Shape struct {
	Type     string   `json:"type"`
	Required []string `json:"required"`
	Members  Members  `json:"members"`
	Member   *Ref     `json:"member"` // of a list
	Key      *Ref     `json:"key"`    // of a map
	Value    *Ref     `json:"value"`  // of a map

	Enum []string `json:"enum"`
	// EnumOpen is set by an override: other values are accepted.
	EnumOpen bool `json:"-"`
	// EnumOrder is set by an override: the order that messages list values in.
	EnumOrder []string `json:"-"`

	Min     *float64 `json:"min"`
	Max     *float64 `json:"max"`
	Pattern string   `json:"pattern"`
	// UniqueItems is no trait of botocore's dialect; test models use it.
	UniqueItems bool `json:"uniqueItems"`

	Payload         string        `json:"payload"`
	Flattened       bool          `json:"flattened"`
	Streaming       bool          `json:"streaming"`
	EventStream     bool          `json:"eventstream"`
	Union           bool          `json:"union"`
	Document        bool          `json:"document"`
	Sparse          bool          `json:"sparse"`
	Sensitive       bool          `json:"sensitive"`
	TimestampFormat string        `json:"timestampFormat"`
	LocationName    string        `json:"locationName"`
	XMLNamespace    *XMLNamespace `json:"xmlNamespace"`

	Exception bool       `json:"exception"`
	Fault     bool       `json:"fault"`
	Error     *ErrorInfo `json:"error"`
}

// ErrorInfo is the wire form of an error shape.
type ErrorInfo struct {
	Code           string `json:"code"`
	HTTPStatusCode int    `json:"httpStatusCode"`
	SenderFault    bool   `json:"senderFault"`
	Fault          bool   `json:"fault"`
}

// Ref is the use of a shape: as a member, an element, an input or an output.
type Ref struct {
	Shape           string        `json:"shape"`
	Location        string        `json:"location"`
	LocationName    string        `json:"locationName"`
	QueryName       string        `json:"queryName"`
	TimestampFormat string        `json:"timestampFormat"`
	ResultWrapper   string        `json:"resultWrapper"`
	Flattened       bool          `json:"flattened"`
	Streaming       bool          `json:"streaming"`
	EventStream     bool          `json:"eventstream"`
	EventPayload    bool          `json:"eventpayload"`
	EventHeader     bool          `json:"eventheader"`
	JSONValue       bool          `json:"jsonvalue"`
	XMLAttribute    bool          `json:"xmlAttribute"`
	HostLabel       bool          `json:"hostLabel"`
	Idempotency     bool          `json:"idempotencyToken"`
	Box             bool          `json:"box"`
	XMLNamespace    *XMLNamespace `json:"xmlNamespace"`
}

// XMLNamespace is the namespace of an element. The dialect writes it as an
// object or as the bare address.
type XMLNamespace struct {
	URI    string
	Prefix string
}

// UnmarshalJSON accepts both spellings.
func (n *XMLNamespace) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &n.URI)
	}
	var object struct {
		URI    string `json:"uri"`
		Prefix string `json:"prefix"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	n.URI, n.Prefix = object.URI, object.Prefix
	return nil
}

// Parse reads a model and checks that every shape it names exists.
func Parse(data []byte) (*Model, error) {
	m := new(Model)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("parse service model: %w", err)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// Load reads a model from a file.
func Load(path string) (*Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load service model: %w", err)
	}
	m, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Namespace is the XML namespace of the service's answers, "" without one.
func (m *Metadata) Namespace() string {
	var n XMLNamespace
	if len(m.XMLNamespace) == 0 || n.UnmarshalJSON(m.XMLNamespace) != nil {
		return ""
	}
	return n.URI
}

// OperationNames lists the operations in order of name.
func (m *Model) OperationNames() []string { return sortedKeys(m.Operations) }

// ShapeNames lists the shapes in order of name.
func (m *Model) ShapeNames() []string { return sortedKeys(m.Shapes) }

func (m *Model) check() error {
	ref := func(where string, r *Ref) error {
		if r == nil {
			return nil
		}
		if _, ok := m.Shapes[r.Shape]; !ok {
			return fmt.Errorf("service model: %s names the unknown shape %q", where, r.Shape)
		}
		return nil
	}
	for name, shape := range m.Shapes {
		for _, r := range []*Ref{shape.Member, shape.Key, shape.Value} {
			if err := ref(name, r); err != nil {
				return err
			}
		}
		for i := range shape.Members {
			if err := ref(name, &shape.Members[i].Ref); err != nil {
				return err
			}
		}
	}
	for name, op := range m.Operations {
		if op.Name == "" {
			op.Name = name
		}
		for _, r := range []*Ref{op.Input, op.Output} {
			if err := ref(name, r); err != nil {
				return err
			}
		}
		for i := range op.Errors {
			if err := ref(name, &op.Errors[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
