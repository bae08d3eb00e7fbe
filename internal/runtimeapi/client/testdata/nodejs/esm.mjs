// Everything of function.js as an ES module that waits at its top level.
export * from './function.js';

await new Promise((resolve) => setTimeout(resolve, 1));
