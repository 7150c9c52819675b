import {generateKeyPairSync, type KeyObject, sign} from 'node:crypto'
import {describe, expect, it} from 'vitest'
import {type EnrolRequest, enrolmentBytes} from '../../../../src/lib/auth/join/enrol-types.js'
import {
  checkCertificate,
  formatAuthorizedKey,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
} from '../../../../src/lib/sshcert/index.js'
import {type Auth, failure, openAuth, signUp, userCaller} from '../fixture.js'

const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey

const request = (key: KeyObject, changes: Partial<EnrolRequest> = {}): EnrolRequest => {
  const unsigned = {
    ...{publicKey: formatAuthorizedKey(publicKeyBlob(key)), hostname: 'web-1', port: 2222},
    ...changes,
  }
  return {...unsigned, signature: sign(null, enrolmentBytes(unsigned), key).toString('base64')}
}

const tokenFor = async (auth: Auth, role: 'openssh' | 'node' = 'openssh'): Promise<string> =>
  (await auth.admin.createToken({roles: [role]})).token

describe('a host that enrols itself', () => {
  it('gets a certificate for its names, and a place in the inventory', async () => {
    const auth = await openAuth()
    const key = newKey()
    const token = await tokenFor(auth)
    const answer = await auth.anonymous.enrolHost(
      request(key, {token, names: ['www.acme.example', '192.0.2.80'], labels: {env: 'prod'}}),
    )
    expect(answer).toMatchObject({hostname: 'web-1', address: '192.0.2.7:2222', clusterName: 'acme.example'})
    const certificate = parseCertificate(parseAuthorizedKey(answer.certificate).blob)
    const authorities = answer.hostAuthorities.map(line => parseAuthorizedKey(line).blob)
    checkCertificate(certificate, {kind: 'host', authorities, principal: 'web-1', now: auth.clock.now})
    expect(certificate.publicKey).toEqual(publicKeyBlob(key))
    expect(certificate.principals).toEqual([
      ...['web-1', 'www.acme.example', '192.0.2.80', answer.id],
      ...[`${answer.id}.acme.example`, 'web-1.acme.example', '192.0.2.7'],
    ])
    expect(answer.userAuthorities).toEqual(
      (await auth.admin.exportAuthorities({type: 'user'}))
        .trim()
        .split('\n')
        .map(line => line.replace('cert-authority ', '').replace(/ [^ ]*$/, '')),
    )
    expect(await auth.admin.listHosts({})).toMatchObject([
      {
        id: answer.id,
        subKind: 'openssh',
        hostname: 'web-1',
        address: '192.0.2.7:2222',
        labels: {env: 'prod'},
      },
    ])
    const events = (await auth.events()).map(({event}) => event)
    expect(events).toEqual(expect.arrayContaining(['node.created', 'cert.create']))
  })

  it('keeps its other names from hosts that come later', async () => {
    const auth = await openAuth()
    const first = {names: ['www.acme.example'], address: '192.0.2.1:22'}
    await auth.anonymous.enrolHost(request(newKey(), {...first, token: await tokenFor(auth)}))
    for (const second of [{hostname: 'www.acme.example'}, {hostname: 'web-2', names: ['WWW.acme.example']}]) {
      const wish = request(newKey(), {...second, token: await tokenFor(auth)})
      expect((await failure(auth.anonymous.enrolHost(wish))).code).toBe('already_exists')
    }
    expect((await auth.admin.getHost('web-1')).resource.spec.names).toEqual(['www.acme.example'])
  })

  it('uses the token up', async () => {
    const auth = await openAuth()
    const token = await tokenFor(auth)
    const attempts = await Promise.allSettled(
      Array.from({length: 8}, (_, at) =>
        auth.anonymous.enrolHost(
          request(newKey(), {token, hostname: `web-${at}`, address: `192.0.2.${at}:22`}),
        ),
      ),
    )
    expect(attempts.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    expect(await auth.admin.listHosts({})).toHaveLength(1)
  })

  it.each<[string, Partial<EnrolRequest>, string]>([
    ['a token that is none', {token: 'no such token'}, 'token_invalid'],
    ['no token', {token: undefined as never}, 'token_invalid'],
    ['the name of the cluster', {hostname: 'acme.example'}, 'access_denied'],
    ['the name of the proxy', {hostname: 'proxy.acme.example'}, 'access_denied'],
    ['the name of the proxy among others', {names: ['PROXY.acme.example.']}, 'access_denied'],
    ['the name that every machine has for itself', {names: ['localhost']}, 'access_denied'],
    ['the address that every machine has for itself', {names: ['127.0.0.2']}, 'access_denied'],
    ['a pattern', {hostname: '*'}, 'invalid_input'],
    ['a UUID for a name', {names: ['11111111-0000-4000-8000-000000000000']}, 'invalid_input'],
    ['an id that is none', {id: 'x'}, 'invalid_input'],
    ['names without end', {names: Array.from({length: 17}, (_, at) => `n${at}`)}, 'invalid_input'],
    ['a label that is none', {labels: {'a b': 'c'}}, 'invalid_input'],
    ['a name of another host', {hostname: 'db-1'}, 'already_exists'],
    ['an address of another host among its names', {names: ['10.0.0.1']}, 'already_exists'],
  ])('with %s is refused, and nothing is certified', async (_, changes, code) => {
    const auth = await openAuth()
    const node = {
      kind: 'node',
      sub_kind: 'openssh',
      version: 'v1',
      spec: {hostname: 'db-1', addr: '10.0.0.1'},
    }
    await auth.admin.createResources({resources: [node as never]})
    const token = await tokenFor(auth)
    const asked = {token, ...changes}
    if (asked.token === undefined) delete (asked as {token?: string}).token
    expect((await failure(auth.anonymous.enrolHost(request(newKey(), asked)))).code).toBe(code)
    expect(await auth.admin.listHosts({})).toHaveLength(1)
    expect(await auth.events('cert.create')).toEqual([])
    expect((await auth.events('instance.join'))[0]).toMatchObject({success: false})
  })

  it('has to have a token for it, and a key of its own', async () => {
    const auth = await openAuth()
    const token = await tokenFor(auth, 'node')
    expect((await failure(auth.anonymous.enrolHost(request(newKey(), {token})))).code).toBe('access_denied')
    const good = request(newKey(), {token: await tokenFor(auth)})
    const other = formatAuthorizedKey(publicKeyBlob(newKey()))
    for (const forged of [
      {publicKey: other},
      {hostname: 'db-9'},
      {labels: {env: 'prod'}},
      {signature: 'AAAA'},
    ])
      expect((await failure(auth.anonymous.enrolHost({...good, ...forged}))).code).toBe('access_denied')
    expect(await auth.admin.listHosts({})).toEqual([])
    expect(await auth.anonymous.enrolHost(good)).toMatchObject({hostname: 'web-1'})
  })

  it('is not for users, administer though they may', async () => {
    const auth = await openAuth()
    await signUp(auth, 'ed', {roles: ['editor']})
    const ed = auth.service.as(userCaller('ed', ['editor']))
    expect((await failure(ed.enrolHost(request(newKey(), {address: '10.0.0.9:22'})))).code).toBe(
      'token_invalid',
    )
  })

  it('comes again under its UUID with its key alone', async () => {
    const auth = await openAuth()
    const key = newKey()
    const first = await auth.anonymous.enrolHost(request(key, {token: await tokenFor(auth)}))
    const {id} = first
    const again = request(key, {token: await tokenFor(auth), id, hostname: 'web-2', labels: {env: 'test'}})
    expect(await auth.anonymous.enrolHost(again)).toMatchObject({id, hostname: 'web-2'})
    const hosts = await auth.admin.listHosts({})
    expect(hosts).toMatchObject([{id, hostname: 'web-2', labels: {env: 'test'}}])
    const stranger = request(newKey(), {token: await tokenFor(auth), id, hostname: 'web-3'})
    expect((await failure(auth.anonymous.enrolHost(stranger))).code).toBe('access_denied')
    // What an administrator changes of it does not take its key away.
    const {resource, revision} = await auth.admin.getHost(id)
    await auth.admin.updateHost({
      resource: {...resource, spec: {...resource.spec, hostname: 'web-4'}},
      revision,
    })
    expect((await failure(auth.anonymous.enrolHost(stranger))).code).toBe('access_denied')
  })

  it('does not take the UUID of a node of ours', async () => {
    const auth = await openAuth()
    const id = '11111111-0000-4000-8000-000000000000'
    const node = auth.service.as({kind: 'system', role: 'node', hostId: id})
    await node.heartbeat({id, subKind: 'node', hostname: 'n1', address: '10.0.0.1:3022', labels: {}})
    const wish = request(newKey(), {token: await tokenFor(auth), id})
    expect((await failure(auth.anonymous.enrolHost(wish))).code).toBe('access_denied')
  })

  it('is enrolled by an administrator without a token, at the address he gives', async () => {
    const auth = await openAuth()
    const answer = await auth.admin.enrolHost(request(newKey(), {address: '10.0.0.9:22'}))
    expect(answer.address).toBe('10.0.0.9:22')
    expect((await failure(auth.admin.enrolHost(request(newKey(), {hostname: 'x'})))).code).toBe(
      'invalid_input',
    )
  })
})
