import {describe, expect, it} from 'vitest'
import {type CertificateFields, parseCertificate, signerFromKey} from '../../../src/lib/sshcert/index.js'
import {verifyTunnelProxy} from '../../../src/lib/tunnel/keep.js'
import {judgeTunnelPeer, type TunnelTrust} from '../../../src/lib/tunnel/peer.js'
import {certify, hostAuthority, newKey, userAuthority} from '../ssh/fixture.js'

const id = '5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'
const leafAuthority = signerFromKey(newKey())
const trust: TunnelTrust = {
  clusterName: 'root.test',
  hostAuthorities: [hostAuthority.publicBlob],
  leaves: new Map([['leaf.test', [leafAuthority.publicBlob]]]),
  now: Date.now(),
}
const extensions = (role: string | undefined, cluster: string): Map<string, string> =>
  new Map([['x-teleport-authority', cluster], ...(role ? ([['x-teleport-role', role]] as const) : [])])
const certificate = async (fields: Partial<CertificateFields>, authority = hostAuthority) =>
  parseCertificate(await certify(newKey(), 'host', fields, authority))
const node = (fields: Partial<CertificateFields> = {}, authority = hostAuthority) =>
  certificate(
    {principals: [`${id}.root.test`, id, 'db1'], extensions: extensions('Node', 'root.test'), ...fields},
    authority,
  )
const proxyOfLeaf = (fields: Partial<CertificateFields> = {}, authority = leafAuthority) =>
  certificate({principals: ['leaf.test'], extensions: extensions('Proxy', 'leaf.test'), ...fields}, authority)

describe('who may keep a tunnel open', () => {
  it('is a node by its UUID, and a leaf by its name', async () => {
    expect(judgeTunnelPeer(id, await node(), trust)).toEqual({kind: 'node', id})
    expect(judgeTunnelPeer('leaf.test', await proxyOfLeaf(), trust)).toEqual({
      kind: 'cluster',
      name: 'leaf.test',
    })
  })

  const other = 'aaaaaaaa-9c1b-4c3e-8a55-0d6a4a1f2b7c'
  const past = {validAfter: 1000n, validBefore: 2000n}
  const refused: [string, string, () => ReturnType<typeof node>, string][] = [
    ['a node as another node', other, node, 'certificate_rejected'],
    ['a node by its name', 'db1', node, 'certificate_rejected'],
    [
      'a host that an administrator signed for',
      id,
      () => node({extensions: extensions(undefined, 'root.test')}),
      'access_denied',
    ],
    ['a proxy as a node', id, () => node({extensions: extensions('Proxy', 'root.test')}), 'access_denied'],
    ['a node by a name that is no UUID', 'db1', () => node({principals: ['db1.root.test']}), 'access_denied'],
    ['a node that the leaf signed', id, () => node({}, leafAuthority), 'certificate_rejected'],
    ['a node that the user authority signed', id, () => node({}, userAuthority), 'certificate_rejected'],
    ['a node that has expired', id, () => node(past), 'certificate_expired'],
    ['a node as a leaf', 'leaf.test', node, 'certificate_rejected'],
    [
      'a node of the leaf as the leaf',
      'leaf.test',
      () => proxyOfLeaf({extensions: extensions('Node', 'leaf.test')}),
      'access_denied',
    ],
    [
      'a leaf that says it is of another cluster',
      'leaf.test',
      () => proxyOfLeaf({extensions: extensions('Proxy', 'root.test')}),
      'access_denied',
    ],
    ['a leaf that nobody trusts', 'other.test', proxyOfLeaf, 'certificate_rejected'],
    ['a leaf as this cluster', 'root.test', proxyOfLeaf, 'certificate_rejected'],
    [
      'a proxy of this cluster as a leaf',
      'leaf.test',
      () => proxyOfLeaf({}, hostAuthority),
      'certificate_rejected',
    ],
  ]
  it.each(refused)('is not %s', async (_, username, make, code) => {
    const made = await make()
    expect(() => judgeTunnelPeer(username, made, trust)).toThrow(expect.objectContaining({code}))
  })

  it('is not this cluster, though it were listed as a leaf of itself', async () => {
    const circular = {...trust, leaves: new Map([['root.test', [leafAuthority.publicBlob]]])}
    const made = await proxyOfLeaf({extensions: extensions('Proxy', 'root.test')})
    expect(() => judgeTunnelPeer('root.test', made, circular)).toThrow()
  })

  it('is nobody with a user certificate', async () => {
    const user = parseCertificate(
      await certify(newKey(), 'user', {
        principals: [`${id}.root.test`],
        extensions: extensions('Node', 'root.test'),
      }),
    )
    expect(() => judgeTunnelPeer(id, user, trust)).toThrow(
      expect.objectContaining({code: 'certificate_rejected'}),
    )
  })
})

describe('what answers at the tunnel port', () => {
  const policy = {
    host: 'proxy.test',
    cluster: 'root.test',
    hostAuthorities: [hostAuthority.publicBlob],
    now: Date.now(),
  }
  const proxy = (fields: Partial<CertificateFields> = {}, authority = hostAuthority) =>
    certificate(
      {principals: ['proxy.test'], extensions: extensions('Proxy', 'root.test'), ...fields},
      authority,
    )
  const verify = async (made: ReturnType<typeof node>) => {
    const one = await made
    return () => verifyTunnelProxy({blob: one.blob, certificate: one}, policy)
  }

  it('is believed as a proxy for the name dialled or for the cluster', async () => {
    expect(await verify(proxy())).not.toThrow()
    expect(await verify(proxy({principals: ['elsewhere', 'root.test']}))).not.toThrow()
  })

  it.each<[string, () => ReturnType<typeof node>]>([
    ['a node with the name of the proxy', () => node({principals: ['proxy.test']})],
    ['a proxy for another name', () => proxy({principals: ['other.test']})],
    ['a proxy of another cluster', () => proxy({}, leafAuthority)],
    ['a proxy whose certificate has expired', () => proxy({validAfter: 1000n, validBefore: 2000n})],
  ])('is not believed: %s', async (_, make) => {
    expect(await verify(make())).toThrow()
  })

  it('is not believed with a plain key', () => {
    expect(() => verifyTunnelProxy({blob: Buffer.alloc(4)}, policy)).toThrow('plain key')
  })
})
