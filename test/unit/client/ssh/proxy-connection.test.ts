import {once} from 'node:events'
import {type AddressInfo, createServer} from 'node:net'
import {expect, it, onTestFinished} from 'vitest'
import type {Identity} from '../../../../src/lib/client/identity/identity.js'
import {connectToProxy} from '../../../../src/lib/client/ssh/proxy-connection.js'
import {type HostRole, hostRoleExtensions, signerFromKey} from '../../../../src/lib/sshcert/index.js'
import {acceptOn, certify, hostAuthority, newKey} from '../../ssh/fixture.js'

/** An identity whose proxy is something that presents such a host certificate. */
async function towards(principals: string[], role: HostRole | undefined): Promise<Identity> {
  const key = newKey()
  const extensions = role ? hostRoleExtensions(role, 'acme.example') : new Map<string, string>()
  const publicBlob = await certify(key, 'host', {principals, extensions})
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    acceptOn(socket, {hostKeys: [{privateKey: key, publicBlob}], judge: () => undefined}).catch(() =>
      socket.destroy(),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const own = newKey()
  return {
    profile: {
      proxy: {
        ...{host: 'proxy.acme.example', webPort: 3080},
        ...{sshHost: '127.0.0.1', sshPort: (server.address() as AddressInfo).port},
      },
      ...{cluster: 'acme.example', user: 'joe', recording: 'proxy'},
    },
    signer: signerFromKey(own),
    certificate: await certify(own, 'user'),
    hostAuthorities: [hostAuthority.publicBlob],
    close: () => undefined,
  }
}

it.each([['127.0.0.1'], ['proxy.acme.example'], ['acme.example']])(
  'a proxy is believed by its certificate for %s',
  async name => {
    const connection = await connectToProxy(await towards([name], 'Proxy'))
    connection.disconnect()
    expect(await connection.closed).toBeUndefined()
  },
)

it.each<[string, string[], HostRole | undefined]>([
  ['a node that took the name of the proxy', ['127.0.0.1', 'proxy.acme.example'], 'Node'],
  ['a host that was certified for the name', ['127.0.0.1'], undefined],
  ['a proxy for other names', ['db1'], 'Proxy'],
])('%s is not the proxy', async (_, principals, role) => {
  await expect(connectToProxy(await towards(principals, role))).rejects.toMatchObject({
    code: 'host_key_refused',
    message: expect.stringContaining('this is not the proxy you logged in to'),
  })
})
