import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {PassThrough, Readable} from 'node:stream'
import {afterAll, describe, expect, test} from 'vitest'
import {askNewPassword, askOtp, askPassword, readSecret} from '../../../src/lib/cli/prompt.js'

const directory = mkdtempSync(join(tmpdir(), 'sallyport-prompt-'))
afterAll(() => rmSync(directory, {recursive: true}))

/** Streams that look like a terminal; `answers` are typed one after each prompt that appears. */
function terminal(prompts: [RegExp, string][]) {
  const input = Object.assign(new PassThrough(), {isTTY: true, setRawMode: () => input})
  const output = Object.assign(new PassThrough(), {isTTY: true, columns: 80, rows: 24})
  // A terminal outlives its prompts.
  output.end = () => output
  const waiting = [...prompts]
  let shown = ''
  let unread = ''
  output.on('data', data => {
    shown += data
    unread += data
    const next = waiting[0]
    if (next?.[0].test(unread)) {
      waiting.shift()
      unread = ''
      setImmediate(() => input.write(next[1]))
    }
  })
  const streams = {
    input: input as unknown as NodeJS.ReadStream,
    output: output as unknown as NodeJS.WriteStream,
  }
  return {streams, shown: () => shown}
}

describe('prompts', () => {
  test('without a terminal the error names the flag to use', async () => {
    const input = Object.assign(new PassThrough(), {isTTY: false}) as unknown as NodeJS.ReadStream
    const output = new PassThrough() as unknown as NodeJS.WriteStream
    const asking = askPassword({message: 'Password', otherwise: '--password-file'}, {input, output})
    await expect(asking).rejects.toMatchObject({
      code: 'usage',
      message: 'cannot ask for "Password" without a terminal',
      hint: 'use --password-file',
    })
  })

  test('a password is not shown', async () => {
    const {streams, shown} = terminal([[/Password/, 'correct horse\r']])
    expect(await askPassword({message: 'Password', otherwise: '-'}, streams)).toBe('correct horse')
    expect(shown()).not.toContain('correct')
    expect(shown()).not.toContain('*')
  })

  test('a new password is asked for until both entries agree', async () => {
    const {streams, shown} = terminal([
      [/Password/, 'one\r'],
      [/again/, 'two\r'],
      [/not the same[\s\S]*Password/, 'three\r'],
      [/again/, 'three\r'],
    ])
    expect(await askNewPassword({message: 'Password', otherwise: '-'}, streams)).toBe('three')
    expect(shown()).toContain('The two are not the same.')
  })

  test('a one-time code may be typed in two groups', async () => {
    const {streams} = terminal([[/One-time code/, '123 456\r']])
    expect(await askOtp({otherwise: '--otp'}, streams)).toBe('123456')
  })

  test('Ctrl-C at a prompt ends with status 130 and no message', async () => {
    const {streams} = terminal([[/Password/, '\u0003']])
    await expect(askPassword({message: 'Password', otherwise: '-'}, streams)).rejects.toMatchObject({
      code: 'EEXIT',
      oclif: {exit: 130},
    })
  })
})

describe('a secret from a file', () => {
  const file = (content: string | Buffer): string => {
    const path = join(directory, 'secret')
    writeFileSync(path, content)
    return path
  }

  test.each([
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' two  \n\n', ' two  \n'],
  ])('%j loses one line break and nothing else', async (content, secret) => {
    expect(await readSecret(file(content))).toBe(secret)
    expect(await readSecret('-', {stdin: Readable.from([Buffer.from(content)])})).toBe(secret)
  })

  test('an empty, missing or oversized one is refused with the reason', async () => {
    await expect(readSecret(file('\n'))).rejects.toThrow(/is empty/)
    await expect(readSecret(join(directory, 'absent'))).rejects.toThrow(/does not exist/)
    await expect(readSecret(file(Buffer.alloc(70_000, 97)))).rejects.toThrow(/over 64 KiB/)
  })

  test('an endless standard input is not read to its end', async () => {
    let parts = 0
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        parts += 1
        yield Buffer.alloc(16 * 1024, 97)
      }
    }
    await expect(readSecret('-', {stdin: endless()})).rejects.toThrow(/over 64 KiB/)
    expect(parts).toBeLessThan(8)
  })
})
