// A real browser, and readers in it whose every complaint is heard.

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { chromium } from 'playwright-core'

const PATIENCE = 20_000

/** Starts Chromium with a fresh profile, which goes when it is closed. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
    ],
  })
}

/**
 * Lets one reader, with a cache of their own, do `what`; then asserts that in none of their tabs anything
 * went wrong: no error or warning in the console, no uncaught exception, no failed request.
 */
export async function reading(browser, what) {
  const context = await browser.newContext()
  context.setDefaultTimeout(PATIENCE)
  const reader = new Reader(context)
  try {
    await what(reader)
    assert.deepEqual(reader.troubles, [], 'the browser has nothing to complain about')
  } catch (error) {
    // A page that never showed what it should is seldom the cause: tell what the browser saw before.
    if (reader.troubles.length) console.error('the browser complained:', reader.troubles)
    throw error
  } finally {
    await context.close()
  }
}

class Reader {
  troubles = []
  #context

  constructor(context) {
    this.#context = context
    context.on('console', message => {
      const { url } = message.location()
      if (/^(error|warning|assert)$/.test(message.type())) this.troubles.push(`${message.type()}: ${message.text()} (${url})`)
    })
    context.on('weberror', event => this.troubles.push(`exception: ${event.error()}`))
    context.on('requestfailed', request => this.troubles.push(`failed: ${request.url()} (${request.failure()?.errorText})`))
    context.on('response', response => {
      if (response.status() >= 400) this.troubles.push(`${response.status()}: ${response.url()}`)
    })
  }

  /** Opens `url` in a new tab and tells which release and which edge answered. */
  async open(url) {
    const page = await this.#context.newPage()
    const scripts = []
    page.on('response', response => {
      const { pathname } = new URL(response.url())
      if (pathname.endsWith('.js')) scripts.push(pathname)
    })
    const response = await page.goto(url)
    const { 'verge-release': release, 'verge-edge': edge } = response.headers()
    return new Tab(page, scripts, { status: response.status(), release, edge })
  }
}

class Tab {
  #page
  #scripts

  constructor(page, scripts, answer) {
    this.#page = page
    this.#scripts = scripts
    /** Status, release and edge of the page itself. */
    this.answer = answer
  }

  /** Comes back to this tab: those behind others are slowed down. */
  async turnTo() {
    await this.#page.bringToFront()
  }

  /** Follows a link by clicking on it, and waits for the page with that title. */
  async follow(link, title = link) {
    await this.#page.getByRole('link', { name: link, exact: true }).click()
    await this.isAt(title)
  }

  async reload() {
    await this.#page.reload()
  }

  /** Waits for the page with this title. */
  async isAt(title) {
    await this.#appears(this.#page.getByRole('heading', { name: title, exact: true, level: 1 }), `a page titled "${title}"`)
  }

  /** Waits for the element with this test id to read `text`, no more and no less. */
  async shows(id, text) {
    await this.#appears(this.#page.getByTestId(id).and(this.#page.getByText(text, { exact: true })), `"${text}" as the ${id}`)
  }

  async #appears(locator, what) {
    try {
      await locator.waitFor()
    } catch (error) {
      const text = await this.#page.locator('body').innerText()
      throw new Error(`${this.#page.url()} should show ${what}, but shows:\n${text}`, { cause: error })
    }
  }

  /** Waits for the image with this test id to have arrived and been decoded. */
  async hasPicture(id) {
    const image = this.#page.getByTestId(id)
    await image.evaluate(image => image.decode())
    assert.ok((await image.evaluate(image => image.naturalWidth)) > 0, 'the picture has a width')
  }

  /**
   * Waits for the fonts of this page, and asserts that `family` is one of those that came. (`fonts.check`
   * alone also says yes to a family that no style sheet names.)
   */
  async hasFont(family) {
    const faces = await this.#page.evaluate(async family => {
      await document.fonts.ready
      const faces = [...document.fonts].filter(face => face.family.replaceAll('"', '') === family)
      return { statuses: faces.map(face => face.status), usable: document.fonts.check(`1em "${family}"`) }
    }, family)
    assert.deepEqual(faces, { statuses: ['loaded'], usable: true })
  }

  /** The paths of the scripts that came while doing `what`, the cache's included. */
  async scriptsDuring(what) {
    const before = this.#scripts.length
    await what()
    return this.#scripts.slice(before)
  }

  /** Keeps a picture of the tab in the folder $SCREENSHOTS, if there is one. */
  async photograph(name) {
    if (!process.env.SCREENSHOTS) return
    await mkdir(process.env.SCREENSHOTS, { recursive: true })
    await this.#page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}.png`) })
  }
}
