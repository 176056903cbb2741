// What a reader sees of a React build that Verge serves from three edges, while releases come and go.

import assert from 'node:assert/strict'
import { access, readdir } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { reading, startBrowser } from './browser.mjs'
import { get, vergeUp } from './verge.mjs'

const sites = path.join(path.dirname(fileURLToPath(import.meta.url)), '../sites')
const FIRST = path.resolve(process.env.REACT_FIRST ?? path.join(sites, 'react/dist'))
const SECOND = path.resolve(process.env.REACT_SECOND ?? path.join(sites, 'react/dist-second'))

/** How often the four lights, of 4, 6, 10 and 15 seconds, flash together: each minute of twelve hours. */
const TOGETHER = '720'

const limit = { timeout: 300_000 }

// One browser for all: each reader in it has a cache of their own, each test a `verge up` of its own.
let browser
before(async () => {
  for (const folder of [FIRST, SECOND]) {
    await access(path.join(folder, 'index.html')).catch(() => {
      throw new Error(`${folder} holds no build: run \`yarn build\` and \`yarn build:second\` in tests/sites/react`)
    })
  }
  browser = await startBrowser()
})
after(() => browser?.close())

test('one release, read', limit, async t => {
  const verge = await vergeUp(t, FIRST)
  assert.equal(verge.edges.length, 3)

  for (const edge of verge.edges) {
    await t.test(`the whole page loads from ${edge.name}: scripts, picture, font, worker`, () =>
      reading(browser, async reader => {
        const tab = await reader.open(verge.url(edge))
        assert.deepEqual(tab.answer, { status: 200, release: 'v1', edge: edge.name })
        await tab.shows('edition', 'first edition')
        await tab.hasPicture('picture')
        await tab.hasFont('Young Serif')
        await tab.photograph(`first-${edge.name}`)
        await tab.follow('One night')
        await tab.shows('answer', TOGETHER)
        await tab.shows('worker-edition', 'first edition')
      }))
  }

  await t.test('a client-side route still renders after a reload, and when entered by its address', () =>
    reading(browser, async reader => {
      const [edge] = verge.edges
      const tab = await reader.open(verge.url(edge))
      await tab.follow('The lights')
      await tab.follow('Long Ness')
      await tab.reload()
      await tab.isAt('Long Ness')
      await tab.shows('edition', 'first edition')

      const shared = await reader.open(verge.url(edge, '/lights/long-ness'))
      assert.equal(shared.answer.status, 200)
      await shared.isAt('Long Ness')
    }))

  await t.test('a script that no release holds is missing: no page in its stead, nothing to cache', async () => {
    for (const edge of verge.edges) {
      for (const headers of [{}, { accept: '*/*', 'sec-fetch-dest': 'script' }]) {
        const answer = await get(verge.url(edge, '/assets/nope-12345678.js'), edge, headers)
        assert.equal(answer.status, 404)
        assert.equal(answer.headers['cache-control'], 'no-store')
        assert.doesNotMatch(answer.headers['content-type'] ?? '', /html/)
        assert.doesNotMatch(answer.body, /<!doctype|<html/i)
      }
    }
  })
})

test('a second release, while tabs are open on the first', limit, async t => {
  const verge = await vergeUp(t, FIRST)

  await reading(browser, async reader => {
    const old = await openEverywhere(reader, verge, 'v1', 'first edition')

    const pushed = await verge.push(SECOND)
    assert.deepEqual([pushed.site, pushed.release], ['demo', 'v2'])

    const fresh = await openEverywhere(reader, verge, 'v2', 'second edition')
    await fresh[0].photograph('second')
    for (const tab of old) await walksOnIn(tab, 'first edition', await onlyIn(FIRST, SECOND))
    for (const tab of fresh) await walksOnIn(tab, 'second edition', await onlyIn(SECOND, FIRST))
    await old[0].photograph('first-in-an-old-tab')
  })
})

test('a rollback, while tabs are open on the second release', limit, async t => {
  const verge = await vergeUp(t, FIRST)
  await verge.push(SECOND)

  await reading(browser, async reader => {
    const old = await openEverywhere(reader, verge, 'v2', 'second edition')

    await verge.rollback()

    const fresh = await openEverywhere(reader, verge, 'v1', 'first edition')
    await fresh[0].photograph('first-after-rollback')
    for (const tab of old) await walksOnIn(tab, 'second edition', await onlyIn(SECOND, FIRST))
    for (const tab of fresh) await walksOnIn(tab, 'first edition', await onlyIn(FIRST, SECOND))
  })
})

/** Opens the home page once on every edge and asserts which release each shows. */
async function openEverywhere(reader, verge, release, edition) {
  const tabs = []
  for (const edge of verge.edges) {
    const tab = await reader.open(verge.url(edge))
    assert.deepEqual(tab.answer, { status: 200, release, edge: edge.name })
    await tab.shows('edition', edition)
    tabs.push(tab)
  }
  return tabs
}

/**
 * Visits every page by clicking, from the home page on. Asserts that each is of the edition that the tab was
 * opened on, and that its scripts were asked for just now, under names (`own`) that the other release lacks.
 */
async function walksOnIn(tab, edition, own) {
  await tab.turnTo()
  for (const [link, chunk] of [['The lights', 'Lights'], ['Black Skerry', 'Light'], ['One night', 'Night']]) {
    const scripts = await tab.scriptsDuring(async () => {
      await tab.follow(link)
      await tab.shows('edition', edition)
    })
    const names = scripts.map(script => path.basename(script))
    assert.ok(names.some(name => name.startsWith(`${chunk}-`) && own.has(name)), `${link}: ${chunk} among ${names}`)
  }
  await tab.shows('answer', TOGETHER)
  await tab.shows('worker-edition', edition)
}

/** The names of the files in `assets/` that one build holds and another does not. */
async function onlyIn(build, other) {
  const [names, others] = await Promise.all([build, other].map(folder => readdir(path.join(folder, 'assets'))))
  return new Set(names.filter(name => !others.includes(name)))
}
