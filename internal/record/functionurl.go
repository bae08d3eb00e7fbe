package record

import "time"

// FunctionURL is an HTTP endpoint of a function or of an alias. Its key is the function with
// Latest, or with the alias.
type FunctionURL struct {
	ID         string    `json:"id"`             // the host's first label
	AuthType   string    `json:"auth"`           // "NONE" or "AWS_IAM"
	InvokeMode string    `json:"mode,omitempty"` // "BUFFERED", "RESPONSE_STREAM", or "" where none was asked for
	Cors       *Cors     `json:"cors,omitempty"`
	Created    time.Time `json:"at"`
	Modified   time.Time `json:"mod"`
}

// Cors is what browsers on other sites may do.
type Cors struct {
	AllowCredentials bool     `json:"cred,omitempty"`
	AllowHeaders     []string `json:"hdr,omitempty"`
	AllowMethods     []string `json:"met,omitempty"`
	AllowOrigins     []string `json:"org,omitempty"`
	ExposeHeaders    []string `json:"exp,omitempty"`
	MaxAgeS          *int32   `json:"age,omitempty"`
}

// FunctionURLs are kept in this form.
var FunctionURLs = QualifiedKind[FunctionURL]("url", 1)

// FunctionURLPath begins the path of a function's URL on machines without names for it; the id
// follows, and the path that the function sees.
const FunctionURLPath = "/_lambdad/url/"

// FunctionURLHost is the host name of a function's URL in a region of a domain.
func FunctionURLHost(id, region, domain string) string {
	return id + "." + FunctionURLLabel + "." + region + "." + domain
}

// FunctionURLLabel is the label that tells such a host from a service's.
const FunctionURLLabel = "lambda-url"
