// A tab of the crawler, and what it sees in the page.

import { setTimeout as sleep } from 'node:timers/promises'

/** How long a page must have sent no request, and shown nothing else, before it counts as loaded. */
const QUIET = 50
const TIMEOUT = 20_000

/** Opens an empty tab. */
export async function openTab(context) {
  return new Tab(await context.newPage())
}

class Tab {
  #page
  #pending = new Set()
  #changed = 0

  constructor(page) {
    this.#page = page
    page.on('request', request => this.#record(() => this.#pending.add(request)))
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, request => this.#record(() => this.#pending.delete(request)))
  }

  #record(change) {
    change()
    this.#changed = Date.now()
  }

  /** Calls `action` with the address of each file that the tab loads. */
  onResponse(action) {
    this.#page.on('response', response => action(response.url()))
  }

  get url() {
    return this.#page.url()
  }

  /** Opens `url` and resolves to its status when the page is loaded. */
  async goto(url) {
    this.#pending.clear()
    const response = await this.#page.goto(url)
    await this.#loaded()
    return response.status()
  }

  async reload() {
    this.#pending.clear()
    await this.#page.reload()
    await this.#loaded()
  }

  async back() {
    await this.#page.goBack()
  }

  /**
   * The path; the heading; the text of the main part, or of everything. `links` are those that a click follows in this tab, each
   * with its place among all; `names` the addresses of all links and files; `anchors` the parts that a link can lead to.
   */
  contents() {
    return this.#page.evaluate(contents)
  }

  /** Clicks on the link with this place among all. */
  async click(place) {
    await this.#page.evaluate(place => {
      window.isSameDocument = true
      document.querySelectorAll('a[href]')[place].click()
    }, place)
  }

  /** Whether the document is still the one of the last click. */
  isSameDocument() {
    return this.#page.evaluate(() => window.isSameDocument === true)
  }

  /** Waits, at most for `patience` milliseconds, until the tab shows the page at `path` with this text; then until that page is loaded. */
  async settle({ path, text }, patience) {
    await this.#page.waitForFunction(shows, { path, text }, { timeout: patience }).catch(() => {})
    await this.#loaded()
  }

  /** Waits until the page is loaded, has sent no request for a moment, and shows a text that stays the same for as long. */
  async #loaded() {
    await this.#page.waitForLoadState()
    const deadline = Date.now() + TIMEOUT
    let text = ''
    for (;;) {
      // A page that is being left cannot answer.
      const shown = await this.#page.evaluate(mainText).catch(() => '')
      if (shown && shown === text && !this.#pending.size && Date.now() - this.#changed >= QUIET) return
      if (Date.now() > deadline) throw new Error(`${this.url} is still loading ${[...this.#pending].map(request => request.url())}`)
      text = shown
      await sleep(QUIET)
    }
  }
}

/** Runs in the page. */
function mainText() {
  return (document.querySelector('main') ?? document.body).innerText.trim()
}

/** Runs in the page. */
function contents() {
  const own = (selector, values) => [...document.querySelectorAll(selector)].flatMap(values)
  const links = own('a[href]', ({ href, target, download }, place) => ({ href, place, isFollowed: target !== '_blank' && !download }))
  return {
    path: location.pathname,
    title: (document.querySelector('h1')?.textContent ?? document.title).trim(),
    text: (document.querySelector('main') ?? document.body).innerText.trim(),
    links: links.filter(({ isFollowed }) => isFollowed),
    names: [
      ...links.map(({ href }) => href),
      ...own('link[href]', ({ rel, href }) => (/dns-prefetch|preconnect/.test(rel) ? [] : href)),
      ...own('[src]', ({ src }) => src || []),
      ...own('[srcset]', ({ srcset }) => srcset.split(',').map(candidate => candidate.trim().split(/\s+/)[0])),
    ],
    anchors: own('[id], a[name]', ({ id, name }) => id || name),
  }
}

/** Runs in the page. */
function shows({ path, text }) {
  return location.pathname === path && (document.querySelector('main') ?? document.body).innerText.trim() === text
}
