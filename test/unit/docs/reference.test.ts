import {generateKeyPairSync} from 'node:crypto'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {z} from 'zod'
import {anonymousInputs, streamMethods, systemInputs} from '../../../src/lib/auth/cluster/system-methods.js'
import {signedHeadSchema} from '../../../src/lib/auth/history/signed-heads.js'
import {methodInputs} from '../../../src/lib/auth/http/method-inputs.js'
import {remoteMethods} from '../../../src/lib/auth/http/remote-methods.js'
import type {AuthApi, Caller} from '../../../src/lib/auth/index.js'
import {
  joinTokenSchema,
  machineSchema,
  proxyPlaceSchema,
  webAddressSchema,
} from '../../../src/lib/auth/join/joining.js'
import {
  failuresSchema,
  hostSchema,
  inviteSchema,
  lockSchema,
  otpUseSchema,
  storedRoleSchema,
  userSchema,
} from '../../../src/lib/auth/records.js'
import {apiRights, mayCall} from '../../../src/lib/auth/rights.js'
import {holderSchema} from '../../../src/lib/auth/sessions/holders.js'
import {
  remoteClusterSchema,
  trustedClusterSchema,
  trustedClustersPrefix,
} from '../../../src/lib/auth/trust/records.js'
import {
  formatAuthorizedKey,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
} from '../../../src/lib/sshcert/index.js'
import {startAuthService} from '../../support/auth-service.js'
import {page, repository, rows, section} from '../../support/documents.js'

/** Names in the first cells of a table; a cell may have several. */
const named = (text: string): string[] =>
  rows(text).flatMap(([cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1] ?? ''))

