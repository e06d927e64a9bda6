// sockjs.mjs and ws.mjs against the SockJS server that Meteor pins, over two instances.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fails, holds, isFailure } from './expect.mjs';
import { run, startSockJs } from './programs.mjs';
import { standIn, STICKINESS } from './stand-in.mjs';

const NOBODY = 'http://127.0.0.1:1';
const SHORT = ['--sessions', '4', '--messages', '3', '--speak', 'echo'];

let backends;
const edges = {};

before(async () => {
  backends = [await startSockJs('a'), await startSockJs('b')];
  for (const [name, stickiness] of Object.entries(STICKINESS)) {
    edges[name] = await standIn({ backends: backends.map(({ url }) => url), stickiness });
  }
});

after(async () => {
  for (const edge of Object.values(edges)) edge.close();
  for (const backend of backends) await backend.kill();
});

for (const transport of ['websocket', 'xhr-polling']) {
  const sockjs = (url, cookies) => ['sockjs.mjs', url, '--transport', transport, '--cookies', cookies, ...SHORT];

  test(`${transport} holds without cookies where paths stick`, async () => {
    await holds(...sockjs(edges.path.url, 'no'));
  });

  test(`${transport} holds with cookies where they stick, on one instance`, async () => {
    const seen = await holds(...sockjs(edges.cookie.url, 'yes'), '--host', 'sock.localhost');
    const { cookies, carried, instances } = seen.at(-1);
    assert.deepEqual(cookies, ['karman']);
    assert.ok(carried > 0);
    assert.equal(instances.length, 1);
  });

  test(`${transport} fails where the cookie is not obeyed`, async () => {
    await fails(/did not stick|socket closed|refused/, ...sockjs(edges.never.url, 'yes'));
  });

  test(`${transport} with cookies fails where none is set`, async () => {
    await fails(/no answer set a cookie/, ...sockjs(edges.path.url, 'yes'));
  });

  test(`${transport} fails where nobody listens`, async () => {
    await fails(/refused: 1002 Cannot connect to server/, ...sockjs(NOBODY, 'no'));
  });

  test(`${transport} fails when its backend dies`, async () => {
    const doomed = await startSockJs('doomed');
    const script = run(
      'sockjs.mjs',
      doomed.url,
      '--transport',
      transport,
      '--cookies',
      'no',
      '--speak',
      'echo',
      '--messages',
      '20',
    );
    await script.sees('session');
    await doomed.kill();
    isFailure(await script.ended, /socket closed|refused/);
  });
}

test('polling without cookies fails where nothing sticks', async () => {
  await fails(
    /socket closed|refused/,
    'sockjs.mjs',
    edges.never.url,
    '--transport',
    'xhr-polling',
    '--cookies',
    'no',
    ...SHORT,
  );
});

test('a plain WebSocket holds, compressed', async () => {
  const [open] = await holds('ws.mjs', edges.never.url, '--speak', 'echo');
  assert.equal(open.extensions, 'permessage-deflate');
});

test('a plain WebSocket fails where nobody listens', async () => {
  await fails(/WebSocket refused: .*ECONNREFUSED/, 'ws.mjs', NOBODY, '--speak', 'echo');
});
