// An app that sends every WebSocket message back, each before it reads on, so that the verdicts do not hang on
// how the bytes were cut into packets.
import { createRequire } from 'node:module';

// Of the tests' clients, which have the package installed.
const { WebSocketServer } = createRequire(new URL('../clients/package.json', import.meta.url))('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), allowSynchronousEvents: true });
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  // It is sent bad input by the hundred.
  socket.on('error', () => {});
});
