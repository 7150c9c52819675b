import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {start} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {inviteToken, otp, otpSecret, password, startCluster} from '../unit/client/fixture.js'

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** Runs the CLI on a pseudo-terminal and types each answer when its question has appeared. */
async function converse(args: string[], home: string, answers: [question: RegExp, answer: string][]) {
  const command = [process.execPath, sallyportPath, ...args].map(quote).join(' ')
  const child = start('script', ['-qec', command, '/dev/null'], {
    env: {SHELL: '/bin/sh', TERM: 'xterm', NO_COLOR: '1', SALLYPORT_HOME: home},
  })
  let screen = ''
  let seen = 0
  const waiting = [...answers]
  child.stdout.on('data', piece => {
    screen += piece
    const [question, answer] = waiting[0] ?? []
    const match = question?.exec(screen.slice(seen))
    if (!match) return
    waiting.shift()
    seen += match.index + match[0].length
    child.stdin.write(`${answer}\r`)
  })
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  expect(waiting).toEqual([])
  return {code, screen}
}

describe('at a terminal', () => {
  it('login asks for the password and shows nothing of it, then for the code', async () => {
    const cluster = await startCluster({secondFactor: 'otp'})
    const home = join(temporaryDirectory(), 'home')
    const args = [
      'login',
      `--proxy=127.0.0.1:${cluster.port}`,
      '--user=joe',
      '--insecure',
      '--key-store=file',
    ]
    const {code, screen} = await converse(args, home, [
      [new RegExp(`Password of joe at 127.0.0.1:${cluster.port}`), password],
      [/One-time code/, otp],
    ])
    expect(code).toBe(0)
    expect(screen).toContain('Logged in to test as joe')
    expect(screen).not.toContain(password)
    expect(existsSync(join(home, 'current'))).toBe(true)
  })

  it('signup asks twice for a password of enough characters, shows the QR code, and asks for a code', async () => {
    const cluster = await startCluster({secondFactor: 'otp'})
    const link = `https://127.0.0.1:${cluster.port}/web/invite/${inviteToken}`
    const {code, screen} = await converse(['signup', link, '--insecure'], temporaryDirectory(), [
      [/New password of joe/, password],
      [/The same again/, 'another password'],
      [/The two are not the same[\s\S]*New password of joe/, password],
      [/The same again/, password],
      [/Code that the app shows/, otp],
    ])
    expect(code).toBe(0)
    expect(screen).toContain(`Secret: ${otpSecret}`)
    expect(screen).toMatch(/[▄▀█]{10}/)
    expect(screen).toContain(`sallyport login --proxy=127.0.0.1:${cluster.port} --user=joe`)
    expect(screen).not.toContain(password)
    expect(cluster.accepted).toEqual([{token: inviteToken, password, otp}])
  })
})
