// A site with a service worker that Workbox generates: what readers who hold an earlier worker see after the next release.

import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBrowser, withReader } from './browser.mjs'
import { vergeUp } from './verge.mjs'

const sites = path.join(path.dirname(fileURLToPath(import.meta.url)), '../sites')
const build = name => path.join(sites, 'workbox', name)
const options = { timeout: 300_000 }

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('Workbox site whose new worker takes over shows each release to all tabs without being asked, and the last one without a network', options, async t => {
  const verge = await vergeUp(t, build('dist'))
  const url = verge.url(verge.edges[0])

  await withReader(browser, async reader => {
    const old = await reader.open(url)
    await old.waitForWorker()
    await verge.push(build('dist-second'))
    const fresh = await reader.open(url)
    await fresh.expectText('edition', 'second edition')
    await old.bringToFront()
    await old.expectText('edition', 'second edition')

    await verge.rollback()
    const last = await reader.open(url)
    await last.expectText('edition', 'first edition')

    await verge.stop()
    await last.reload()
    await last.expectText('edition', 'first edition')
    await last.clickLink('Lights')
    await last.clickLink('About')
    await last.reload()
    await last.expectTitle('About')
    await last.clickLink('Light list')
  })
})

test('Workbox site whose new worker waits shows the next release once the old tabs are closed', options, async t => {
  const verge = await vergeUp(t, build('dist-waiting'))
  const url = verge.url(verge.edges[0])

  await withReader(browser, async reader => {
    const old = await reader.open(url)
    await old.waitForActiveWorker()
    await verge.push(build('dist-waiting-second'))
    const fresh = await reader.open(url)
    assert.equal(fresh.response.release, 'v1', 'the old worker answers')
    await fresh.expectText('edition', 'first edition')
    await fresh.waitForWaitingWorker()
    await old.close()
    await fresh.close()

    // The browser may still be ending the old worker when the next visit begins.
    const editions = []
    for (let visit = 0; visit < 10 && editions.at(-1) !== 'second edition'; visit++) {
      const tab = await reader.open(url)
      editions.push(await tab.textOf('edition'))
      await tab.close()
    }
    assert.equal(editions.at(-1), 'second edition', `visits show ${editions}`)
  })
})

test('Workbox worker that the next release does not have ends without being asked', options, async t => {
  const verge = await vergeUp(t, build('dist'))

  await withReader(browser, async reader => {
    const tab = await reader.open(verge.url(verge.edges[0]))
    await tab.waitForWorker()
    await verge.push(path.join(sites, 'astro/dist'))
    // The former worker answers this one, and the one that ends it loads the page again.
    await tab.reload()
    await tab.expectTitle('Tide tables')
    await tab.waitForNoWorker()
    assert.deepEqual(await tab.cacheNames(), [])
  })
})
