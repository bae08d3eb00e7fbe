// A module and a handler of nobody's, which a waiting runtime loads and calls: what Node.js
// makes when it is first used is made before there is a function.
import 'node:fs';
import './lambdad-errors.js';

export const handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });
