// A plain WebSocket (`ws`) on /websocket: control frames, a large message both ways, and a clean close.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { choice, count, demand, scenario } from './lib/scenario.mjs';
import { openWebSocket } from './lib/sockets.mjs';
import { speakers } from './lib/speakers.mjs';
import { within } from './lib/wait.mjs';

const usage = 'URL [--host NAME] [--speak ddp|echo] [--bytes 1000000]';
const options = {
  speak: { type: 'string', default: 'ddp' },
  // The sample app takes 1 MiB, what DDP puts around the message included.
  bytes: { type: 'string', default: '1000000' },
};

await scenario({ usage, options }, async ({ url, options, see }) => {
  const Speaker = speakers[choice(options, 'speak', Object.keys(speakers))];
  const bytes = count(options, 'bytes');

  const socket = await openWebSocket(url);
  const session = await Speaker.over(socket);
  see('open', { instance: await session.instance(), extensions: socket.client.extensions });

  await pingFrame(socket.client);
  await session.ping?.();
  see('pong');

  // Random, so that compression cannot make the message small on the wire.
  const large = randomBytes(Math.ceil((bytes * 3) / 4))
    .toString('base64')
    .slice(0, bytes);
  demand((await session.echo(large)) === large, `a message of ${bytes} bytes came back changed`);
  see('large-message', { bytes });

  const closed = within('answer to the close frame', once(socket.client, 'close'));
  socket.close(1000, 'done');
  const [code] = await closed;
  demand(code === 1000, `the close was answered with ${code} instead of 1000`);
  see('closed', { code });
});

async function pingFrame(client) {
  const payload = randomBytes(16);
  const pong = within('pong frame', once(client, 'pong'));
  client.ping(payload);
  const [back] = await pong;
  demand(payload.equals(back), 'the pong frame carried something else than the ping frame');
}
