import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {escapeFilter} from '../../../../src/lib/client/ssh/escape-filter.js'
import {start} from '../../../support/process.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

/** Types the pieces and returns what is passed on and what was escaped. */
function type(...pieces: string[]) {
  const escapes = escapeFilter()
  const results = pieces.map(piece => escapes.filter(Buffer.from(piece)))
  return {
    data: Buffer.concat(results.map(({data}) => data)).toString(),
    actions: results.flatMap(({actions}) => actions),
  }
}

describe('escapes', () => {
  it.each<[string, string[], string, string[]]>([
    ['~. at the start', ['~.'], '', ['disconnect']],
    ['~. after Enter', ['ls\r~.'], 'ls\r', ['disconnect']],
    ['~. split over pieces', ['ls\n', '~', '.'], 'ls\n', ['disconnect']],
    ['~? and typing on', ['~?~?ls'], 'ls', ['help', 'help']],
    ['~~ as one tilde', ['~~.'], '~.', []],
    ['~x as typed', ['~x~.'], '~x~.', []],
    ['a tilde in a line', ['a~.'], 'a~.', []],
    ['a tilde and Enter', ['~\r~.'], '~\r', ['disconnect']],
    ['nothing after ~.', ['~.rm -rf'], '', ['disconnect']],
  ])('know %s', (_, pieces, data, actions) => {
    expect(type(...pieces)).toEqual({data, actions})
  })

  it('leave everything else byte for byte, however it is cut', () => {
    const noTilde = fc.uint8Array().map(bytes => bytes.filter(byte => byte !== 0x7e))
    fc.assert(
      fc.property(fc.array(noTilde), pieces => {
        const escapes = escapeFilter()
        const passed = pieces.map(piece => escapes.filter(Buffer.from(piece)).data)
        expect(Buffer.concat(passed)).toEqual(Buffer.concat(pieces))
      }),
    )
  })

  it('do not depend on how typing is cut', () => {
    const typing = fc.string({unit: fc.constantFrom('~', '.', '?', '\r', 'a')})
    fc.assert(
      fc.property(typing, text => {
        const whole = type(text)
        const single = type(...text)
        if (!whole.actions.includes('disconnect')) expect(single).toEqual(whole)
        else expect(single.data.startsWith(whole.data)).toBe(true)
      }),
    )
  })
})

describe('a raw terminal', () => {
  const module = new URL('../../../../src/lib/client/ssh/terminal.ts', import.meta.url).href
  const program = `
    import {openTerminal} from ${JSON.stringify(module)}
    const say = text => process.stdout.write('<' + text + '>')
    const terminal = openTerminal({
      onData(data) { say('data ' + JSON.stringify(String(data))); return true },
      onResize({columns, rows}) { say('size ' + columns + 'x' + rows) },
      onDisconnect() { say('disconnect'); finish() },
    })
    const finish = () => {
      if (process.argv[2] === 'throw') setImmediate(() => { throw new Error('boom') })
      else if (process.argv[2] === 'exit') process.exit(3)
      else { terminal.restore(); terminal.restore(); say('restored') }
    }
    say('raw ' + process.stdin.isRaw + ' ' + Object.values(terminal.size()).join('x'))
  `
  const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

  /** Runs the program on a real pseudo-terminal, between two looks at the terminal's settings. */
  function onPty(way: string) {
    const file = join(temporaryDirectory(), 'program.ts')
    writeFileSync(file, program)
    const node = [process.execPath, '--import', 'tsx', file, way].map(quote).join(' ')
    const script = `stty rows 30 cols 100; stty -g; ${node}; echo "[status $?]"; stty -g; sleep 0`
    const child = start('script', ['-qec', script, '/dev/null'], {
      env: {SHELL: '/bin/sh'},
      cwd: process.cwd(),
    })
    let screen = ''
    const waiting: {pattern: RegExp; resolve: () => void}[] = []
    child.stdout.on('data', piece => {
      screen += piece
      for (const one of waiting) if (one.pattern.test(screen)) one.resolve()
    })
    const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
    return {
      child,
      ended,
      screen: () => screen,
      see: (pattern: RegExp) =>
        Promise.race([
          new Promise<void>(resolve => {
            if (pattern.test(screen)) resolve()
            else waiting.push({pattern, resolve})
          }),
          ended.then(() => expect(screen).toMatch(pattern)),
        ]),
    }
  }
  const settings = (screen: string) => [...screen.matchAll(/[0-9a-f]+(?::[0-9a-f]+){10,}/g)].map(String)

  it('hands over every key, Ctrl-C included, and the size', async () => {
    const pty = onPty('return')
    await pty.see(/<raw true 100x30>/)
    pty.child.stdin.write('\u0003a')
    await pty.see(/<data "\\u0003a">/)
    pty.child.stdin.write('\r~.')
    await pty.ended
    expect(pty.screen()).toContain('<disconnect><restored>')
    expect(new Set(settings(pty.screen())).size).toBe(1)
  })

  it('shows help for ~? and stays connected', async () => {
    const pty = onPty('return')
    await pty.see(/<raw true/)
    pty.child.stdin.write('~?x')
    await pty.see(/Supported escape sequences[\s\S]*<data "x">|<data "x">[\s\S]*Supported escape sequences/)
    pty.child.stdin.write('\r~.')
    await pty.ended
  })

  it.each([
    ['exit', /\[status 3\]/],
    ['throw', /\[status 1\]/],
  ])('is restored when the process ends by %s', async (way, status) => {
    const pty = onPty(way)
    await pty.see(/<raw true/)
    pty.child.stdin.write('~.')
    await pty.ended
    expect(pty.screen()).toMatch(status)
    const [before, after] = settings(pty.screen())
    expect(after).toBe(before)
  })
})
