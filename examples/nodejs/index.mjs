// The smallest useful function: greets, and counts the invokes of its environment.
let count = 0;

export const handler = async (event, context) => ({
  greeting: `Hello, ${event.name ?? "world"}, from Node.js`,
  invokes: ++count,
  remaining_ms: context.getRemainingTimeInMillis(),
});
