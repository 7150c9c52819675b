import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {parseInviteUrl} from '../../../src/lib/client/login/invite-url.js'
import {formatRemaining} from '../../../src/lib/client/login/status.js'
import {selfCommand} from '../../../src/lib/client/ssh/self-command.js'
import {durationSeconds, list, minutesOrDuration} from '../../../src/lib/client/values.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

describe('an invite link', () => {
  it('names a proxy and a token', () => {
    expect(parseInviteUrl('https://proxy.example.com:3080/web/invite/abc_D-9')).toEqual({
      ...{proxy: {host: 'proxy.example.com', webPort: 3080}, token: 'abc_D-9'},
    })
    expect(parseInviteUrl('https://[::1]:4000/web/reset/x/').proxy).toEqual({host: '::1', webPort: 4000})
    expect(parseInviteUrl('https://proxy/web/invite/x').proxy.webPort).toBe(443)
  })

  it.each([
    ...[
      '',
      'abc',
      'http://proxy/web/invite/x',
      'https://proxy/web/invite/',
      'https://proxy/web/invite/a%2fb',
    ],
    ...['https://proxy/other/x', 'https://user@proxy/web/invite/x', 'https://proxy/web/invite/../x'],
  ])('is not %j', text => {
    expect(() => parseInviteUrl(text)).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })
})

describe('flag values', () => {
  it('are lists with commas, and an empty item is a slip', () => {
    expect([list('joe, root,ec2-user'), list('joe'), list(undefined)]).toEqual([
      ['joe', 'root', 'ec2-user'],
      ['joe'],
      [],
    ])
    for (const text of ['', 'a,', ',a', 'a,,b'])
      expect(() => list(text)).toThrow(expect.objectContaining({code: 'usage'}))
  })

  it('are durations in whole seconds', () => {
    expect([durationSeconds('1h', '--ttl'), durationSeconds('90s', '--ttl')]).toEqual([3600, 90])
    for (const text of ['', '1', '1w', '-1h', '10ms'])
      expect(() => durationSeconds(text, '--ttl')).toThrow(expect.objectContaining({code: 'usage'}))
  })

  it('are minutes without a unit, where they have always been', () => {
    const seconds = ['60', '1', '1h', '90s', '1h30m'].map(text => minutesOrDuration(text, '--ttl'))
    expect(seconds).toEqual([3600, 60, 3600, 90, 5400])
    for (const text of ['', '0', '-1', '1.5', '1w', '1e3', '99999999999999999', '10ms'])
      expect(() => minutesOrDuration(text, '--ttl')).toThrow(expect.objectContaining({code: 'usage'}))
  })
})

it('remaining time is told in its two largest units', () => {
  const [second, minute, hour] = [1000, 60_000, 3_600_000]
  expect([40 * second, 12 * minute + second, hour, 8 * hour - 1, -1].map(formatRemaining)).toEqual([
    ...['40s', '12m', '1h', '7h 59m', '0s'],
  ])
})

describe('the words that start this program', () => {
  it('are its name where PATH leads to it, and paths elsewhere', () => {
    const directory = temporaryDirectory()
    const [bin, script] = [join(directory, 'bin'), join(directory, 'run.js')]
    mkdirSync(bin)
    writeFileSync(script, '')
    const started = {
      argv: ['node', script],
      execPath: '/usr/bin/node',
      execArgv: [],
      env: {PATH: `/nowhere:${bin}`},
    }
    expect(selfCommand(started)).toEqual(['/usr/bin/node', script])
    symlinkSync(script, join(bin, 'sallyport'))
    expect(selfCommand(started)).toEqual(['sallyport'])
    expect(selfCommand({...started, argv: ['node', join(bin, 'sallyport')]})).toEqual(['sallyport'])
    const another = {...started, argv: ['node', '/elsewhere/run.js'], execArgv: ['--import', 'tsx']}
    expect(selfCommand(another)).toEqual(['/usr/bin/node', '--import', 'tsx', '/elsewhere/run.js'])
  })
})
