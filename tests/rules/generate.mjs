// Random rule files and requests for them, from few words, so that many rules match.

const literals = ['a', 'b', 'c', 'long-name', 'x.html', 'v1.2'];
const placeholders = [':one', ':two', ':id'];

function redirectPath(draw) {
  const segment = () =>
    draw.is(0.6) ? draw.of(literals) : draw.is(0.6) ? draw.of(placeholders) : draw.is(0.5) ? '*' : draw.of(['x-:one', 'a*', ':', '*.html']);
  const segments = draw.many(draw.count(0, 4), segment);
  // Several wildcards capture other texts, or are an error here (docs/FORMATS.md).
  const isWildcard = (part) => part === '*' || part === 'a*';
  let wildcards = 0;
  const kept = segments.filter((part) => !isWildcard(part) || (wildcards += 1) === 1);
  const end = draw.is(0.3) && wildcards === 0 ? ['*'] : [];
  return '/' + [...kept, ...end].join('/') + (draw.is(0.15) && kept.length + end.length > 0 ? '/' : '');
}

function target(draw) {
  const path = '/' + draw.many(draw.count(0, 3), () => draw.of([...literals, ...placeholders, ':splat', 'p:one'])).join('/');
  const host = draw.is(0.2) ? draw.of(['https://other.example', 'http://other.example:8080']) : '';
  const query = draw.is(0.2) ? draw.of(['?q=:id', '?q=1', '?s=:splat&t=2']) : '';
  const fragment = draw.is(0.1) ? '#part' : '';
  return host + path + query + fragment;
}

/** A line of `_redirects`. */
function redirectLine(draw) {
  const separator = () => draw.of([' ', '  ', '\t']);
  const from = redirectPath(draw);
  const site = draw.is(0.15) ? draw.of(['https://www.site.example', 'http://www.site.example', 'https://other.example']) : '';
  const query = draw.is(0.2) ? draw.of([['id=:id'], ['q=1'], ['q=1', 'id=:id'], ['id=2']]) : [];
  // Netlify compares the text of a path with that of the target below a wildcard, so that redirects do not repeat themselves: here it is
  // told by patterns (docs/FORMATS.md).
  const plain = target(draw);
  const to = from.includes('*') && plain.startsWith('/') ? `/target${plain}` : plain;
  const isRemote = to.startsWith('http');
  const status = draw.is(0.3) ? '' : draw.of(isRemote ? ['301', '302', '307'] : ['200', '301', '302', '303', '307', '308', '404', '410']);
  const force = status !== '' && draw.is(0.2) ? '!' : '';
  const comment = draw.is(0.1) ? '# for now' : '';
  const words = [site + from, ...query, to, status + force, comment].filter((word) => word !== '');
  return words.join(separator());
}

/** The text of `_redirects`. */
export function redirectsFile(draw) {
  const line = () => (draw.is(0.1) ? draw.of(['', '# comment', '   ']) : redirectLine(draw));
  const start = draw.is(0.05) ? '\ufeff' : '';
  return start + draw.many(draw.count(1, 8), line).join(draw.of(['\n', '\r\n']));
}

/** `[scheme, host, path, query]`. */
export function request(draw) {
  const segments = draw.many(draw.count(0, 4), () => draw.of([...literals, 'other', 'x%20y', 'ab', 'A']));
  const path = '/' + segments.join('/') + (draw.is(0.2) && segments.length > 0 ? '/' : '');
  const query = draw.is(0.4) ? draw.of(['id=1', 'id=2&q=1', 'q=1', 'id=', 'id', 'id=a%2Fb&z', 'q=2&q=1', 'id=x+y']) : '';
  return [draw.of(['https', 'http']), draw.of(['www.site.example', 'other.example']), path, query];
}

/** A request for header rules: no segment begins with another, since `/a/*` matches `/ab` at Netlify (docs/FORMATS.md). */
export function headerRequest(draw) {
  const segments = draw.many(draw.count(0, 4), () => draw.of([...literals, 'other', 'A', 'zb', 'one-name']));
  return ['https', 'www.site.example', '/' + segments.join('/') + (draw.is(0.2) && segments.length > 0 ? '/' : ''), ''];
}

function headersPath(draw) {
  const segment = () =>
    draw.is(0.6) ? draw.of([...literals, 'A']) : draw.of(['*', ':one', '*', 'a*', '*b', '*-name', 'l*e', 'x-:one']);
  const segments = draw.many(draw.count(0, 3), segment);
  return '/' + segments.join('/') + (draw.is(0.15) && segments.length > 0 ? '/' : '');
}

/** The text of `_headers`. */
export function headersFile(draw) {
  const name = () => draw.of(['X-A', 'x-b', 'Link', 'Cache-Control']);
  const value = () => draw.of(['1', 'two words', 'a:b', '</a.css>; rel=preload', 'public, max-age=60']);
  const header = () => `${draw.of(['  ', '\t', ''])}${name()}${draw.of([': ', ':', ' : '])}${value()}`;
  const block = () => [headersPath(draw), ...draw.many(draw.count(0, 3), header), ...(draw.is(0.1) ? ['# comment', ''] : [])];
  return draw.many(draw.count(1, 5), block).flat().join(draw.of(['\n', '\r\n']));
}
