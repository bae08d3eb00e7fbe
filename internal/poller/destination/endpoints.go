package destination

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// services are those that an endpoint can be named of.
// DynamoDB Streams, Kinesis and SQS are read there by event source mappings; what is sent to queues goes to those of this node.
var services = []string{"dynamodbstreams", "events", "kinesis", "s3", "sns", "sqs"}

// Endpoints are where services answer, by the service's name in ARNs.
type Endpoints map[string]*url.URL

// ParseEndpoints reads SERVICE=URL settings.
func ParseEndpoints(settings []string) (Endpoints, error) {
	e := Endpoints{}
	for _, s := range settings {
		name, address, _ := strings.Cut(s, "=")
		if !slices.Contains(services, name) {
			return nil, fmt.Errorf("%q: use SERVICE=URL with a service of %s", s, strings.Join(services, ", "))
		}
		at, err := url.Parse(address)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || at.RawQuery != "" || at.User != nil {
			return nil, fmt.Errorf("%q: use an http or https URL, such as http://127.0.0.1:5000", s)
		}
		if e[name] != nil {
			return nil, fmt.Errorf("%q: %s is named twice", s, name)
		}
		e[name] = at
	}
	return e, nil
}
