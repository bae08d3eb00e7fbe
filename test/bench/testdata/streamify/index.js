// Two handlers that say when, on the machine's monotonic clock, and go on for a while: one
// streams, the other's answer goes out when it is whole.
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const now = () => `${process.hrtime.bigint()}\n`;

exports.handler = awslambda.streamifyResponse(async (event, out) => {
  out.write(now());
  await wait(50);
  out.end('end');
});

exports.whole = async () => {
  const written = now();
  await wait(50);
  return written;
};
