import {once} from 'node:events'
import {type AddressInfo, createServer} from 'node:net'
import {describe, expect, it} from 'vitest'
import {
  type DialSettings,
  type DialTarget,
  dialAddresses,
  resolveTarget,
} from '../../../src/lib/proxy/dial.js'
import {dialPolicy} from '../../../src/lib/proxy/dial-policy.js'
import {atEnd} from '../../support/cleanup.js'

async function listener(): Promise<number> {
  const server = createServer(socket => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => void server.close())
  return (server.address() as AddressInfo).port
}

const settings = (
  answers: string[][],
  more: Partial<DialSettings> = {},
): DialSettings & {asked: string[]} => {
  const asked: string[] = []
  return {
    policy: dialPolicy({allow: [], deny: []}),
    loopbackOnly: true,
    ownPorts: () => [],
    asked,
    async lookup(host) {
      asked.push(host)
      const answer = answers.shift()
      if (!answer) throw new Error('ENOTFOUND')
      return answer
    },
    ...more,
  }
}

const dialTarget = async (target: DialTarget, dial: DialSettings) =>
  dialAddresses(target, await resolveTarget(target.host, dial), dial)

describe('dialling a target', () => {
  it('resolves the name once, so that a second answer changes nothing', async () => {
    const port = await listener()
    const rebinding = settings([['127.0.0.1'], ['169.254.169.254']])
    const {stream, address} = await dialTarget({host: 'rebind.example', port}, rebinding)
    stream.destroy()
    expect(address).toBe(`127.0.0.1:${port}`)
    expect(rebinding.asked).toEqual(['rebind.example'])
  })

  it('does not ask for the name of an address', async () => {
    const port = await listener()
    const none = settings([])
    const {stream} = await dialTarget({host: '127.0.0.1', port}, none)
    stream.destroy()
    expect(none.asked).toEqual([])
  })

  it('takes the first address that may be dialled and answers', async () => {
    const port = await listener()
    const {stream, address} = await dialTarget(
      {host: 'many.example', port},
      settings([['169.254.169.254', '127.0.0.2', '127.0.0.1']]),
    )
    stream.destroy()
    expect(address).toBe(`127.0.0.1:${port}`)
  })

  it('refuses when none of the addresses may be dialled', async () => {
    await expect(
      dialTarget({host: 'meta.example', port: 80}, settings([['169.254.169.254', 'fe80::1']])),
    ).rejects.toMatchObject({
      code: 'dial_forbidden',
      message: 'the proxy may not connect to meta.example:80: link-local addresses are never dialled',
    })
  })

  it('says what is wrong with a name or an address', async () => {
    await expect(dialTarget({host: 'nowhere.example', port: 22}, settings([]))).rejects.toMatchObject({
      code: 'host_unreachable',
      message: 'the name nowhere.example does not resolve',
    })
    await expect(dialTarget({host: 'empty.example', port: 22}, settings([[]]))).rejects.toMatchObject({
      message: 'empty.example has no address',
    })
    const port = await listener()
    const closed = port === 65_535 ? port - 1 : port + 1
    await expect(
      dialTarget({host: 'closed.example', port: closed}, settings([['127.0.0.9']])),
    ).rejects.toMatchObject({
      code: 'host_unreachable',
      message: `cannot connect to closed.example:${closed}: connection refused`,
    })
  })

  it('tries only a few of many addresses', async () => {
    const port = await listener()
    const many = [...Array.from({length: 6}, (_, n) => `127.0.1.${n + 1}`), '127.0.0.1']
    await expect(dialTarget({host: 'wide.example', port}, settings([many]))).rejects.toMatchObject({
      code: 'host_unreachable',
    })
  })

  it('survives a host that breaks the connection before anybody uses it', async () => {
    const server = createServer(socket => {
      socket.on('error', () => undefined)
      setImmediate(() => socket.resetAndDestroy())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => void server.close())
    const {port} = server.address() as AddressInfo
    const {stream} = await dialTarget({host: '127.0.0.1', port}, settings([]))
    stream.resume()
    if (!stream.closed) await new Promise(resolve => stream.once('close', resolve))
    expect(stream.destroyed).toBe(true)
  })
})
