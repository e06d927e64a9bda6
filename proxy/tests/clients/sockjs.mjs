// sockjs-client in Node: sessions one after another, each of which must be served by one instance from first to last.
import { choice, count, demand, Misused, scenario } from './lib/scenario.mjs';
import { speakers } from './lib/speakers.mjs';
import { openSockJs } from './lib/sockets.mjs';
import { watch } from './lib/wire.mjs';

const usage = `URL --transport websocket|xhr-polling --cookies yes|no
         [--host NAME] [--speak ddp|echo] [--sessions 8] [--messages 10]`;
const options = {
  transport: { type: 'string' },
  cookies: { type: 'string' },
  speak: { type: 'string', default: 'ddp' },
  sessions: { type: 'string', default: '8' },
  messages: { type: 'string', default: '10' },
};

await scenario({ usage, options }, async ({ url, options, see }) => {
  const transport = choice(options, 'transport', ['websocket', 'xhr-polling']);
  const cookies = choice(options, 'cookies', ['yes', 'no']) === 'yes';
  const Speaker = speakers[choice(options, 'speak', Object.keys(speakers))];
  const sessions = count(options, 'sessions');
  const messages = count(options, 'messages');
  if (cookies && sessions < 2)
    throw new Misused('--cookies yes takes two sessions: one to get a cookie, one to show it');

  const wire = watch({ cookies });
  const served = [];
  for (let session = 1; session <= sessions; session++) {
    const instance = await holdSession({ url, transport, Speaker, messages, wire });
    see('session', { session, transport, instance, messages, requests: tally(wire.requests.splice(0)) });
    served.push(instance);
  }

  const instances = [...new Set(served)];
  see('sessions', { count: sessions, cookies: wire.jar?.names ?? [], carried: wire.jar?.carried ?? 0, instances });
  if (cookies) {
    demand(wire.jar.names.length > 0, 'no answer set a cookie');
    demand(instances.length === 1, `the cookie did not stick: ${sessions} sessions went to ${instances.join(', ')}`);
  }
});

// One session: says who served it, after making sure that nobody else did.
async function holdSession({ url, transport, Speaker, messages, wire }) {
  const socket = await openSockJs(url, transport);
  const session = await Speaker.over(socket);
  const instance = await session.instance();
  await session.writeTodo?.();
  for (let n = 1; n <= messages; n++) {
    const message = `message ${n} "quoted" \u2603`;
    demand((await session.echo(message)) === message, `message ${n} came back changed`);
    const now = await session.instance();
    demand(now === instance, `the session moved from ${instance} to ${now}`);
  }
  socket.close();
  const named = new Set(wire.requests.filter(({ kind }) => kind !== 'info').map((request) => request.instance));
  demand(named.size === 1, `the answers of one session came from ${[...named].join(', ')}`);
  return instance;
}

// How many requests of each kind: {"info":1,"xhr":12,"xhr_send":11}.
function tally(requests) {
  const counts = {};
  for (const { kind } of requests) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
