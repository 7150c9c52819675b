import {execFileSync} from 'node:child_process'
import {mkdirSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {run} from '../support/process.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

// Programs of sessions while their node has no descriptors left. Each probe is a process of its own, whose limit is
// changed from outside.

const ownName = execFileSync('id', ['-un'], {encoding: 'utf8'}).trim()
const source = new URL('../../src/lib/node/process/index.ts', import.meta.url).href

const prelude = `
  const {spawn} = await import('node:child_process')
  const {once} = await import('node:events')
  const {readdirSync} = await import('node:fs')
  const {resolveAccount, startProcess} = await import(${JSON.stringify(source)})
  const account = await resolveAccount(${JSON.stringify(ownName)})
  const terminal = {term: 'xterm', columns: 80, rows: 24, modes: Buffer.alloc(0)}
  const program = {kind: 'command', command: 'echo in; read x'}
  const begin = options => startProcess({account, environment: {PATH: '/usr/bin:/bin'}, program, ...options})
  const open = () => readdirSync('/proc/self/fd').map(Number)
  // It has what it takes before there is too little.
  const loop = 'while read count; do prlimit --pid ' + process.pid + ' --nofile=$count:; echo done; done'
  const helper = spawn('sh', ['-c', loop], {stdio: ['pipe', 'pipe', 'inherit']})
  const limit = async count => {
    helper.stdin.write(count + '\\n')
    await once(helper.stdout, 'data')
  }
  const first = await begin({terminal})
  first.kill()
  await first.exited`

async function probe(script: string, temporary = temporaryDirectory()): Promise<string> {
  const text = `${prelude}\n${script}\nhelper.kill()`
  const {code, stdout, stderr} = await run(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', text],
    {cwd: process.cwd(), deadline: 60_000, env: {TMPDIR: temporary}},
  )
  return `${stdout}${stderr}${code === 0 ? '' : `ended with ${code}`}`
}

test('when descriptors are used up it says so, and recovers', async () => {
  const result = await probe(`
    await limit(80)
    for (const options of [{terminal}, {}]) {
      const running = []
      let refusal
      while (!refusal) await begin(options).then(one => running.push(one), error => { refusal = error })
      console.log(refusal.code, running.length > 3, refusal.message)
      for (const one of running) one.kill()
      await Promise.all(running.map(one => one.exited))
      const again = await begin(options)
      await once(again.stdout, 'data')
      again.kill()
      console.log(await again.exited)
    }`)
  const full = 'unavailable true this host (has no terminal left|can start no more programs)'
  const recovered = "{ signal: 'HUP', coreDumped: false }"
  expect(result).toMatch(new RegExp(`^${full}\n${recovered}\n${full}\n${recovered}\n$`))
})

test('however few there are it lives, and neither descriptors nor files are lost by trying', async () => {
  const temporary = join(temporaryDirectory(), 'tmp')
  mkdirSync(temporary)
  const result = await probe(
    `
    const counts = []
    const said = new Set()
    const leave = async free => {
      const used = new Set(open())
      let count = 0
      for (let left = free; left > 0 || used.has(count); count++) if (!used.has(count)) left--
      await limit(count)
    }
    for (let free = 0; free < 24; free++) {
      for (const options of [{terminal}, {}]) {
        await leave(free)
        const outcome = await begin(options).catch(error => error)
        await limit(1024)
        if (outcome instanceof Error) {
          said.add(outcome.message)
          counts.push(open().length)
          continue
        }
        outcome.stdout.resume()
        outcome.kill()
        await outcome.exited
      }
    }
    console.log(counts.length > 20, Math.max(...counts) - counts[0])
    console.log([...said].sort().join())`,
    temporary,
  )
  expect(result).toBe('true 0\nthis host can start no more programs,this host has no terminal left\n')
  expect(readdirSync(temporary).filter(name => name.startsWith('sallyport-'))).toEqual([])
})
