import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {login} from '../support/field.js'
import type {Way} from './ways.js'

/** Milliseconds from a byte that is typed to its echo. */
export interface Echo {
  way: string
  median: number
  p99: number
}

/**
 * Resident memory of the proxy, kB. What V8 gives back in the meantime may outweigh it: less than nothing is to be read as
 * less than what can be seen.
 */
export interface Idle {
  sessions: number
  eachTakes: number
  /** Of what each takes, what is left when they are gone and the proxy has had a while. */
  eachLeaves: number
}

function session(way: Way, command: string): ChildProcess {
  const where = ['-p', String(way.port), `${login}@127.0.0.1`, command]
  const env = {PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: 'C', ...way.env}
  return spawn('ssh', [...way.options, ...where], {stdio: ['pipe', 'pipe', 'ignore'], env})
}

async function said(child: ChildProcess): Promise<void> {
  const left = once(child, 'exit').then(([code]) => {
    throw new Error(`ssh ended with ${String(code)}`)
  })
  left.catch(() => undefined)
  await Promise.race([once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data'), left])
}

async function leave(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill()
  await gone
}

/** Types `count` bytes, each when the one before has come back. */
export async function measureEcho(way: Way, count: number): Promise<Echo> {
  const child = session(way, 'exec cat')
  const times: number[] = []
  // The first ones are for code that is not compiled yet.
  for (let index = -20; index < count; index++) {
    const began = performance.now()
    child.stdin?.write('x')
    await said(child)
    if (index >= 0) times.push(performance.now() - began)
  }
  await leave(child)
  times.sort((a, b) => a - b)
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return {way: way.name, median: at(0.5), p99: at(0.99)}
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, milliseconds))

const residentKilobytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** Opens sessions that do nothing, each a connection of its own, twice: the first time only warms the proxy up. */
export async function measureIdle(way: Way, sessions: number): Promise<Idle> {
  const pid = way.pid ?? 0
  /** V8 collects garbage a while after the last work. */
  const settled = async (): Promise<number> => {
    await pause(25_000)
    return residentKilobytes(pid)
  }
  const open = async (): Promise<ChildProcess[]> => {
    const children: ChildProcess[] = []
    for (let index = 0; index < sessions; index++) {
      const child = session(way, 'echo here; exec sleep 1000')
      await said(child)
      children.push(child)
    }
    return children
  }
  for (const child of await open()) await leave(child)
  const before = await settled()
  const children = await open()
  const full = await settled()
  for (const child of children) await leave(child)
  const after = await settled()
  return {sessions, eachTakes: (full - before) / sessions, eachLeaves: Math.max(0, after - before) / sessions}
}
