// Makes every host name mean this machine: Node leaves *.localhost to the system's resolver, which may not know it,
// and a test's traffic has no business anywhere else.
import dns from 'node:dns';

const LOOPBACK = '127.0.0.1';

// `net` looks `dns.lookup` up at every connection, so all clients built on it obey: http, ws, faye-websocket, fetch.
export function everyNameIsThisMachine() {
  const lookup = dns.lookup;
  dns.lookup = (_name, ...rest) => lookup(LOOPBACK, ...rest);
}
