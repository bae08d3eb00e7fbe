package functionurl

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// event is the payload of format 2.0. Source: Lambda developer guide, "Invoking Lambda function
// URLs", "Request payload format"; recorded: TestLambdaURL.
type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  eventContext      `json:"requestContext"`
	Body            *string           `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type eventContext struct {
	AccountID    string        `json:"accountId"`
	APIID        string        `json:"apiId"`
	Authorizer   *authorizer   `json:"authorizer,omitempty"`
	DomainName   string        `json:"domainName"`
	DomainPrefix string        `json:"domainPrefix"`
	HTTP         eventHTTP     `json:"http"`
	RequestID    aws.RequestID `json:"requestId"`
	RouteKey     string        `json:"routeKey"`
	Stage        string        `json:"stage"`
	Time         string        `json:"time"`
	TimeEpoch    int64         `json:"timeEpoch"`
}

type eventHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

type authorizer struct {
	IAM iamIdentity `json:"iam"`
}

type iamIdentity struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"`
	PrincipalOrgID  *string `json:"principalOrgId"`
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

const (
	defaultRoute = "$default"
	timeForm     = "02/Jan/2006:15:04:05 +0000"
)

// eventOf makes a request into an event. Its path is below the URL.
func eventOf(r *http.Request, call *wire.Call, t *target, body []byte, domain string) ([]byte, error) {
	host := record.FunctionURLHost(t.id, string(t.key.ID.Region), domain)
	path := t.path // with its escapes, as it came
	e := event{
		Version: "2.0", RouteKey: defaultRoute, RawPath: path, RawQueryString: r.URL.RawQuery,
		Headers: headersOf(r, call, host), Query: queryOf(r.URL.RawQuery),
		RequestContext: eventContext{
			AccountID: "anonymous", APIID: t.id, DomainName: host, DomainPrefix: t.id,
			HTTP:      eventHTTP{r.Method, path, r.Proto, call.SourceIP.String(), call.UserAgent},
			RequestID: call.RequestID, RouteKey: defaultRoute, Stage: defaultRoute,
			Time: call.Received.UTC().Format(timeForm), TimeEpoch: call.Received.UnixMilli(),
		},
	}
	for _, line := range r.Header.Values("Cookie") {
		for c := range strings.SplitSeq(line, ";") {
			if c = strings.TrimSpace(c); c != "" {
				e.Cookies = append(e.Cookies, c)
			}
		}
	}
	if t.url.AuthType == authIAM {
		p := call.Principal
		e.RequestContext.AccountID = string(p.Account)
		e.RequestContext.Authorizer = &authorizer{iamIdentity{
			AccessKey: call.AccessKeyID, AccountID: string(p.Account), CallerID: p.UserID, UserARN: p.ARN, UserID: p.UserID,
		}}
	}
	if len(body) > 0 {
		text := string(body)
		if e.IsBase64Encoded = !textual(r.Header.Get("Content-Type")) || !utf8.Valid(body); e.IsBase64Encoded {
			text = base64.StdEncoding.EncodeToString(body)
		}
		e.Body = &text
	}
	return json.Marshal(e)
}

// headersOf are the headers in lower case, several of one name with commas between, and those
// that AWS's front end adds.
func headersOf(r *http.Request, call *wire.Call, host string) map[string]string {
	out := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if name == "Cookie" || name == "Connection" {
			continue
		}
		out[strings.ToLower(name)] = strings.Join(values, ",")
	}
	out["host"] = host
	if r.ContentLength >= 0 && (r.ContentLength > 0 || r.Method != http.MethodGet) {
		out["content-length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	if i := strings.LastIndexByte(r.Host, ':'); i > strings.LastIndexByte(r.Host, ']') && i >= 0 {
		port = r.Host[i+1:]
	}
	out["x-forwarded-for"] = call.SourceIP.String()
	out["x-forwarded-port"] = port
	out["x-forwarded-proto"] = proto
	out["x-amzn-trace-id"] = call.TraceID // recorded: test_lambda_url_echo_http_fixture_default
	return out
}

// queryOf joins the values of a name with commas.
func queryOf(raw string) map[string]string {
	values, _ := url.ParseQuery(raw) // what is malformed is left out
	if len(values) == 0 {
		return nil
	}
	out := make(map[string]string, len(values))
	for name, v := range values {
		out[name] = strings.Join(v, ",")
	}
	return out
}

// textTypes are content types whose bodies reach the function as text; all others come in
// base64. Source: the same page, "isBase64Encoded"; recorded: binary and multipart bodies.
var textTypes = []string{"application/json", "application/javascript", "application/xml", "application/graphql"}

func textual(contentType string) bool {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	return strings.HasPrefix(media, "text/") || slices.Contains(textTypes, media) || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml")
}
