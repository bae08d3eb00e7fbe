// Package remote owns how pollers speak to a service at an endpoint that the operator named: AWS's JSON
// protocols with signed requests. It knows requests and faults only, and must never import a poller or
// a view of records: who may read what is decided before.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// answerBytesMax bounds an answer: ten megabytes of records in base64, or ten messages of 1 MiB
	// with their escapes.
	answerBytesMax = 64 << 20
	// idleMax is how many connections to an endpoint wait for their next request.
	idleMax = 64
)

// Service is what is spoken at an endpoint.
type Service struct {
	Name    string // in faults, e.g. SQS
	Signing string // in signatures, e.g. sqs
	Target  string // before the operation in X-Amz-Target, e.g. AmazonSQS
	Version string // of the JSON protocol, 1.0 or 1.1
	// Timeout bounds any call, with what it waits.
	Timeout time.Duration
}

// Client speaks to one service at one endpoint. It is safe for concurrent use.
type Client struct {
	service  Service
	endpoint *url.URL
	client   *http.Client
}

// New makes a client of an endpoint.
func New(service Service, endpoint *url.URL) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idleMax, idleMax
	// A redirect would carry a signed request to who knows where.
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{service, endpoint, &http.Client{Transport: transport, Timeout: service.Timeout, CheckRedirect: refuse}}
}

// Error is a fault of the endpoint.
type Error struct {
	Service string
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.Service, e.Status, e.Code, e.Message)
}

// Ask does one operation: nil, or an *Error where the endpoint answered with a fault.
func (c *Client) Ask(ctx context.Context, sign sigv4.Credentials, region aws.Region, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.endpoint.String(), "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-"+c.service.Version)
	request.Header.Set("X-Amz-Target", c.service.Target+"."+operation)
	sigv4.Sign(request, sign, sigv4.SignOptions{Region: string(region), Service: c.service.Signing, Time: time.Now(), PayloadHash: sigv4.HashPayload(body)})
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s at %s: %w", operation, c.endpoint.Host, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("%s at %s: %w", operation, c.endpoint.Host, err)
	}
	if response.StatusCode >= 300 {
		var fault struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		_ = json.Unmarshal(answer, &fault) // what is no JSON has the status alone
		return &Error{c.service.Name, response.StatusCode, fault.Type[strings.IndexByte(fault.Type, '#')+1:], fault.Message}
	}
	if err := json.Unmarshal(answer, out); err != nil && len(answer) > 0 {
		return fmt.Errorf("%s at %s: %w", operation, c.endpoint.Host, err)
	}
	return nil
}
