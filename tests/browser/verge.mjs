// Runs the `verge` binary as a child process, which never outlives the test.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = path.dirname(fileURLToPath(import.meta.url))
const binary = path.resolve(process.env.VERGE_BIN ?? path.join(here, '../../target/debug/verge'))

// Long enough for an unoptimized build on a busy machine, which also compresses the files.
const READY_TIMEOUT = 120_000
const COMMAND_TIMEOUT = 120_000
const STOP_TIMEOUT = 20_000

const SITE = 'demo'

/**
 * Runs `verge up` with `folder` as its only site (without `folder`, with a site of its own) and an empty home directory
 * until the test `t` ends. Resolves when every edge serves the site. At the end of the test, sends SIGTERM and asserts that
 * `verge up` exits cleanly; if the test failed, prints the stderr of `verge up`.
 */
export async function vergeUp(t, folder) {
  const home = await mkdtemp(path.join(tmpdir(), 'verge-browser-'))
  const args = ['up', '--temp', '--port', '0', '--json', ...(folder ? ['--site', SITE, folder] : [])]
  const child = spawn(binary, args, { cwd: home, env: environment(home), stdio: ['ignore', 'pipe', 'pipe'] })
  const verge = new Verge(child, home)
  t.after(async () => {
    let isClean = false
    try {
      await verge.stop()
      isClean = true
    } finally {
      if (!t.passed || !isClean) console.error(verge.log())
      await rm(home, { recursive: true, force: true })
    }
  })
  await verge.ready()
  return verge
}

class Verge {
  #child
  #home
  #exited
  #stdout = ''
  #stderr = ''

  constructor(child, home) {
    this.#child = child
    this.#home = home
    child.stdout.setEncoding('utf8').on('data', text => (this.#stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (this.#stderr += text))
    // `close` is emitted after all output was read; `error`, instead, if the binary cannot be started.
    this.#exited = new Promise(resolve => {
      child.once('close', (code, signal) => resolve(signal ?? code))
      child.once('error', error => resolve(error.message))
    })
    this.#exited.then(() => running.delete(child))
    running.add(child)
  }

  /** Waits for the line on stdout with the addresses of all daemons. */
  async ready() {
    const line = new Promise(resolve => {
      this.#child.stdout.on('data', () => this.#stdout.includes('\n') && resolve('ready'))
    })
    const exited = this.#exited.then(status => `exited (${status})`)
    const outcome = await within(READY_TIMEOUT, [line, exited], 'timed out')
    if (outcome !== 'ready') throw new Error(`verge up ${outcome}`)
    const { origin, token, edges, sites } = JSON.parse(this.#stdout)
    Object.assign(this, { origin, token, edges, sites })
  }

  /** The URL of a site on one edge. */
  url(edge, route = '/', site = SITE) {
    return `http://${site}.localhost:${new URL(edge.url).port}${route}`
  }

  /** Pushes `folder`; resolves when every edge has confirmed the release. */
  push(folder, site = SITE) {
    return this.#json('push', '--site', site, '--json', folder)
  }

  /** Runs `verge push` in `project` as a person would, without arguments. Resolves to its stdout and stderr. */
  pushProject(project) {
    return this.#run(project, 'push')
  }

  /** Runs `verge check` in `project`. Resolves to its stdout and stderr. */
  check(project) {
    return this.#run(project, 'check')
  }

  /** Rolls back to the previous release; resolves when every edge has confirmed it. */
  rollback() {
    return this.#json('rollback', '--site', SITE, '--json')
  }

  async #json(...args) {
    const { stdout } = await this.#run(this.#home, ...args)
    assert.match(stdout, /^[^\n]+\n$/, `verge ${args[0]} --json prints one line`)
    return JSON.parse(stdout)
  }

  #run(cwd, ...args) {
    const env = { ...environment(this.#home), VERGE_ORIGIN: this.origin, VERGE_TOKEN: this.token }
    // If the command fails, the message of the error contains its stderr.
    return promisify(execFile)(binary, args, { cwd, env, timeout: COMMAND_TIMEOUT })
  }

  /** Sends SIGTERM and asserts that the process exits in time with code 0. */
  async stop() {
    this.#child.kill('SIGTERM')
    const status = await within(STOP_TIMEOUT, [this.#exited], 'timed out')
    if (status === 'timed out') this.#child.kill('SIGKILL')
    assert.equal(status, 0, `verge up should exit with code 0 after SIGTERM: ${status}`)
    assert.match(this.#stdout, /^[^\n]+\n$/, 'verge up --json prints one line')
  }

  /** The stderr of `verge up`. */
  log() {
    return `--- verge up, stderr:\n${this.#stderr}---`
  }
}

/**
 * Sends a GET request to an edge without a browser. Connects to the address of the edge with the site's name as `Host`,
 * since not every resolver resolves names below `localhost`.
 */
export async function get(url, edge, headers = {}) {
  const { hostname, port } = new URL(edge.url)
  const { host, pathname } = new URL(url)
  const sent = request({ hostname, port, path: pathname, headers: { host, ...headers } }).end()
  const [response] = await once(sent, 'response')
  const bytes = Buffer.concat(await response.toArray())
  return { status: response.statusCode, headers: response.headers, bytes, body: bytes.toString() }
}

/** The environment of this process without settings of Verge, such as an origin or a token, and with another home. */
function environment(home) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VERGE|XDG)_/.test(name))
  return { ...Object.fromEntries(inherited), HOME: home }
}

/** The value of the first of `promises` to settle, or `fallback` after the timeout. */
async function within(milliseconds, promises, fallback) {
  const cancel = new AbortController()
  const timeout = sleep(milliseconds, fallback, { signal: cancel.signal })
  timeout.catch(() => {})
  try {
    return await Promise.race([...promises, timeout])
  } finally {
    cancel.abort()
  }
}

// However this process ends, all running `verge up` are killed.
const running = new Set()
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
