// Runs one scenario as a program: arguments in, a JSON line per observation out, an exit code at the end.
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { everyNameIsThisMachine } from './loopback.mjs';

const HELD = 0;
const FAILED = 1;
const USAGE = 64;

// The scenario did not hold. Its message is all that is shown; a stack would only point at our own lines.
export class Failed extends Error {}

// The command line asks for something that does not exist.
export class Misused extends Error {}

export function demand(holds, otherwise) {
  if (!holds) throw new Failed(otherwise);
}

// `run` gets the URL, the options and `see`, which prints an observation. A scenario ends the process:
// what a client library leaves open must not keep a test waiting.
export async function scenario({ usage, options = {}, positionals = ['URL'] }, run) {
  const name = basename(process.argv[1]);
  try {
    everyNameIsThisMachine();
    await run({ ...readArguments(positionals, options), see });
    process.exit(HELD);
  } catch (error) {
    if (error instanceof Misused) {
      console.error(`${name}: ${error.message}\nusage: ${name} ${usage}`);
      process.exit(USAGE);
    }
    console.error(`${name}: ${error instanceof Failed ? error.message : (error.stack ?? JSON.stringify(error))}`);
    process.exit(FAILED);
  }
}

export function choice(options, name, allowed) {
  if (!allowed.includes(options[name])) {
    throw new Misused(`--${name} takes ${allowed.join(' or ')}, not ${options[name] ?? 'nothing'}`);
  }
  return options[name];
}

export function count(options, name, least = 1) {
  const number = Number(options[name]);
  if (!Number.isInteger(number) || number < least) {
    throw new Misused(`--${name} takes a whole number from ${least} up, not ${options[name]}`);
  }
  return number;
}

function readArguments(names, options) {
  const { values, positionals } = parse({ host: { type: 'string' }, ...options });
  if (positionals.length !== names.length) {
    throw new Misused(`${names.join(', ')} wanted, ${positionals.length} given`);
  }
  const named = Object.fromEntries(names.map((name, at) => [name, positionals[at]]));
  return { url: address(named.URL, values.host), out: named.OUT, options: values };
}

function parse(options) {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new Misused(error.message);
  }
}

// With `--host` the name moves into the URL, so that every client sends it as it would in life.
function address(base, host) {
  let url;
  try {
    url = new URL(base);
  } catch {
    throw new Misused(`${base} is not a URL`);
  }
  if (host) url.hostname = host;
  return url;
}

function see(what, details = {}) {
  console.log(JSON.stringify({ seen: what, ...details }));
}
