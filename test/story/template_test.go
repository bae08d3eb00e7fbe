package story

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// drawn is what one environment tells of itself.
type drawn struct {
	Mark   string            // drawn by INIT: environments of one template have the same
	Own    string            // drawn by the environment's first invocation
	Calls  int               // of this environment
	Stream string            // its log stream
	Tmp    []string          // what it finds in /tmp
	Draws  map[string]string // by source
}

// TestTemplates: later environments of a function are copies of one that has finished
// its INIT, and no two of them draw the same random bytes from any source.
func TestTemplates(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("templates of the container driver need root")
	}
	h := house.Start(t)
	client := h.Client(t)
	for _, f := range []struct {
		runtime types.Runtime
		name    string
		code    string
	}{
		{types.RuntimePython311, "app.py", `
import os, random, secrets, ssl, tempfile, time, uuid
def draw():
    return {"os": os.urandom(16).hex(), "random": str(random.random()), "secrets": secrets.token_hex(), "ssl": ssl.RAND_bytes(16).hex(),
            "uuid1": str(uuid.uuid1()), "uuid4": str(uuid.uuid4()), "tempfile": next(tempfile._get_candidate_names())}
draw() # so that each source has a state that copies inherit
mark, own, calls = os.urandom(8).hex(), None, 0
def handler(event, context):
    global own, calls
    calls += 1
    own = own or os.urandom(8).hex()
    found = os.listdir("/tmp")
    open("/tmp/" + own, "w").close()
    time.sleep(0.4)
    return {"mark": mark, "own": own, "calls": calls, "stream": context.log_stream_name, "tmp": [f for f in found if f not in (own, "lost+found")], "draws": draw()}
`},
		{types.RuntimeRuby32, "app.rb", `
require 'securerandom'
require 'openssl'
def draw
  { os: Random.urandom(16).unpack1('H*'), random: rand.to_s, new: Random.new.rand.to_s, secure: SecureRandom.hex, uuid: SecureRandom.uuid, openssl: OpenSSL::Random.random_bytes(16).unpack1('H*') }
end
draw
MARK = SecureRandom.hex
$calls = 0
def handler(event:, context:)
  $calls += 1
  $own ||= SecureRandom.hex
  found = Dir.children('/tmp') - [$own, 'lost+found']
  File.write("/tmp/#{$own}", '')
  Thread.new { sleep 0.4 }.join
  Process.wait(fork { exit!(0) }) # the interpreter's own state is whole
  raise 'no child' unless $?.success?
  { mark: MARK, own: $own, calls: $calls, stream: context.log_stream_name, tmp: found, draws: draw }
end
`},
	} {
		t.Run(string(f.runtime), func(t *testing.T) {
			c := client.With(t)
			name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(string(f.runtime[:4])), Runtime: f.runtime, Handler: aws.String("app.handler"), Timeout: aws.Int32(30)}, map[string]string{f.name: f.code})
			var all []drawn
			copies := 0
			for burst := 1; burst <= 12 && copies < 4; burst++ { // more at a time than there are environments
				answers := make([]drawn, burst)
				var wait sync.WaitGroup
				for i := range answers {
					wait.Go(func() {
						if err := json.Unmarshal([]byte(c.Invoke(name, "{}").Payload), &answers[i]); err != nil {
							t.Error(err)
						}
					})
				}
				wait.Wait()
				all = append(all, answers...)
				copies = likeAnother(all)
			}
			if copies < 4 {
				t.Errorf("%d environments are of one template\n%s", copies, h.Log())
			}
			seen := map[string]string{}
			for i, d := range all {
				if len(d.Tmp) > 0 {
					t.Errorf("environment %s found %q in /tmp", d.Own, d.Tmp)
				}
				for source, value := range d.Draws {
					at := fmt.Sprintf("%s of answer %d, by %s", source, i, d.Own)
					if first, again := seen[value]; again || value == "" {
						t.Errorf("%s: %s was drawn before: %s", at, value, first)
					}
					seen[value] = at
				}
			}
			streams := map[string]string{}
			for _, d := range all {
				if own, ok := streams[d.Stream]; ok && own != d.Own {
					t.Errorf("%s and %s write to %s", own, d.Own, d.Stream)
				}
				streams[d.Stream] = d.Own
			}
		})
	}
}

// likeAnother counts the environments that share their INIT with another.
func likeAnother(all []drawn) int {
	marks := map[string]map[string]bool{}
	for _, d := range all {
		if marks[d.Mark] == nil {
			marks[d.Mark] = map[string]bool{}
		}
		marks[d.Mark][d.Own] = true
	}
	n := 0
	for _, environments := range marks {
		if len(environments) > 1 {
			n += len(environments)
		}
	}
	return n
}
