import {generateKeyPairSync} from 'node:crypto'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import https from 'node:https'
import {join} from 'node:path'
import {TOTP} from 'otpauth'
import {pino} from 'pino'
import {beforeAll, describe, expect, it} from 'vitest'
import type {AuthApi} from '../../src/lib/auth/index.js'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {loadTls, startWeb} from '../../src/lib/web/index.js'
import {startAuthService} from '../support/auth-service.js'
import {atEnd} from '../support/cleanup.js'
import {clientOptions, ssh, sshKeygen, writePrivateFile} from '../support/openssh.js'
import {run} from '../support/process.js'
import {startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const password = 'correct horse battery staple'
const publicKey = formatAuthorizedKey(publicKeyBlob(generateKeyPairSync('ed25519').publicKey))

let url: string
let tls: {cert: string}
let admin: AuthApi

beforeAll(async () => {
  const logger = pino({level: 'silent'})
  const auth = await startAuthService({secondFactor: 'otp', clusterName: 'prod', publicUrl: () => url})
  const served = await loadTls({dataDir: temporaryDirectory(), logger, now: Date.now})
  const web = await startWeb({
    ...{auth, tls: served, logger, clusterName: 'prod', sshAddress: () => '127.0.0.1:3023', now: Date.now},
    listen: {host: '127.0.0.1', port: 0},
    limits: {tokensPerMinute: 1000, loginsPerMinute: 1000},
  })
  atEnd(() => web.close())
  tls = served
  url = web.url
  admin = auth.as({kind: 'admin'})
})

interface Reply {
  status: number
  text: string
  json: {error?: {code: string}; otp?: {secret: string}; certificate?: string}
}

async function call(path: string, body?: unknown): Promise<Reply> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const request = https.request(`${url}${path}`, {
    ca: tls.cert,
    method: text === undefined ? 'GET' : 'POST',
    headers: text === undefined ? {} : {'content-type': 'application/json'},
  })
  request.end(text)
  const [response] = await once(request, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const answer = Buffer.concat(chunks).toString()
  const isJson = String(response.headers['content-type']).includes('json')
  return {status: response.statusCode, text: answer, json: isJson ? JSON.parse(answer) : {}}
}

/** An invited user: the token of the link, and his authenticator. */
async function invited(name: string) {
  const token = (await admin.createUser({name, logins: ['root', 'deploy']})).url.split('/').at(-1) ?? ''
  const shown = await call(`/webapi/users/password/token/${token}`)
  const totp = new TOTP({secret: shown.json.otp?.secret ?? ''})
  const code = (later = 0) => totp.generate({timestamp: Date.now() + later * 1000})
  const accept = (otp = code(), chosen = password) =>
    call('/webapi/users/password/token', {token, password: chosen, otp})
  const login = (otp: string, given = password) =>
    call('/webapi/ssh/certs', {user: name, password: given, otp, publicKey})
  return {token, code, accept, login}
}

describe('a sign-up by the API', () => {
  it('keeps the link after a short password or a wrong code, then works once', async () => {
    const joe = await invited('joe')
    expect((await joe.accept(joe.code(), 'short')).json.error?.code).toBe('invalid_input')
    expect((await joe.accept('000000')).json.error?.code).toBe('bad_credentials')
    expect((await joe.accept('')).json.error?.code).toBe('otp_required')
    expect(await joe.accept()).toMatchObject({status: 200, json: {user: 'joe'}})
    expect(await joe.accept(joe.code(30))).toMatchObject({
      status: 410,
      json: {error: {code: 'token_invalid'}},
    })
    expect((await call(`/webapi/users/password/token/${joe.token}`)).status).toBe(410)
  })

  it('succeeds once among twenty at the same moment', async () => {
    const {accept} = await invited('parallel')
    const replies = await Promise.all(Array.from({length: 20}, () => accept()))
    expect(replies.filter(({status}) => status === 200)).toHaveLength(1)
  })
})

describe('a login by the API', () => {
  it('gives a certificate that ssh-keygen reads, and takes a code once', async () => {
    const {code, accept, login} = await invited('ann')
    await accept()
    const otp = code(30)
    const reply = await login(otp)
    expect(reply).toMatchObject({status: 200, json: {user: 'ann', clusterName: 'prod'}})
    const path = join(temporaryDirectory(), 'id-cert.pub')
    writeFileSync(path, `${reply.json.certificate}\n`)
    const printed = await sshKeygen(['-L', '-f', path])
    expect(printed).toContain('Key ID: "ann"')
    expect(printed).toMatch(/Principals:\s+root\s+deploy\s+Critical Options/)
    expect((await login(otp)).json.error?.code).toBe('bad_credentials')
  })

  it('answers an unknown user and a wrong password with the same bytes', async () => {
    const {accept, login} = await invited('eve')
    await accept()
    const wrong = await login('000000', 'a wrong password')
    const unknown = await call('/webapi/ssh/certs', {user: 'nobody', password, otp: '000000', publicKey})
    expect(wrong.status).toBe(401)
    expect(unknown).toEqual(wrong)
  })

  it('refuses a hash bomb of a password before it is there', async () => {
    const request = https.request(`${url}/webapi/ssh/certs`, {
      ...{ca: tls.cert, method: 'POST'},
      headers: {'content-type': 'application/json', 'content-length': 1_000_000},
    })
    request.flushHeaders()
    const [response] = await once(request, 'response')
    expect(response.statusCode).toBe(413)
    request.destroy()
  })
})

describe('the exported user CA', () => {
  it('through curl and sed is a TrustedUserCAKeys file by which sshd lets a user in', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'user_ca.pub')
    const line = `curl -sk '${url}/webapi/auth/export?type=user' | sed 's/cert-authority //' > ${path}`
    expect(await run('sh', ['-c', line])).toMatchObject({code: 0, stderr: ''})
    expect(await sshKeygen(['-l', '-f', path])).toContain('clustername=prod&type=user')

    const sshd = await startSshd({directory, extraConfig: `TrustedUserCAKeys ${path}`})
    const key = generateKeyPairSync('ed25519').privateKey
    const {certificate} = await admin.signUser({
      user: (await admin.createUser({name: 'sam', logins: [sshd.user]})).user,
      publicKey: formatAuthorizedKey(publicKeyBlob(key)),
    })
    const identity = writePrivateFile(join(directory, 'id'), formatPrivateKey(key, 'sam'))
    writeFileSync(join(directory, 'id-cert.pub'), `${certificate}\n`)
    const options = clientOptions({port: sshd.port, identity, certificate: `${identity}-cert.pub`})
    const {code, stdout} = await ssh([...options, `${sshd.user}@127.0.0.1`, 'echo in'])
    expect({code, stdout: stdout.toString()}).toEqual({code: 0, stdout: 'in\n'})
    await sshd.waitForLog(/Accepted publickey .* ID sam/)
  })

  it('for hosts is a known_hosts line, and the front page shows both fingerprints', async () => {
    const {text} = await call('/webapi/auth/export?type=host')
    expect(text).toMatch(/^@cert-authority \*\.prod ssh-\S+ AAAA\S+ clustername=prod&type=host\n$/)
    const page = await call('/')
    for (const {type, fingerprint} of await admin.listAuthorities()) {
      expect([type, page.text.includes(fingerprint)]).toEqual([type, type === 'user' || type === 'host'])
      if (!type.startsWith('tls')) continue
      expect((await call(`/webapi/auth/export?type=${type}`)).text).toContain('BEGIN CERTIFICATE')
    }
  })
})
