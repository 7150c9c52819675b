import {generateKeyPairSync} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import type {RequestListener} from 'node:http'
import {createServer} from 'node:https'
import {createServer as createTcpServer} from 'node:net'
import {join} from 'node:path'
import forge from 'node-forge'
import {describe, expect, it} from 'vitest'
import {httpsRequest, maxResponseBytes} from '../../../../src/lib/client/api/https.js'
import {webApi} from '../../../../src/lib/client/api/web-api.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {selfSignedPem} from '../../web/self-signed.js'
import {inviteToken, otpSecret, startCluster} from '../fixture.js'

async function startServer(listener: RequestListener, pem?: {cert: string; key: string}) {
  pem ??= await selfSignedPem()
  const server = createServer({cert: pem.cert, key: pem.key}, listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {host: '127.0.0.1', port, pem}
}

/** openssl makes no certificate that is already over. */
function expiredPem(): {cert: string; key: string} {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048})
  const key = privateKey.export({type: 'pkcs1', format: 'pem'}).toString()
  const certificate = forge.pki.createCertificate()
  const forgeKey = forge.pki.privateKeyFromPem(key) as forge.pki.rsa.PrivateKey
  certificate.publicKey = forge.pki.rsa.setPublicKey(forgeKey.n, forgeKey.e)
  certificate.validity.notBefore = new Date(Date.now() - 2 * 86_400_000)
  certificate.validity.notAfter = new Date(Date.now() - 86_400_000)
  certificate.setSubject([{name: 'commonName', value: 'localhost'}])
  certificate.setIssuer([{name: 'commonName', value: 'localhost'}])
  certificate.setExtensions([{name: 'subjectAltName', altNames: [{type: 7, ip: '127.0.0.1'}]}])
  certificate.sign(forgeKey, forge.md.sha256.create())
  return {cert: forge.pki.certificateToPem(certificate), key}
}

const answering =
  (status: number, body: string): RequestListener =>
  (_request, response) => {
    response.writeHead(status, {'content-type': 'application/json'}).end(body)
  }

describe('the web API', () => {
  it('is spoken with the web service of a proxy', async () => {
    const cluster = await startCluster({secondFactor: 'otp'})
    const api = webApi({...cluster, insecure: true})
    expect(await api.ping()).toMatchObject({clusterName: 'test', proxy: {ssh: {listen_addr: '0.0.0.0:3023'}}})
    expect(await api.getInvite(inviteToken)).toMatchObject({user: 'joe', otp: {secret: otpSecret}})
    expect(await api.acceptInvite({token: inviteToken, password: 'p', otp: '1'})).toEqual({user: 'joe'})
    expect(await api.exportAuthorities('host')).toMatch(/^cert-authority ssh-ed25519 /)
  })

  it("gives the proxy's own error, code, message and hint", async () => {
    const {port} = await startCluster()
    const api = webApi({host: '127.0.0.1', port, insecure: true})
    await expect(api.getInvite('unknown')).rejects.toMatchObject({
      code: 'token_invalid',
      message: 'the link is unknown, used or expired',
    })
    const hinting = await startServer(
      answering(403, '{"error":{"code":"account_locked","message":"locked","hint":"wait"}}'),
    )
    await expect(webApi({...hinting, insecure: true}).ping()).rejects.toMatchObject({
      ...{code: 'account_locked', message: 'locked', hint: 'wait'},
    })
  })

  it.each([
    ['another service', 200, '<html>', 'protocol_error'],
    ['a ping without its fields', 200, '{"clusterName":"c"}', 'protocol_error'],
    ['a name with a line break', 200, '{"clusterName":"c\\nHost *"}', 'protocol_error'],
    ['a page that is not there', 404, 'not found', 'protocol_error'],
    ['a gateway without its backend', 502, '<html>', 'unavailable'],
    ['an unknown error code', 400, '{"error":{"code":"toString","message":"m"}}', 'failure'],
  ])('names %s', async (_, status, body, code) => {
    const target = await startServer(answering(status, body))
    await expect(webApi({...target, insecure: true}).ping()).rejects.toMatchObject({code})
  })

  it('reads no more of an answer than its limit', async () => {
    let sent = 0
    const target = await startServer((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536
      }
      response.on('drain', more).on('error', () => {})
      more()
    })
    await expect(webApi({...target, insecure: true}).ping()).rejects.toMatchObject({code: 'limit_exceeded'})
    expect(sent).toBeLessThan(16 * maxResponseBytes)
  })
})

