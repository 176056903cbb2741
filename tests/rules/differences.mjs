// What differs from Netlify on purpose: docs/FORMATS.md, "Differences from Netlify", has the reasons.

/** A location without what is written in another way here: doubled slashes, spaces, and a target without a path. */
export function normalized(location) {
  location = location.replaceAll('+', '%20');
  const [, origin = '', rest] = /^(https?:\/\/[^/?#]+)?(.*)$/s.exec(location);
  const [, path, tail] = /^([^?#]*)(.*)$/s.exec(rest);
  return origin + (path || '/').replace(/\/{2,}/g, '/') + tail;
}

/** Header values as Netlify's parser writes them: one space after each comma. */
export function normalizedValues(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.split(/\s*,\s*/).join(', ')]));
}

/** Whether a redirect leads to the request itself: Netlify's engine finds some of them, and its server ignores them. */
export function leadsToItself([status, location], [scheme, host, path]) {
  const trimmed = (text) => normalized(text).replace(/[?#].*$/, '').replace(/\/$/, '');
  const target = location.startsWith('/') ? `${scheme}://${host}${location}` : location;
  return status >= 300 && status < 400 && trimmed(target) === trimmed(`${scheme}://${host}${path}`);
}
