// A browser that holds the service worker of an earlier release, which shows its old site from a cache.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { startBrowser, withReader } from './browser.mjs'
import { get, vergeUp } from './verge.mjs'

const options = { timeout: 300_000 }

/** Answers every navigation from its cache, so that no new release is ever seen. */
const WORKER = `
self.addEventListener('install', event => event.waitUntil(caches.open('shell').then(cache => cache.add('/'))))
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()))
self.addEventListener('fetch', event => {
  if (event.request.mode === 'navigate') event.respondWith(caches.match('/'))
})
`

let browser
let folder
before(async () => {
  browser = await startBrowser()
  folder = await mkdtemp(path.join(tmpdir(), 'verge-worker-'))
})
after(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

for (const [name, files, settings] of [
  ['only an earlier release has', {}, ''],
  ['verge.toml names as legacy', { 'sw.js': WORKER }, 'legacy_service_workers = ["/sw.js"]\n'],
]) {
  test(`service worker that ${name} is gone by the second navigation`, options, async t => {
    const old = await site(`old ${name}`, { 'index.html': page('old site', "navigator.serviceWorker.register('/sw.js')"), 'sw.js': WORKER })
    const current = await site(`current ${name}`, { 'index.html': page('new site'), ...files, 'verge.toml': settings })
    const verge = await vergeUp(t, old)
    const [edge] = verge.edges

    await withReader(browser, async reader => {
      const tab = await reader.open(verge.url(edge))
      await tab.expectTitle('old site')
      await tab.waitForWorker()
      await verge.push(current)

      // The former worker answers the first navigation, and the browser looks for a new one in the meantime.
      await tab.reload()
      await tab.waitForNoWorker()
      await tab.reload()
      await tab.expectTitle('new site')
      assert.deepEqual(await tab.cacheNames(), [])
    })
  })
}

test('only a browser that holds a former service worker gets the one that ends itself', options, async t => {
  const verge = await vergeUp(t, await site('first', { 'index.html': page('old site'), 'sw.js': WORKER }))
  await verge.push(await site('second', { 'index.html': page('new site') }))
  for (const edge of verge.edges) {
    const script = { 'service-worker': 'script', 'sec-fetch-dest': 'serviceworker' }
    const former = await get(verge.url(edge, '/sw.js'), edge, script)
    assert.deepEqual([former.status, former.headers['cache-control']], [200, 'no-store'])
    assert.match(former.headers['content-type'], /^text\/javascript/)
    assert.match(former.body, /registration\.unregister/)
    for (const [route, headers] of [['/sw.js', {}], ['/never.js', script]]) {
      const missing = await get(verge.url(edge, route), edge, headers)
      assert.equal(missing.status, 404)
      assert.doesNotMatch(missing.body, /<!doctype|<html/i)
    }
  }
})

/** Writes a site into a folder of its own. */
async function site(name, files) {
  const dir = path.join(folder, name.replaceAll(/[^a-z]/g, '-'))
  await mkdir(dir)
  for (const [file, text] of Object.entries(files)) await writeFile(path.join(dir, file), text)
  return dir
}

function page(title, script = '') {
  const icon = '<link rel="icon" href="data:,">'
  return `<!doctype html><html lang="en"><title>${title}</title>${icon}<h1>${title}</h1><script>${script}</script>`
}
