package compat

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lambdad/lambdad/test/house"
)

// installMax bounds what npm may take to install the SDK.
const installMax = 2 * time.Minute

const javascriptHandlers = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
exports.whole = async (event) => {
  if (event.fail) throw new RangeError('asked to fail');
  return { event, greeting: process.env.GREETING };
};
exports.reader = async (event) => ({ batchItemFailures: [] });
exports.streams = awslambda.streamifyResponse(async (event, out) => {
  out.write('first ');
  await wait(1000);
  if (event.amid) throw new TypeError('too late');
  out.write(String(Date.now()));
  out.end();
});
`

// TestJavaScriptSDK runs testdata/javascript/story.mjs with the AWS SDK for JavaScript, version 3,
// which npm installs into the test's own folder.
func TestJavaScriptSDK(t *testing.T) {
	node, npm := needProgram(t, "node"), needProgram(t, "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "story.mjs"} {
		writeFile(t, dir, name, mustRead(t, filepath.Join("testdata", "javascript", name)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), installMax)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("needs npm and a registry that has the AWS SDK for JavaScript: %v\n%s", err, out)
	}
	h := house.Start(t)
	archive := writeFile(t, dir, "code.zip", house.Zip(t, map[string]string{"index.js": javascriptHandlers}))
	t.Log(run(t, h, dir, node, "story.mjs", archive))
}
