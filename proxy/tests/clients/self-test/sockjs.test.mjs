// sockjs.mjs and ws.mjs against the SockJS server that Meteor pins, over two instances.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fails, holds, isFailure } from './expect.mjs';
import { killBackends, run, startSockJs } from './programs.mjs';
import { standIn, STICKINESS } from './stand-in.mjs';

const NOBODY = 'http://127.0.0.1:1';
const BRIEF = ['--sessions', '4', '--messages', '3'];

const edges = {};

before(async () => {
  const backends = [await startSockJs('a'), await startSockJs('b')];
  for (const [name, stickiness] of Object.entries(STICKINESS)) {
    edges[name] = await standIn({ backends: backends.map(({ url }) => url), stickiness });
  }
});

after(() => {
  killBackends();
  for (const edge of Object.values(edges)) edge.close();
});

for (const transport of ['websocket', 'xhr-polling']) {
  const sockjs = (url, cookies) => [url, '--speak', 'echo', '--transport', transport, '--cookies', cookies];

  test(`${transport} holds without cookies where paths stick`, async () => {
    await holds('sockjs.mjs', [...sockjs(edges.path.url, 'no'), ...BRIEF]);
  });

  test(`${transport} holds with cookies where they stick, on one instance`, async () => {
    const seen = await holds('sockjs.mjs', [...sockjs(edges.cookie.url, 'yes'), ...BRIEF, '--host', 'sock.localhost']);
    const { cookies, carried, instances } = seen.at(-1);
    assert.deepEqual(cookies, ['karman']);
    assert.ok(carried > 0);
    assert.equal(instances.length, 1);
  });

  test(`${transport} fails where the cookie is not obeyed`, async () => {
    await fails(/did not stick|socket closed|refused/, 'sockjs.mjs', [...sockjs(edges.never.url, 'yes'), ...BRIEF]);
  });

  test(`${transport} with cookies fails where none is set`, async () => {
    await fails(/no answer set a cookie/, 'sockjs.mjs', [...sockjs(edges.path.url, 'yes'), ...BRIEF]);
  });

  test(`${transport} fails where nobody listens`, async () => {
    await fails(/refused: 1002 Cannot connect to server/, 'sockjs.mjs', sockjs(NOBODY, 'no'));
  });

  test(`${transport} fails when its backend dies`, async () => {
    const doomed = await startSockJs('doomed');
    const script = run('sockjs.mjs', sockjs(doomed.url, 'no'));
    await script.sees('session');
    await doomed.kill();
    isFailure(await script.ended, /socket closed|refused/);
  });
}

test('polling without cookies fails where nothing sticks', async () => {
  const polling = ['--speak', 'echo', '--transport', 'xhr-polling', '--cookies', 'no'];
  await fails(/socket closed|refused/, 'sockjs.mjs', [edges.never.url, ...polling]);
});

test('a plain WebSocket holds, compressed', async () => {
  const [open] = await holds('ws.mjs', [edges.never.url, '--speak', 'echo']);
  assert.equal(open.extensions, 'permessage-deflate');
});

test('a plain WebSocket fails where nobody listens', async () => {
  await fails(/WebSocket refused: .*ECONNREFUSED/, 'ws.mjs', [NOBODY, '--speak', 'echo']);
});
