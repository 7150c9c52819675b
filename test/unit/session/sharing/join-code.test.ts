import {describe, expect, test, vi} from 'vitest'
import {problem} from '../../../../src/lib/errors/index.js'
import {askCode} from '../../../../src/lib/session/sharing/join-code.js'
import type {Channel} from '../../../../src/lib/ssh/index.js'
import {openChannel, pair} from '../../ssh/fixture.js'

const wrong = () => problem('bad_credentials', 'that code is wrong')

/** Somebody who is asked on a channel; what they were told, and what came of it. */
async function asked(
  check = vi.fn(async (code: string) => (code === '123456' ? undefined : Promise.reject(wrong()))),
) {
  const [client, channel] = await openChannel(await pair(), 'session')
  let told = ''
  client.stderr.on('data', (chunk: Buffer) => {
    told += chunk.toString('utf8')
  })
  client.resume()
  const outcome = askCode(channel as Channel, check).then(
    () => 'in',
    (error: {code: string}) => error.code,
  )
  return {client, channel, check, outcome, told: () => told}
}

describe('whoever joins and has to show a second factor', () => {
  test.each(['123456\n', '123456\r', '123456\r\n'])('is let in for %j', async typed => {
    const {client, check, outcome, told} = await asked()
    client.write(typed)
    expect(await outcome).toBe('in')
    expect(check.mock.calls).toEqual([['123456']])
    await vi.waitFor(() =>
      expect(told()).toBe('sallyport: type the code of your authenticator app, and Enter\r\n'),
    )
  })

  test('types key by key', async () => {
    const {client, outcome} = await asked()
    for (const character of '123456\r') client.write(character)
    expect(await outcome).toBe('in')
  })

  test('may slip twice, also in one go, and is asked each time', async () => {
    const {client, outcome, check, told} = await asked()
    client.write('000000\n000001\n123456\n')
    expect(await outcome).toBe('in')
    expect(check).toHaveBeenCalledTimes(3)
    await vi.waitFor(() => expect(told().match(/type the code/g)).toHaveLength(3))
  })

  test.each([
    ['types three wrong ones', 'bad_credentials', (client: Channel) => client.write('1\n2\n3\n123456\n')],
    ['presses Ctrl-C', 'cancelled', (client: Channel) => client.write('12\u0003')],
    ['has nothing more to say', 'cancelled', (client: Channel) => client.end()],
    ['leaves', 'cancelled', (client: Channel) => client.close()],
    ['types without end', 'invalid_input', (client: Channel) => client.write('1'.repeat(100))],
  ])('who %s is not let in', async (_what, code, act) => {
    const {client, outcome, check} = await asked()
    act(client)
    expect(await outcome).toBe(code)
    expect(check).not.toHaveBeenCalledWith('123456')
  })

  test('is not let in where nobody can say, and not asked again', async () => {
    const away = vi.fn(() => Promise.reject(problem('unavailable', 'the auth service is away')))
    const {client, outcome} = await asked(away)
    client.write('123456\n123456\n')
    expect(await outcome).toBe('unavailable')
    expect(away).toHaveBeenCalledTimes(1)
  })

  test('is not waited for for ever', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const {outcome} = await asked()
      await vi.advanceTimersByTimeAsync(121_000)
      expect(await outcome).toBe('timeout')
    } finally {
      vi.useRealTimers()
    }
  })
})
