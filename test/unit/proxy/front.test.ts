import {expect, test, vi} from 'vitest'
import type {ProxyContext} from '../../../src/lib/proxy/context.js'
import {authApiChannel, serveClient} from '../../../src/lib/proxy/front.js'
import {pair} from '../ssh/fixture.js'

test('a connection that outlives its certificate opens nothing more, and what runs goes on', async () => {
  const {client, server} = await pair()
  const clock = {now: Date.UTC(2030, 0, 2)}
  const serveApi = vi.fn()
  const context = {
    ...{serveApi, now: () => clock.now, draining: () => false, forwarders: new Set()},
    locks: {watch: () => () => undefined},
  } as unknown as ProxyContext
  const identity = {user: 'joe', roles: ['access'], logins: ['root'], validBefore: clock.now / 1000 + 60}
  const addresses = {
    remoteAddress: '192.0.2.9:5000',
    localAddress: '192.0.2.1:3023',
    pinned: false,
    remoteIp: '192.0.2.9',
  }
  const openAgent = () => Promise.reject(new Error('nobody asked for it'))
  serveClient(context, server, {identity, ...addresses, openAgent}, Buffer.alloc(0))

  clock.now += 59_000
  const open = await client.openChannel(authApiChannel)
  expect(serveApi.mock.calls[0]?.[1]).toMatchObject({name: 'joe', expires: identity.validBefore * 1000})
  clock.now += 1000
  for (const type of ['session', 'direct-tcpip', authApiChannel])
    await expect(client.openChannel(type)).rejects.toMatchObject({
      description: 'your certificate has expired; log in again [certificate_expired]',
    })
  expect(serveApi).toHaveBeenCalledOnce()
  expect(open.isClosed).toBe(false)
})
