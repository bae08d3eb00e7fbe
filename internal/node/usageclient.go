package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	usageAnswerBytesMax = 256 << 20
	usageAnswerMax      = 2 * time.Minute
)

// FetchUsage asks the lambdad that runs with this configuration.
func FetchUsage(ctx context.Context, c Config, from, to time.Time) (UsageReport, error) {
	ctx, cancel := context.WithTimeout(ctx, usageAnswerMax)
	defer cancel()
	query := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Listen+UsagePath+"?"+query.Encode(), nil)
	if err != nil {
		return UsageReport{}, fmt.Errorf("ask for usage: %w", err)
	}
	credentials, err := clientCredentials(c)
	if err != nil {
		return UsageReport{}, err
	}
	sigv4.Sign(request, credentials, sigv4.SignOptions{Region: c.Region, Service: UsageService, Time: time.Now()})
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return UsageReport{}, fmt.Errorf("ask for usage: %w", err)
	}
	defer response.Body.Close()
	body := io.LimitReader(response.Body, usageAnswerBytesMax)
	if response.StatusCode != http.StatusOK {
		var answer struct {
			Message string `json:"message"`
		}
		// An answer in another form is not lambdad's, and its status says enough.
		_ = json.NewDecoder(body).Decode(&answer)
		return UsageReport{}, fmt.Errorf("ask for usage: %s: %s %s", response.Status, response.Header.Get("x-amzn-ErrorType"), answer.Message)
	}
	var report UsageReport
	if err := json.NewDecoder(body).Decode(&report); err != nil {
		return UsageReport{}, fmt.Errorf("read the usage: %w", err)
	}
	return report, nil
}

// clientCredentials are those of the environment, else the administrator's in the data folder.
func clientCredentials(c Config) (sigv4.Credentials, error) {
	found := sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if found.AccessKeyID != "" {
		return found, nil
	}
	f, err := os.Open(CredentialsFile(c))
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("a key to ask with (or set AWS_ACCESS_KEY_ID): %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			found.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			found.SecretAccessKey = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return sigv4.Credentials{}, fmt.Errorf("read %s: %w", CredentialsFile(c), err)
	}
	return found, nil
}
