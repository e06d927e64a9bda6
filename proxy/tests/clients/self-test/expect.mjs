// The two things that a test says of a script: it held, or it failed for this reason.
import assert from 'node:assert/strict';
import { run } from './programs.mjs';

export async function holds(script, args) {
  const { code, seen, complaint } = await run(script, args).ended;
  assert.equal(complaint, '');
  assert.equal(code, 0);
  assert.notEqual(seen.length, 0, 'a script that held has seen something');
  return seen;
}

export async function fails(because, script, args) {
  isFailure(await run(script, args).ended, because);
}

export function isFailure({ code, complaint }, because) {
  assert.match(complaint, because);
  assert.equal(code, 1);
}
