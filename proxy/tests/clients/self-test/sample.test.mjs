// The scripts that speak DDP, against two instances of the sample app behind one address.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fails, holds, isFailure } from './expect.mjs';
import { killBackends, run, startSample } from './programs.mjs';
import { standIn, STICKINESS } from './stand-in.mjs';

const NOBODY = 'http://127.0.0.1:1';

let folder;
let edge; // sticks by cookie, and both instances share their data
let split; // never sticks, and each instance has data of its own
let instance; // one of them without anything in between

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'karman-clients-'));
  const start = (name, data) => startSample(name, join(folder, data));
  const sharing = [await start('todos-1-a', 'shared'), await start('todos-1-b', 'shared')];
  const apart = [await start('todos-1-c', 'c'), await start('todos-1-d', 'd')];
  edge = await standIn({ backends: sharing.map(({ url }) => url), stickiness: STICKINESS.cookie });
  split = await standIn({ backends: apart.map(({ url }) => url), stickiness: STICKINESS.never });
  instance = sharing[0];
});

after(async () => {
  killBackends();
  edge?.close();
  split?.close();
  await rm(folder, { recursive: true });
});

const asTodos = (url) => [url, '--host', 'todos.localhost'];

for (const transport of ['websocket', 'xhr-polling']) {
  test(`sockjs over ${transport} holds with cookies`, async () => {
    const brief = ['--sessions', '4', '--messages', '3'];
    const cookies = ['--transport', transport, '--cookies', 'yes'];
    const seen = await holds('sockjs.mjs', [...asTodos(edge.url), ...cookies, ...brief]);
    assert.equal(seen.at(-1).instances.length, 1);
  });
}

test('ws holds', async () => {
  const [open] = await holds('ws.mjs', asTodos(edge.url));
  assert.match(open.instance, /^todos-1-[ab]$/);
});

test('ws fails when a message is too large for the app', async () => {
  await fails(/socket closed/, 'ws.mjs', [edge.url, '--bytes', '2000000']);
});

test('simpleddp holds over two instances that share their data', async () => {
  const [connected] = await holds('ddp.mjs', asTodos(edge.url));
  assert.notEqual(connected.reader, connected.writer);
});

test('simpleddp fails where a change stays in its instance', async () => {
  await fails(/no "added" at the reader/, 'ddp.mjs', [split.url]);
});

test('simpleddp fails where nobody listens', async () => {
  await fails(/no connection of the (reader|writer)/, 'ddp.mjs', [NOBODY]);
});

test('two tabs of one visitor hold', async () => {
  const [tabs] = await holds('browser.mjs', ['two-tabs', ...asTodos(edge.url), folder]);
  assert.equal(tabs.instances[0], tabs.instances[1]);
});

test('two tabs of two visitors hold', async () => {
  await holds('browser.mjs', ['two-tabs', ...asTodos(edge.url), folder, '--visitors', '2']);
});

test('two tabs of one visitor fail where the cookie is not obeyed', async () => {
  await fails(/one visitor's tabs are served by/, 'browser.mjs', ['two-tabs', split.url, folder]);
});

test('two tabs fail where a change stays in its instance', async () => {
  await fails(/no new todo in the other tab/, 'browser.mjs', ['two-tabs', split.url, folder, '--visitors', '2']);
});

test("the browser's sessions hold, and its cookie is guarded", async () => {
  const [cookies] = await holds('browser.mjs', ['cookie', ...asTodos(edge.url), folder, '--cookie', 'karman']);
  assert.deepEqual(cookies.names, ['karman']);
});

test("the browser's sessions fail without the cookie that was wanted", async () => {
  await fails(/no cookie karman, only none/, 'browser.mjs', ['cookie', instance.url, folder, '--cookie', 'karman']);
});

test("the browser's sessions fail where the cookie is not obeyed", async () => {
  await fails(/one visitor's websocket sessions went to/, 'browser.mjs', ['cookie', split.url, folder]);
});

test('the page that waits becomes the app by itself', async () => {
  const { code, seen, complaint } = await comesBack('<meta http-equiv="refresh" content="1"><h1>down</h1>');
  assert.equal(complaint, '');
  assert.equal(code, 0);
  assert.ok(seen.at(-1).loads >= 2);
});

test('the page that never looks again fails', async () => {
  isFailure(await comesBack('<h1>down</h1>'), /no app in the page that waited for it within 3 s/);
});

test('a page that waits for an app that is there fails', async () => {
  await fails(/x-karman-error app-down wanted, none found/, 'browser.mjs', ['comes-back', edge.url, folder]);
});

async function comesBack(downPage) {
  const edge = await standIn({ backends: [], downPage });
  const script = run('browser.mjs', ['comes-back', edge.url, folder, '--within', '3']);
  await script.sees('app-down');
  edge.use([instance.url]);
  script.says('up');
  const end = await script.ended;
  edge.close();
  return end;
}
