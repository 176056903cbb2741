// The media types that browsers need for the files of a build: a table of its own, which the tests hold against the server's.

import path from 'node:path'

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/vnd.microsoft.icon',
  '.ics': 'text/calendar; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml',
}

/** The `Content-Type` of the file at `pathname`; a path without an extension is that of a page. */
export function expectedType(pathname) {
  return TYPES[path.posix.extname(pathname) || '.html'] ?? `a type of "${path.posix.extname(pathname)}", which tests/browser/types.mjs lacks`
}
