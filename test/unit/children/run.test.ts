import {describe, expect, test} from 'vitest'
import {runToEnd} from '../../../src/lib/children/index.js'

const limits = {env: {PATH: '/usr/bin:/bin', A: 'b'}, milliseconds: 5000, maxBytes: 1000}
const sh = (script: string, other: Partial<typeof limits> = {}) =>
  runToEnd(['sh', '-c', script], {...limits, ...other})

describe('a program that is run to its end', () => {
  test('gives its status and what it wrote', async () => {
    expect(await sh('pwd; env | grep ^A; echo oh >&2; cat; exit 3')).toEqual({
      code: 3,
      output: '/\nA=b\n',
      late: false,
    })
  })

  test('has no status when it was killed', async () => {
    expect(await sh('echo in; kill -9 $$')).toEqual({output: 'in\n', late: false})
  })

  test('has none when it writes too much', async () => {
    expect(await sh('head -c 1000 /dev/zero')).toMatchObject({code: 0})
    expect(await sh('head -c 1001 /dev/zero')).not.toHaveProperty('code')
    expect(await sh('cat /dev/zero')).not.toHaveProperty('code')
  })

  test('has none when it takes too long, even if what it started lives on', async () => {
    expect(await sh('sleep 5 & echo in; sleep 5', {milliseconds: 200})).toEqual({output: 'in\n', late: true})
  })

  test('says why it could not be started', async () => {
    const finished = await runToEnd(['/no/such/program'], limits)
    expect(finished).toMatchObject({output: '', late: false, failure: {code: 'ENOENT'}})
    expect(finished).not.toHaveProperty('code')
  })
})
