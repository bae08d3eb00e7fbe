// A runtime that starts before its function is known: it loads what AWS's client and
// the SDK load, waits, and takes the function's environment on.
'use strict';

// Node.js's own modules, which take most of an SDK's time to load.
for (const name of ['buffer', 'crypto', 'events', 'http', 'https', 'os', 'stream', 'tls', 'util', 'zlib']) require(name);

const START = '/2018-06-01/lambdad/start';

// wait becomes the runtime of a function when there is one.
async function wait(api) {
  await import('data:text/javascript,'); // the loader of ES modules is made when it is first used
  const answer = await api.call('GET', START);
  if (answer.status !== 200) throw new Error(`GET ${START}: status ${answer.status}`);
  assume(JSON.parse(answer.body.toString('utf8')).environment);
}

// assume takes on an environment, as if the program had been started with it.
function assume(environment) {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment); // TZ takes effect as it is set
  try {
    process.chdir(environment.LAMBDA_TASK_ROOT || '/var/task');
  } catch {
    // as if it had been started there without its directory
  }
}

module.exports = { assume, wait };
