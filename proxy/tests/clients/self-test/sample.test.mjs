// The scripts that speak DDP, against two instances of the sample app behind one address.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fails, holds, isFailure } from './expect.mjs';
import { run, startSample } from './programs.mjs';
import { standIn, STICKINESS } from './stand-in.mjs';

const NOBODY = 'http://127.0.0.1:1';

let folder;
let out;
let instances;
let edge; // sticks by cookie, both instances share their data
let split; // never sticks, and each instance has data of its own

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'karman-clients-'));
  out = join(folder, 'shots');
  const sharing = [
    await startSample('todos-1-a', join(folder, 'shared')),
    await startSample('todos-1-b', join(folder, 'shared')),
  ];
  const apart = [await startSample('todos-1-c', join(folder, 'c')), await startSample('todos-1-d', join(folder, 'd'))];
  instances = [...sharing, ...apart];
  edge = await standIn({ backends: urls(sharing), stickiness: STICKINESS.cookie });
  split = await standIn({ backends: urls(apart), stickiness: STICKINESS.never });
});

after(async () => {
  for (const standIn of [edge, split]) standIn?.close();
  for (const instance of instances ?? []) await instance.kill();
  await rm(folder, { recursive: true });
});

const urls = (backends) => backends.map(({ url }) => url);

for (const transport of ['websocket', 'xhr-polling']) {
  test(`sockjs over ${transport} holds with cookies`, async () => {
    const seen = await holds(
      'sockjs.mjs',
      edge.url,
      '--host',
      'todos.localhost',
      '--transport',
      transport,
      '--cookies',
      'yes',
      '--sessions',
      '4',
      '--messages',
      '3',
    );
    assert.equal(seen.at(-1).instances.length, 1);
  });
}

test('ws holds', async () => {
  const [open] = await holds('ws.mjs', edge.url, '--host', 'todos.localhost');
  assert.match(open.instance, /^todos-1-[ab]$/);
});

test('ws fails when a message is too large for the app', async () => {
  await fails(/socket closed/, 'ws.mjs', edge.url, '--bytes', '2000000');
});

test('simpleddp holds over two instances that share their data', async () => {
  const [connected] = await holds('ddp.mjs', edge.url, '--host', 'todos.localhost');
  assert.notEqual(connected.reader, connected.writer);
});

test('simpleddp fails where a change stays in its instance', async () => {
  await fails(/no "added" at the reader/, 'ddp.mjs', split.url);
});

test('simpleddp fails where nobody listens', async () => {
  await fails(/no connection of the (reader|writer)/, 'ddp.mjs', NOBODY);
});

test('two tabs of one visitor hold', async () => {
  const [tabs] = await holds('browser.mjs', 'two-tabs', edge.url, out, '--host', 'todos.localhost');
  assert.equal(tabs.instances[0], tabs.instances[1]);
});

test('two tabs of two visitors hold', async () => {
  await holds('browser.mjs', 'two-tabs', edge.url, out, '--host', 'todos.localhost', '--visitors', '2');
});

test('two tabs of one visitor fail where the cookie is not obeyed', async () => {
  await fails(/one visitor's tabs are served by/, 'browser.mjs', 'two-tabs', split.url, out);
});

test('two tabs fail where a change stays in its instance', async () => {
  await fails(/no new todo in the other tab/, 'browser.mjs', 'two-tabs', split.url, out, '--visitors', '2');
});

test("the browser's sessions hold, and its cookie is guarded", async () => {
  const [cookies] = await holds(
    'browser.mjs',
    'cookie',
    edge.url,
    out,
    '--host',
    'todos.localhost',
    '--cookie',
    'karman',
    '--sessions',
    '3',
  );
  assert.deepEqual(cookies.names, ['karman']);
});

test("the browser's sessions fail where the cookie is not obeyed", async () => {
  await fails(/one visitor's websocket sessions went to/, 'browser.mjs', 'cookie', split.url, out);
});

test('the page that waits becomes the app by itself', async () => {
  const down = await standIn({ backends: [], downPage: '<meta http-equiv="refresh" content="1"><h1>down</h1>' });
  const script = run('browser.mjs', 'comes-back', down.url, out);
  await script.sees('app-down');
  down.use([instances[0].url]);
  script.says('up');
  const { complaint, code, seen } = await script.ended;
  down.close();
  assert.equal(complaint, '');
  assert.equal(code, 0);
  assert.ok(seen.at(-1).loads >= 2);
});

test('a page that never looks again fails', async () => {
  const down = await standIn({ backends: [], downPage: '<h1>down</h1>' });
  const script = run('browser.mjs', 'comes-back', down.url, out, '--within', '3');
  await script.sees('app-down');
  down.use([instances[0].url]);
  script.says('up');
  isFailure(await script.ended, /no app in the page that waited for it within 3 s/);
  down.close();
});