describe('wire-protocol.md', () => {
  const api = section(page('docs/wire-protocol.md'), '## The auth API')
  const about = (method: string): string =>
    api.split(/^### /m).find(part => part.split('\n')[0] === method) ?? ''

  it('has a section for every method that can be called, and for no other', () => {
    const listed = [...api.matchAll(/^### (.*)$/gm)].map(match => match[1])
    expect(listed).toEqual([...remoteMethods])
  })

  it.each([...remoteMethods])(
    'lists the fields of %s, says which may be absent, and who may call it',
    method => {
      const schema = z.toJSONSchema(methodInputs[method], {io: 'input', unrepresentable: 'any'})
      const properties = Object.keys(schema.properties ?? {})
      const table = rows(about(method)).filter(cells => cells.length === 3)
      expect(named(about(method)).sort()).toEqual(properties.sort())
      const optional = table.filter(([, type = '']) => type.endsWith('?')).map(([cell = '']) => cell)
      const wanted = properties.filter(name => !schema.required?.includes(name))
      expect(
        optional.flatMap(cell => [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1])).sort(),
      ).toEqual(wanted.sort())
      const right = apiRights[method]
      const words = typeof right === 'string' ? right : right.map(word => `\`${word}\``).join(', ')
      expect(about(method)).toContain(`Right: ${words}`)
    },
  )
})

describe('auth-api.md', () => {
  const guide = page('docs/auth-api.md')
  const calls = rows(section(guide, '## Calls'))
  const inputs = Object.entries(systemInputs as Record<string, z.ZodType>)

  it('lists every method that roles on other machines call, every stream, and no other', () => {
    const methods = calls.map(([cell = '']) => cell.replaceAll('`', ''))
    expect(methods.sort()).toEqual(inputs.map(([name]) => name).sort())
    const streams = rows(section(guide, '## Streams')).map(([cell = '']) => cell.replaceAll('`', ''))
    expect(streams.sort()).toEqual([...streamMethods].sort())
    const others = section(guide, '## For others')
    expect(Object.keys(anonymousInputs).filter(name => !others.includes(`\`${name}\``))).toEqual([])
  })

  it.each(inputs)('has the fields of %s, and says which may be absent', (name, schema) => {
    const cell = calls.find(([first]) => first === `\`${name}\``)?.[2] ?? ''
    const {prefixItems = []} = z.toJSONSchema(schema, {io: 'input', unrepresentable: 'any'}) as {
      prefixItems?: {properties?: Record<string, unknown>; required?: string[]}[]
    }
    for (const {properties = {}, required = []} of prefixItems)
      for (const field of Object.keys(properties))
        expect([field, cell.includes(`\`${field}\`${required.includes(field) ? '' : '?'}`)]).toEqual([
          field,
          true,
        ])
  })

  it.each([...inputs.map(([name]) => name), ...streamMethods])('says who may call %s', name => {
    const row = [...calls, ...rows(section(guide, '## Streams'))].find(([first]) => first === `\`${name}\``)
    const may = (caller: Caller): boolean => mayCall(caller, name as keyof AuthApi, [])
    const roles = (['proxy', 'node'] as const).filter(role => may({kind: 'system', role}))
    const words = may({kind: 'anonymous', address: ''}) ? 'anybody' : roles.join(', ')
    expect(row?.[1]).toBe(words)
  })
})

describe('storage.md', () => {
  const guide = page('docs/storage.md')

  it('has a section for every collection of records', () => {
    const described = [...guide.text.matchAll(/^### (.*)$/gm)].flatMap(match =>
      [...(match[1] ?? '').matchAll(/`([a-z-]+)\/[^`]*`/g)].map(([, name]) => name),
    )
    const sources = readdirSync(join(repository, 'src/lib/auth'), {recursive: true, encoding: 'utf8'})
      .filter(name => name.endsWith('.ts'))
      .map(name => readFileSync(join(repository, 'src/lib/auth', name), 'utf8'))
      .join('\n')
    const made = [...sources.matchAll(/createRecords\(\s*backend,\s*([^,]+),/g)].map(([, name = '']) => name)
    const literal = made.flatMap(name => /^'(.*)'$/.exec(name)?.[1] ?? [])
    // One stands under a name that its watcher uses, too.
    expect(made.length - literal.length).toBe(1)
    expect(described).toEqual(expect.arrayContaining([...literal, trustedClustersPrefix.slice(0, -1)]))
    expect(literal.length).toBeGreaterThan(10)
  })

  it.each([
    ['### `users/<name>`', userSchema],
    ['### `invites/<sha-256 of the token, hex>`', inviteSchema],
    ['### `join-tokens/<sha-256 of the token, hex>`', joinTokenSchema],
    ['### `machines/<UUID>`', machineSchema],
    ['### `web-address/latest`', webAddressSchema],
    ['### `failures/<name>`', failuresSchema],
    ['### `otp/<name>`', otpUseSchema],
    ['### `roles/<name>`', storedRoleSchema],
    ['### `audit/signed-head`', signedHeadSchema],
    ['### `hosts/<UUID>`', hostSchema],
    ['### `locks/<UUID>`', lockSchema],
    ['### `proxies/<UUID>`', proxyPlaceSchema],
    ['### `remote-clusters/<name>`', remoteClusterSchema],
    ['### `trusted-clusters/<name>`', trustedClusterSchema],
    ['### `session-holders/<session ID>`', holderSchema],
  ] as const)('lists every field of %s', (heading, schema) => {
    const fields = Object.keys(schema.shape).filter(name => name !== 'version')
    expect(named(section(guide, heading)).sort()).toEqual(fields.sort())
  })
})

describe('certificates.md', async () => {
  const guide = page('docs/certificates.md')
  const auth = await startAuthService({clusterName: 'example', publicUrl: () => 'https://localhost'})
  const admin = auth.as({kind: 'admin'})
  const publicKey = formatAuthorizedKey(publicKeyBlob(generateKeyPairSync('ed25519').publicKey))
  await admin.createUser({name: 'joe', logins: ['joe', 'root']})
  const certificates = {
    user: parseCertificate(
      parseAuthorizedKey((await admin.signUser({user: 'joe', publicKey})).certificate).blob,
    ),
    host: parseCertificate(
      parseAuthorizedKey((await admin.signHost({principals: ['a', 'b'], publicKey})).certificate).blob,
    ),
  }
  const hours = (kind: 'user' | 'host'): number =>
    Number(certificates[kind].validBefore - certificates[kind].validAfter - 60n) / 3600
  const field = (heading: string, name: string): string =>
    rows(section(guide, heading)).find(([cell]) => cell === name)?.[1] ?? ''

  it('lists the extensions of a user certificate, their order and their values', () => {
    const {extensions} = certificates.user
    const table = rows(section(guide, '## User certificates')).filter(cells => cells.length === 3)
    const [names, values] = [0, 1].map(at => table.map(cells => cells[at]?.replaceAll('`', '')))
    const byRole = ['pin-source-ip@sallyport', 'permit-X11-forwarding']
    expect(names?.slice(0, 2)).toEqual(byRole)
    expect(names?.slice(2)).toEqual([...extensions.keys()])
    expect(values?.slice(1)).toEqual([...Array(4).fill('empty'), ...[...extensions.values()].slice(-2)])
  })

  it('says how long certificates last, and that nobody is tied to critical options', () => {
    expect(field('## User certificates', 'valid before')).toContain(`${hours('user')} hours by default`)
    expect(field('## Host certificates', 'valid after, before')).toContain('for a year')
    expect(hours('host')).toBe(365 * 24)
    for (const kind of ['user', 'host'] as const) {
      expect(field(`## ${kind === 'user' ? 'User' : 'Host'} certificates`, 'critical options')).toBe('none')
      expect(certificates[kind].criticalOptions.size).toBe(0)
    }
    expect([...certificates.host.extensions]).toEqual([['x-teleport-authority', 'example']])
    expect(certificates.host).toMatchObject({keyId: 'a', principals: ['a', 'b']})
  })

  it('lists the authorities', async () => {
    const listed = named(section(guide, '## Authorities'))
    expect(listed).toEqual((await admin.listAuthorities()).map(({type}) => type))
  })
})
