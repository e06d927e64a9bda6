// Starts backends, and runs the scripts as the tests of the edge do: as programs that print and end.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from '../lib/wait.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SAMPLE = process.env.KARMAN_SAMPLE ?? here('../../../../target/debug/karman-sample');

const backends = [];

export function startSockJs(instance) {
  return start(process.execPath, [here('../sockjs-backend.mjs'), '--instance', instance]);
}

export function startSample(instance, data) {
  if (!existsSync(SAMPLE)) {
    throw new Error(
      `${SAMPLE} is missing: cargo build -p karman-bench --bin karman-sample, or name another in KARMAN_SAMPLE`,
    );
  }
  return start(SAMPLE, ['--listen', '127.0.0.1:0', '--instance', instance, '--data', data]);
}

// A backend that has said where it listens.
async function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  backends.push(child);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const firstLine = new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const url = (await within(`address of ${command}`, firstLine)).replace('listening on ', '');
  const kill = () => (child.kill('SIGKILL'), ended);
  return { url, kill };
}

// Whatever was started, even where starting all of it did not work out: a child that stays would keep a test waiting.
export function killBackends() {
  for (const child of backends) child.kill('SIGKILL');
}

// A script at work: `seen` is what it printed so far, `ended` how it ended.
export function run(script, args) {
  const child = spawn(process.execPath, [here(`../${script}`), ...args]);
  const seen = [];
  let complaint = '';
  let onSeen = () => {};
  createInterface({ input: child.stdout }).on('line', (line) => {
    seen.push(JSON.parse(line));
    onSeen();
  });
  child.stderr.on('data', (text) => (complaint += text));
  return {
    seen,
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, seen, complaint }))),
    says: (line) => child.stdin.write(`${line}\n`),
    sees: (what) =>
      within(
        `"${what}" from ${script}`,
        new Promise((resolve) => {
          onSeen = () => seen.some((observation) => observation.seen === what) && resolve();
          onSeen();
        }),
      ),
  };
}
