import {execFileSync} from 'node:child_process'
import {createWriteStream, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {errnoOf, readSmallBytes, readSmallFile} from '../../../src/lib/durable/index.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const code = (thrown: unknown) => (thrown as {code?: string}).code

test('a file is read as it is, up to its limit', async () => {
  const path = join(temporaryDirectory(), 'file')
  writeFileSync(path, 'exactly ten'.slice(0, 10))
  expect(await readSmallFile(path, {maxBytes: 10})).toBe('exactly te')
  expect(await readSmallBytes(path)).toEqual(Buffer.from('exactly te'))
  expect(await readSmallFile(path, {maxBytes: 9}).catch(code)).toBe('limit_exceeded')
})

test('a device without an end is left after its limit', async () => {
  expect(await readSmallFile('/dev/zero', {maxBytes: 1000}).catch(code)).toBe('limit_exceeded')
})

test('a pipe is read to its end', async () => {
  const path = join(temporaryDirectory(), 'pipe')
  execFileSync('mkfifo', [path])
  createWriteStream(path).end('through a pipe')
  expect(await readSmallFile(path)).toBe('through a pipe')
})

test('nothing is read of a file that does not pass the check', async () => {
  const path = join(temporaryDirectory(), 'file')
  writeFileSync(path, 'x', {mode: 0o644})
  const refused = new Error('others can read it')
  const check = ({mode}: {mode: number}) => {
    if ((mode & 0o077) !== 0) throw refused
  }
  await expect(readSmallFile(path, {check})).rejects.toBe(refused)
})

test('what cannot be opened is told in the words of the operating system', async () => {
  expect(await readSmallFile(join(temporaryDirectory(), 'none')).catch(errnoOf)).toBe('ENOENT')
  expect(await readSmallFile(temporaryDirectory()).catch(errnoOf)).toBe('EISDIR')
})