describe('the connection to a proxy', () => {
  it('is refused with a self-signed certificate, and the error names the ways out', async () => {
    const {host, port} = await startServer(answering(200, '{}'))
    await expect(httpsRequest({host, port}, {method: 'GET', path: '/'})).rejects.toMatchObject({
      code: 'tls_untrusted',
      message: `the web certificate of 127.0.0.1:${port} is not trusted: it is signed by itself`,
      hint: 'name its authority with SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or accept it with --insecure',
    })
  })

  it('is made when SSL_CERT_FILE names the certificate, and only for its host names', async () => {
    const {port, pem} = await startServer(answering(200, '{}'))
    const file = join(temporaryDirectory(), 'ca.pem')
    writeFileSync(file, pem.cert)
    const env = {SSL_CERT_FILE: file}
    const get = {method: 'GET', path: '/'} as const
    expect((await httpsRequest({host: '127.0.0.1', port, env}, get)).status).toBe(200)
    await expect(httpsRequest({host: '127.0.0.2', port, env}, get)).rejects.toMatchObject({
      code: expect.stringMatching(/tls_untrusted|proxy_unreachable/),
    })
    await expect(
      httpsRequest({host: '127.0.0.1', port, env: {SSL_CERT_FILE: '/nowhere'}}, get),
    ).rejects.toMatchObject({
      code: 'tls_untrusted',
      message: expect.stringContaining('/nowhere'),
    })
  })

  it('is refused with an expired certificate', async () => {
    const {host, port, pem} = await startServer(answering(200, '{}'), expiredPem())
    const file = join(temporaryDirectory(), 'ca.pem')
    writeFileSync(file, pem.cert)
    await expect(
      httpsRequest({host, port, env: {SSL_CERT_FILE: file}}, {method: 'GET', path: '/'}),
    ).rejects.toMatchObject({code: 'tls_untrusted', message: expect.stringContaining('expired')})
  })

  it('tells why a proxy cannot be reached', async () => {
    const silent = createTcpServer(socket => void socket.on('error', () => {}).resume())
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const target = {host: '127.0.0.1', port, timeoutMs: 50}
    await expect(webApi(target).ping()).rejects.toMatchObject({
      code: 'proxy_unreachable',
      message: `the proxy 127.0.0.1:${port} gave no answer in 0.05 s`,
    })
    await new Promise(resolve => silent.close(resolve))
    await expect(webApi(target).ping()).rejects.toMatchObject({
      code: 'proxy_unreachable',
      message: `cannot reach the proxy 127.0.0.1:${port}: nothing listens there`,
      hint: 'check --proxy, and that the proxy is running',
    })
  })

  it('says so when the port does not speak HTTPS', async () => {
    const ssh = createTcpServer(socket => socket.end('SSH-2.0-Test\r\n'))
    await new Promise<void>(resolve => ssh.listen(0, '127.0.0.1', resolve))
    atEnd(() => void ssh.close())
    const address = ssh.address()
    const port = typeof address === 'object' && address ? address.port : 0
    await expect(webApi({host: '127.0.0.1', port}).ping()).rejects.toMatchObject({
      code: 'proxy_unreachable',
      message: `cannot reach the proxy 127.0.0.1:${port}: it does not speak HTTPS`,
    })
  })
})
