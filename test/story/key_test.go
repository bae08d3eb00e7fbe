package story

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/lambdad/lambdad/test/house"
)

// TestKeys: no file of the store has a variable's value; a function with a key of its own stops with the key and
// goes on with it, also over a restart; without lambdad's own key nothing opens.
func TestKeys(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	key := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(house.Binary(t), append([]string{"key", "--data", h.Data}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("lambdad key %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	arn := key("create")
	time.Sleep(1500 * time.Millisecond) // lambdad follows the folder every second
	const code = "import os\ndef handler(event, context):\n    return os.environ['SECRET']\n"
	variables := &types.Environment{Variables: map[string]string{"SECRET": "gestern war heute morgen"}}
	own := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("own"), Environment: variables, KMSKeyArn: &arn, Publish: true}, map[string]string{"app.py": code})
	local := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("local"), Environment: variables}, map[string]string{"app.py": code})
	runs := func(name string) {
		t.Helper()
		if answer := c.Invoke(name, "{}"); answer.Payload != `"gestern war heute morgen"` {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	// refused waits until an invoke answers with a fault.
	refused := func(name, code string) {
		t.Helper()
		var got error
		for range 100 {
			var fault smithy.APIError
			if _, got = c.TryInvoke(name, "{}"); errors.As(got, &fault) && fault.ErrorCode() == code {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("%s: %v, want %s", name, got, code)
	}
	shown := func(name, code string) {
		t.Helper()
		out, err := c.Lambda.GetFunctionConfiguration(context.Background(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if code == "" && (out.Environment.Error != nil || out.Environment.Variables["SECRET"] == "") ||
			code != "" && (out.Environment.Error == nil || aws.ToString(out.Environment.Error.ErrorCode) != code) {
			t.Errorf("%s: %+v", name, out.Environment)
		}
	}
	runs(own)
	runs(local)
	if found := filesWith(t, filepath.Join(h.Data, "store"), "gestern war"); len(found) > 0 {
		t.Errorf("the value is in %v", found)
	}

	key("disable", arn)
	refused(own, "KMSDisabledException") // its environment is warm
	refused(own+":1", "KMSDisabledException")
	shown(own, "DisabledException")
	runs(local)
	key("delete", arn)
	refused(own, "KMSInvalidStateException")
	key("enable", arn)
	for range 100 {
		if _, err := c.TryInvoke(own, "{}"); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	runs(own)

	h.Stop()
	if found := filesWith(t, filepath.Join(h.Data, "store"), "gestern war"); len(found) > 0 {
		t.Errorf("after the flush the value is in %v", found)
	}
	h.Run()
	c = c.Again(h)
	runs(own)
	runs(local)
	shown(own, "")

	key("delete", "--now", arn)
	refused(own, "KMSNotFoundException")
	shown(own, "NotFoundException")

	// Another key of its own: the folder was lost.
	h.Stop()
	if err := os.Remove(filepath.Join(h.Data, "keys", "local")); err != nil {
		t.Fatal(err)
	}
	h.Run()
	c = c.Again(h)
	refused(local, "KMSAccessDeniedException")
	shown(local, "AccessDeniedException")
	if _, err := c.Lambda.UpdateFunctionConfiguration(context.Background(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &local, Environment: variables}); err != nil {
		t.Fatal(err)
	}
	c.WaitUpdated(local)
	runs(local)
}

// filesWith are the files below a folder that have a text.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away
		}
		if bytes.Contains(b, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
