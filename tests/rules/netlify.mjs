// The published parsers and engine of Netlify: what they answer to requests.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllHeaders } from '@netlify/headers-parser';
import { parseAllRedirects } from '@netlify/redirect-parser';

const engine = createRequire(import.meta.url)('netlify-redirector');

/** Files in a folder of their own, while `use` runs. */
export async function withFolder(use) {
  const folder = await mkdtemp(join(tmpdir(), 'verge-rules-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The path of `netlify.toml`, if there is one. */
async function configFile(folder, texts) {
  if (texts.toml === undefined) return undefined;
  const path = join(folder, 'netlify.toml');
  await writeFile(path, texts.toml);
  return path;
}

/** The rule that applies to each request, as `[status, location, is forced]`, and the messages of the parser. */
export async function redirects(folder, texts, requests) {
  const options = { redirectsFiles: [], minimal: false };
  if (texts.redirects !== undefined) {
    options.redirectsFiles.push(join(folder, '_redirects'));
    // The parser keeps a byte order mark as a part of the first path.
    await writeFile(options.redirectsFiles[0], texts.redirects.replace(/^\ufeff/, ''));
  }
  options.netlifyConfigPath = await configFile(folder, texts);
  const { redirects, errors } = await parseAllRedirects(options);
  const rules = redirects.map(({ query, ...rule }) => ({ ...rule, params: query, status: rule.status ?? 301 }));
  const parser = await engine.parseJSON(JSON.stringify(rules), {});
  const found = requests.map(([scheme, host, path, query]) => {
    const match = parser.match({ scheme, host, path, query, headers: {}, getHeader: () => '', getCookie: () => '' });
    return match ? [match.status, match.to, match.force] : null;
  });
  parser.delete?.();
  return { found, errors };
}

/** The headers of each request, by name in lowercase, and the messages of the parser. */
export async function headers(folder, texts, requests) {
  const options = { headersFiles: [], minimal: false };
  if (texts.headers !== undefined) {
    options.headersFiles.push(join(folder, '_headers'));
    await writeFile(options.headersFiles[0], texts.headers.replace(/^\ufeff/, ''));
  }
  options.netlifyConfigPath = await configFile(folder, texts);
  const { headers, errors } = await parseAllHeaders(options);
  const found = requests.map(([, , path]) => {
    const all = {};
    for (const rule of headers.filter((rule) => rule.forRegExp.test(path))) {
      for (const [name, value] of Object.entries(rule.values)) all[name.toLowerCase()] = value;
    }
    return all;
  });
  return { found, errors };
}
