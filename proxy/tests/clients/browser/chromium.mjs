// A fresh Chromium for one scenario: every name is this machine, and a failure leaves a picture of what was on screen.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Failed } from '../lib/scenario.mjs';

const FLAGS = [
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--host-resolver-rules=MAP * 127.0.0.1',
];

// `spki` is the SHA-256, in base64, of a public key that is believed without any CA.
export async function withChromium({ out, name, spki }, run) {
  mkdirSync(out, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Root and containers have no sandbox to give, and only pages of our own are opened.
    chromiumSandbox: false,
    args: spki ? [...FLAGS, `--ignore-certificate-errors-spki-list=${spki}`] : FLAGS,
  });
  try {
    return await run(browser);
  } catch (failure) {
    await photograph(browser, join(out, `${name}-failed`));
    throw clearly(failure);
  } finally {
    await browser.close();
  }
}

// What Playwright could not do on a page is a scenario's failure, and its first line says it all.
function clearly(failure) {
  return /^(page|locator)\./.test(failure.message) ? new Failed(failure.message.split('\n')[0]) : failure;
}

async function photograph(browser, path) {
  const pages = browser.contexts().flatMap((context) => context.pages());
  for (const [n, page] of pages.entries()) {
    // The failure is what matters: a page that cannot be photographed must not hide it.
    await page.screenshot({ path: `${path}-${n + 1}.png` }).catch(() => {});
  }
}
