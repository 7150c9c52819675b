import {once} from 'node:events'
import https from 'node:https'
import net from 'node:net'
import {hostname} from 'node:os'
import tls from 'node:tls'
import {afterEach, describe, expect, it} from 'vitest'
import {defaultLimits} from '../../../src/lib/web/limits.js'
import {type StartWebOptions, startWeb, type WebServer} from '../../../src/lib/web/server.js'
import {anInvite, caKey, fakeAuth, password, webOptions} from './fixture.js'
import {selfSignedPem} from './self-signed.js'

const pem = await selfSignedPem()
const running: WebServer[] = []
const sockets: net.Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(running.splice(0).map(web => web.close()))
})

async function start(changes: Partial<StartWebOptions> = {}) {
  const auth = fakeAuth()
  const {selfSigned: _derived, ...options} = webOptions(auth)
  const web = await startWeb({
    ...options,
    listen: {host: '127.0.0.1', port: 0},
    tls: {...pem, selfSigned: true},
    ...changes,
  })
  running.push(web)
  return {web, auth, port: web.address.port}
}

interface Reply {
  status: number
  body: string
  headers: NodeJS.Dict<string | string[]>
}

function request(
  port: number,
  path: string,
  options: https.RequestOptions & {body?: string} = {},
): Promise<Reply> {
  const {body, ...rest} = options
  return new Promise((resolve, reject) => {
    const sent = https.request(
      {host: '127.0.0.1', port, path, ca: pem.cert, agent: false, ...rest},
      async reply => {
        const chunks: Buffer[] = []
        for await (const chunk of reply) chunks.push(chunk)
        resolve({
          status: reply.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          headers: reply.headers,
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A TLS connection that says `text` and then only listens. */
async function open(port: number, text = '', options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({host: '127.0.0.1', port, ca: pem.cert, ...options})
  sockets.push(socket)
  socket.on('error', () => socket.destroy())
  await once(socket, 'secureConnect')
  socket.write(text)
  return socket
}

async function rest(socket: net.Socket): Promise<string> {
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  // Not events.once: being reset is one of the ways to be cut, and no failure of the test.
  await new Promise<void>(resolve => socket.once('close', () => resolve()))
  return text
}

const login = JSON.stringify({user: 'joe', password, publicKey: caKey})
const loginOptions = {method: 'POST', headers: {'content-type': 'application/json'}, body: login}

describe('startWeb', () => {
  it('serves HTTPS at the port it reports, and tells the auth service who calls', async () => {
    const {web, auth, port} = await start()
    expect(web.url).toBe(`https://127.0.0.1:${port}`)
    const reply = await request(port, '/webapi/ssh/certs', loginOptions)
    expect(reply.status).toBe(200)
    expect(reply.headers['strict-transport-security']).toBe('max-age=31536000')
    expect(auth.calls).toMatchObject([{method: 'login', address: '127.0.0.1'}])
  })

  it('is reached by the public URL, else by name where it listens everywhere', async () => {
    expect((await start({publicUrl: 'https://sally.example'})).web.url).toBe('https://sally.example')
    const free = await start({publicUrl: 'https://sally.example:0'})
    expect(free.web.url).toBe(`https://sally.example:${free.port}`)
    const {web, port} = await start({listen: {host: '0.0.0.0', port: 0}})
    expect(web.url).toBe(`https://${hostname()}:${port}`)
  })

  it('speaks TLS 1.2 and 1.3 and nothing older', async () => {
    const {port} = await start()
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await open(port, '', {minVersion: version, maxVersion: version})
      expect(socket.getProtocol()).toBe(version)
    }
    const old = {minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0'} as const
    await expect(request(port, '/', old)).rejects.toThrow(/alert|version|protocol/i)
  })

  it('names the reason when it cannot listen', async () => {
    const {port} = await start()
    const again = start({listen: {host: '127.0.0.1', port}})
    await expect(again).rejects.toMatchObject({
      code: 'config_invalid',
      message: `the web service cannot listen on 127.0.0.1:${port}: another program uses this port`,
    })
    const unknown = start({listen: {host: 'no-such-host.invalid', port: 0}})
    await expect(unknown).rejects.toMatchObject({code: 'config_invalid'})
  })

  it('refuses a certificate with another key’s, and keeps serving the old one', async () => {
    const other = await selfSignedPem()
    const mixed = {cert: pem.cert, key: other.key, selfSigned: true}
    await expect(start({tls: mixed})).rejects.toMatchObject({code: 'config_invalid'})
    const {web, port} = await start()
    expect(() => web.useCertificate(mixed)).toThrow(expect.objectContaining({code: 'config_invalid'}))
    expect((await request(port, '/')).status).toBe(200)
  })

  it('changes its certificate without a restart', async () => {
    const {web, port} = await start()
    const other = await selfSignedPem()
    web.useCertificate(other)
    await expect(request(port, '/')).rejects.toThrow()
    expect((await request(port, '/', {ca: other.cert})).status).toBe(200)
  })
})

describe('slow and oversized clients', () => {
  const impatient = {headersMs: 200, requestMs: 400, checkMs: 50, handshakeMs: 60_000, inactivityMs: 60_000}

  it('are cut when the TLS handshake does not come', async () => {
    const {port} = await start({limits: {handshakeMs: 200}})
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    const began = Date.now()
    await rest(socket)
    expect(Date.now() - began).toBeLessThan(defaultLimits.handshakeMs)
  })

  it('are cut when no request comes', async () => {
    const {port} = await start({limits: impatient})
    expect(await rest(await open(port))).toContain('408')
  })

  it('are cut when the headers trickle', async () => {
    const {port} = await start({limits: impatient})
    const socket = await open(port, 'GET / HTTP/1.1\r\nHost: x\r\n')
    const trickle = setInterval(() => socket.write('a'), 20)
    expect(await rest(socket).finally(() => clearInterval(trickle))).toContain('408')
  })

  it('are cut when the body trickles, before anybody is asked', async () => {
    const {port, auth} = await start({limits: impatient})
    const head = 'POST /webapi/ssh/certs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
    const socket = await open(port, `${head}Content-Length: 1000\r\n\r\n`)
    const trickle = setInterval(() => socket.write(' '), 20)
    const reply = await rest(socket).finally(() => clearInterval(trickle))
    expect(reply).toMatch(/408|^$/)
    expect(auth.calls).toEqual([])
  })

  it('are refused at the limit of the headers', async () => {
    const {port} = await start()
    const reply = await rest(
      await open(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`),
    )
    expect(reply).toContain('431')
  })

  it('are refused at the limit of the body even when they do not announce its length', async () => {
    const {port, auth} = await start()
    const body = `{"password":"${'x'.repeat(1024 * 1024)}"}`
    const headers = {'content-type': 'application/json', 'transfer-encoding': 'chunked'}
    const outcome = await request(port, '/webapi/ssh/certs', {method: 'POST', headers, body}).catch(
      (error: NodeJS.ErrnoException) => error.code,
    )
    // The reply may be lost when the server hangs up on what is still being sent.
    if (typeof outcome === 'object') expect(outcome.status).toBe(413)
    else expect(['EPIPE', 'ECONNRESET']).toContain(outcome)
    expect(auth.calls).toEqual([])
  })

  it('are cut even when they go on sending after the refusal', async () => {
    const {port} = await start()
    const halfOpen = {allowHalfOpen: true} as tls.ConnectionOptions
    const socket = await open(port, 'GARBAGE\r\n\r\n', halfOpen)
    const trickle = setInterval(() => socket.write('more'), 20)
    expect(await rest(socket).finally(() => clearInterval(trickle))).toContain('400')
  })

  it('are cut when they speak plain HTTP', async () => {
    const {port} = await start()
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(await rest(socket)).not.toContain('HTTP/1.1 200')
  })

  it('are answered when their bytes are not HTTP', async () => {
    const {port} = await start()
    expect(await rest(await open(port, 'SSH-2.0-OpenSSH_9.2\r\n\r\n'))).toContain('400')
  })
})

describe('the cap on connections', () => {
  it('lets a newcomer in at the cost of the connection that was silent longest', async () => {
    const {port} = await start({limits: {connections: 20}})
    const silent = await Promise.all(Array.from({length: 60}, () => connect(port)))
    await Promise.all(silent.slice(0, 40).map(socket => socket.closed || once(socket, 'close')))
    expect((await request(port, '/webapi/ssh/certs', loginOptions)).status).toBe(200)
    expect(silent.filter(socket => !socket.closed).length).toBeLessThan(20)
  })

  it('lets others log in beside a thousand silent connections', async () => {
    const {port} = await start()
    await Promise.all(Array.from({length: 1000}, () => connect(port)))
    const began = Date.now()
    expect((await request(port, '/webapi/ssh/certs', loginOptions)).status).toBe(200)
    expect(Date.now() - began).toBeLessThan(defaultLimits.handshakeMs)
  })

  it('never costs a request in progress its connection', async () => {
    const held = hold()
    const auth = fakeAuth({ping: held.ping})
    const {port} = await start({auth, limits: {connections: 1}})
    const answer = request(port, '/webapi/ping')
    await held.reached
    await expect(request(port, '/')).rejects.toMatchObject({code: expect.stringMatching(/ECONNRESET|EPIPE/)})
    held.release()
    expect((await answer).status).toBe(200)
  })

  async function connect(port: number): Promise<net.Socket> {
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => socket.destroy())
    socket.resume()
    await once(socket, 'connect')
    return socket
  }
})

describe('close', () => {
  it('lets a request in progress finish and ends idle connections at once', async () => {
    const held = hold()
    const {web, port} = await start({auth: fakeAuth({ping: held.ping})})
    const [idle, raw] = [await open(port), net.connect(port, '127.0.0.1')]
    sockets.push(raw)
    await once(raw, 'connect')
    const answer = request(port, '/webapi/ping')
    await held.reached
    const ended = Promise.all([rest(idle), rest(raw.on('error', () => raw.destroy()))])
    const closed = web.close()
    await ended
    held.release()
    expect((await answer).status).toBe(200)
    await closed
    await expect(request(port, '/')).rejects.toMatchObject({code: 'ECONNREFUSED'})
  })

  it('cuts what does not finish in time', async () => {
    const held = hold()
    const {web, port} = await start({auth: fakeAuth({ping: held.ping}), limits: {drainMs: 100}})
    const answer = request(port, '/webapi/ping').catch((error: NodeJS.ErrnoException) => error.code)
    await held.reached
    const began = Date.now()
    await web.close()
    expect(Date.now() - began).toBeLessThan(defaultLimits.drainMs)
    expect(await answer).toMatch(/ECONNRESET|EPIPE/)
    held.release()
  })
})

/** A ping that waits until it is released. */
function hold() {
  let release = () => {}
  let reach = () => {}
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  const reached = new Promise<void>(resolve => {
    reach = resolve
  })
  const {as} = fakeAuth()
  const ping = async () => {
    reach()
    await released
    return as({kind: 'anonymous', address: ''}).ping()
  }
  return {ping, reached, release}
}

describe('a sign-up over TLS', () => {
  it('works once among parallel submits', async () => {
    const {port, auth} = await start()
    const {otp: _none, ...invite} = anInvite({secondFactor: 'off'})
    auth.invites.set('t0ken', invite)
    const body = JSON.stringify({token: 't0ken', password})
    const replies = await Promise.all(
      Array.from({length: 10}, () => request(port, '/webapi/users/password/token', {...loginOptions, body})),
    )
    expect(replies.map(({status}) => status).sort()).toEqual([200, ...Array(9).fill(410)])
  })
})
