import {expect, test} from 'vitest'
import {requireEffect, type VerifyTarget} from '../../../../src/lib/client/history/verify-flags.js'

test.each<[VerifyTarget, string[]]>([
  ['store', ['all', 'key', 'directory', 'checkpoint', 'format']],
  ['store', ['all', 'key', 'data-dir', 'checkpoint']],
  ['store', ['directory', 'proxy', 'identity', 'insecure']],
  ['session', ['key', 'proxy', 'identity', 'insecure', 'format', 'debug']],
  ['session', ['data-dir', 'config']],
  ['copied session', ['key', 'directory', 'checkpoint']],
  ['copied session', ['directory', 'data-dir']],
  ['file', ['key', 'index']],
  ['file', ['proxy']],
])('%s with %j', (target, given) => {
  expect(() => requireEffect(target, new Set(given))).not.toThrow()
})

test.each<[VerifyTarget, string, string[]]>([
  ['store', 'index', []],
  ['store', 'proxy', ['key']],
  ['store', 'data-dir', ['key', 'directory']],
  ['session', 'all', []],
  ['session', 'index', ['key']],
  ['session', 'checkpoint', ['key']],
  ['copied session', 'all', ['directory']],
  ['copied session', 'index', ['directory']],
  ['copied session', 'config', ['directory', 'key']],
  ['copied session', 'identity', ['directory', 'key']],
  ['file', 'all', []],
  ['file', 'directory', ['key']],
  ['file', 'checkpoint', ['key']],
  ['file', 'insecure', ['key']],
])('%s refuses --%s beside %j', (target, flag, given) => {
  expect(() => requireEffect(target, new Set([...given, flag]))).toThrow(`--${flag} has no effect here`)
})
