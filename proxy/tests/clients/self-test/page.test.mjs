// `browser.mjs page` against pages that are right, and against pages that are wrong in one way each.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fails, holds } from './expect.mjs';

const LOOK = `<meta name="viewport" content="width=device-width">
<style>@media (prefers-color-scheme: dark) { html { background: black; color: white } }</style>`;
const HEAD = '<!doctype html><html lang="en"><title>down</title><link rel="icon" href="data:,">';
const HEADLINE = '<h1>todos is down</h1>';
const GOOD = `${HEAD}${LOOK}${HEADLINE}`;

const PAGES = {
  good: GOOD,
  wide: `${GOOD}<pre>${'wide '.repeat(12)}</pre>`,
  'in-one-colour': `${HEAD}${HEADLINE}`,
  'with-script': `${HEAD}${LOOK}<body><script>document.body.innerHTML = '${HEADLINE}'</script>`,
  outside: `${GOOD}<img src="http://elsewhere.example/logo.png">`,
  failing: `${GOOD}<script>fetch('/hang-up').catch(() => {})</script>`,
  complaining: `${GOOD}<script>console.error('oh')</script>`,
  throwing: `${GOOD}<script>throw new Error('oh')</script>`,
};

let server;
let folder;

function page(name, { status = '503', error = 'app-down', headline = 'todos is down' } = {}) {
  const url = `http://127.0.0.1:${server.address().port}/${name}`;
  const expected = ['--status', status, '--error', error, '--headline', headline];
  return ['page', url, folder, '--host', 'todos.localhost', '--name', name, ...expected];
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'karman-clients-'));
  server = createServer((request, response) => {
    const body = PAGES[request.url.slice(1)];
    if (!body) return request.destroy();
    response.writeHead(503, { 'Content-Type': 'text/html; charset=utf-8', 'x-karman-error': 'app-down' });
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

after(async () => {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
});

test('a good page holds, and leaves its pictures', async () => {
  const seen = await holds('browser.mjs', page('good'));
  assert.equal(seen.length, 5);
  const pictures = (await readdir(folder)).filter((file) => file.startsWith('good-'));
  const sizes = ['1200-dark', '1200-light', '320-dark', '320-light'];
  assert.deepEqual(
    pictures.sort(),
    sizes.map((size) => `good-${size}.png`),
  );
});

const WRONG = [
  ['another status', /status 404 wanted, 503 found/, 'good', { status: '404' }],
  ['another code', /x-karman-error unknown-host wanted, app-down found/, 'good', { error: 'unknown-host' }],
  ['another headline', /headline "todos is up" wanted, "todos is down" found/, 'good', { headline: 'todos is up' }],
  ['a page wider than the window', /px wide in a window of 320 px/, 'wide'],
  ['a page without a dark look', /as light in the dark as by day/, 'in-one-colour'],
  ['a page that takes script', /no headline/, 'with-script'],
  ['a request to somewhere else', /outside request: .*elsewhere/, 'outside'],
  ['a request that fails', /failed request: .*hang-up/, 'failing'],
  ['a complaint on the console', /console: oh/, 'complaining'],
  ['a script that throws', /script failed: oh/, 'throwing'],
];

for (const [what, because, name, expected] of WRONG) {
  test(`${what} fails`, () => fails(because, 'browser.mjs', page(name, expected)));
}
