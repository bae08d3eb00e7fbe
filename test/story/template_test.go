package story

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		{types.RuntimeNodejs20x, "app.js", `
const crypto = require('crypto'), fs = require('fs');
const captured = Math.random;
const draw = () => new Promise((resolve) => crypto.randomBytes(16, (_, later) => resolve({
  bytes: crypto.randomBytes(16).toString('hex'), later: later.toString('hex'), uuid: crypto.randomUUID(), web: crypto.webcrypto.randomUUID(),
  integer: String(crypto.randomInt(2 ** 48 - 1)), random: String(Math.random()), captured: String(captured()),
  key: crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).toString('hex') })));
const ready = draw();
const mark = crypto.randomBytes(8).toString('hex');
let own = null, calls = 0;
exports.handler = async (event, context) => {
  await ready;
  calls++;
  own = own || crypto.randomBytes(8).toString('hex');
  const tmp = fs.readdirSync('/tmp').filter((f) => f !== own && f !== 'lost+found');
  await fs.promises.writeFile('/tmp/' + own, '');
  await new Promise((resolve) => setTimeout(resolve, 400));
  return { mark, own, calls, stream: context.logStreamName, tmp, draws: await draw() };
};
`},
		{types.RuntimeJava17, "app/App.java", `
package app;
import java.io.File;
import java.nio.file.*;
import java.security.SecureRandom;
import java.util.*;
import java.util.concurrent.*;
public class App {
  static Map<String, String> draw() {
    Map<String, String> m = new HashMap<>();
    byte[] bytes = new byte[16];
    new SecureRandom().nextBytes(bytes);
    m.put("secure", new java.math.BigInteger(1, bytes).toString(16));
    m.put("uuid", UUID.randomUUID().toString());
    m.put("math", String.valueOf(Math.random()));
    m.put("new", String.valueOf(new Random().nextLong()));
    m.put("thread", String.valueOf(ThreadLocalRandom.current().nextLong()));
    m.put("split", String.valueOf(new SplittableRandom().nextLong()));
    return m;
  }
  static final Map<String, String> FIRST = draw();
  static final String MARK = UUID.randomUUID().toString();
  static final ExecutorService POOL = Executors.newSingleThreadExecutor(r -> { Thread t = new Thread(r); t.setDaemon(true); return t; });
  static String own;
  static int calls;
  public App() throws Exception { POOL.submit(() -> 1).get(); }
  public Map<String, Object> handler(Map<String, Object> event) throws Exception {
    calls++;
    if (own == null) own = UUID.randomUUID().toString();
    List<String> tmp = new ArrayList<>();
    for (String f : new File("/tmp").list()) if (!f.equals(own) && !f.equals("lost+found")) tmp.add(f);
    Files.write(Paths.get("/tmp", own), new byte[0]);
    POOL.submit(() -> { Thread.sleep(400); return 1; }).get();
    if (Files.readAllLines(Paths.get("app", "here")).size() != 1) throw new IllegalStateException("not in /var/task");
    Map<String, Object> m = new HashMap<>();
    m.put("mark", MARK); m.put("own", own); m.put("calls", calls); m.put("stream", System.getenv("AWS_LAMBDA_LOG_STREAM_NAME"));
    m.put("tmp", tmp); m.put("draws", draw());
    return m;
  }
}
`},
	} {
		t.Run(string(f.runtime), func(t *testing.T) {
			c := client.With(t)
			files, handler := map[string]string{f.name: f.code}, "app.handler"
			if f.runtime == types.RuntimeJava17 {
				files, handler = compiled(t, f.name, f.code), "app.App::handler"
				files["app/here"] = "1"
			}
			name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(string(f.runtime[:4])), Runtime: f.runtime, Handler: aws.String(handler), Timeout: aws.Int32(30), MemorySize: aws.Int32(512)}, files)
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

// compiled is a Java source's classes.
func compiled(t *testing.T, name, source string) map[string]string {
	t.Helper()
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("needs javac")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(javac, "--release", "17", "-d", dir, file).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	files := map[string]string{}
	classes := os.DirFS(dir)
	if err := fs.WalkDir(classes, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".class") {
			return err
		}
		b, err := fs.ReadFile(classes, p)
		files[p] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}
