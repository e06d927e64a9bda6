// Collects what a visitor with the developer tools open would frown at.

// `status` is the page's own expected status: Chromium logs one from 400 up as an error, and this one is none.
export function troublesOf(page, url, status) {
  const troubles = [];
  page.on('pageerror', (error) => troubles.push(`script failed: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const ownStatus = message.location().url === url.href && message.text().includes(` ${status} `);
    if (!ownStatus) troubles.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && host !== url.host) troubles.push(`outside request: ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    troubles.push(`failed request: ${request.url()} ${request.failure()?.errorText}`);
  });
  return troubles;
}
