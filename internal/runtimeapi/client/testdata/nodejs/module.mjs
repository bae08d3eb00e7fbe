import { createRequire } from 'node:module';

const value = await Promise.resolve('top level await');
export const handler = async () => value;
export const require_ = async () => typeof createRequire(import.meta.url);
