import {Writable} from 'node:stream'
import fc from 'fast-check'
import {describe, expect, it, test} from 'vitest'
import type {HostRecord} from '../../../../src/lib/access/index.js'
import type {Ping} from '../../../../src/lib/auth/contract.js'
import {findHosts, parseLabelTarget, parseSshTarget} from '../../../../src/lib/client/index.js'
import {prefixed} from '../../../../src/lib/client/ssh/many-hosts.js'

const usage = expect.objectContaining({code: 'usage'})

async function through(chunks: readonly Buffer[]): Promise<Buffer[]> {
  const written: Buffer[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  const stream = prefixed(sink, 'db-1')
  for (const chunk of chunks) stream.write(chunk)
  await new Promise<void>(resolve => stream.end(resolve))
  return written
}

describe('output of several hosts', () => {
  it('has the host before each line, however the bytes come', async () => {
    const bytes = fc.uint8Array({maxLength: 60}).map(list => list.map(byte => (byte % 7 === 0 ? 10 : byte)))
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, {maxLength: 8}), async parts => {
        const written = await through(parts.map(part => Buffer.from(part)))
        const all = Buffer.concat(parts).toString('latin1')
        const lines = all.replace(/\n$/, '').split('\n')
        const expected = all === '' ? '' : lines.map(line => `db-1: ${line}\n`).join('')
        expect(Buffer.concat(written).toString('latin1')).toBe(expected)
        // Whole lines alone, or those of two hosts would run into each other.
        for (const chunk of written) expect(chunk.at(-1)).toBe(10)
      }),
    )
  })

  it('is not gathered without end where no line ends', async () => {
    const written = await through(Array.from({length: 3}, () => Buffer.alloc(70_000, 'x')))
    expect(written.length).toBe(3)
  })
})

describe('a target', () => {
  test.each<[string, ReturnType<typeof parseLabelTarget>]>([
    ['root@env=prod', {login: 'root', labels: {env: 'prod'}}],
    ['root@env=prod,team=*', {login: 'root', labels: {env: 'prod', team: '*'}}],
    ['root@mail=joe@example.com', {login: 'root', labels: {mail: 'joe@example.com'}}],
    ['root@env=', {login: 'root', labels: {env: ''}}],
    ['root@db-1', undefined],
  ])('%s', (target, expected) => {
    expect(parseLabelTarget(target, {})).toEqual(expected)
  })

  test.each(['root@=prod', 'root@env=prod,', 'root@env=prod,team', 'root@__proto__=x'])(
    '%s is none',
    target => {
      expect(() => parseLabelTarget(target, {})).toThrow(usage)
    },
  )

  test('by labels has no port, and its login is no flag', () => {
    expect(() => parseLabelTarget('root@env=prod', {port: 22})).toThrow(usage)
    expect(parseLabelTarget('env=prod', {login: 'joe'})).toMatchObject({login: 'joe'})
    expect(() => parseLabelTarget('-oProxyCommand@env=prod', {})).toThrow(
      expect.objectContaining({code: 'invalid_input'}),
    )
  })

  test('has a port where somebody named one', () => {
    expect(parseSshTarget('root@db-1', {})).toEqual({login: 'root', host: 'db-1'})
    expect(parseSshTarget('root@DB-1:2222', {})).toEqual({login: 'root', host: 'db-1', port: 2222})
    expect(parseSshTarget('root@db-1:2222', {port: 23})).toMatchObject({port: 23})
    expect(parseSshTarget('root@::1', {})).toEqual({login: 'root', host: '::1'})
    expect(() => parseSshTarget('root@db-1:0', {})).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })
})

/** What the cluster answers, and what it was asked. */
function inventory(hosts: HostRecord[], time = 0) {
  const asked: object[] = []
  const api = {
    ping: async () => ({time}) as Ping,
    async listHosts(query: object) {
      asked.push(query)
      return hosts
    },
  }
  return {api, asked}
}

test.each<[string | undefined, string | undefined, object]>([
  [undefined, undefined, {}],
  ['env=prod', undefined, {labels: {env: 'prod'}}],
  ['web', undefined, {search: 'web'}],
  ['web', 'prod', {search: 'prod web'}],
  ['env=prod', 'web', {labels: {env: 'prod'}, search: 'web'}],
])('ls %s --search %s', async (filter, search, expected) => {
  const {api, asked} = inventory([])
  await findHosts(api, {filter, search})
  expect(asked).toEqual([expected])
})

test('ls --query leaves out what does not fit, and asks for nothing with a mistake in it', async () => {
  const hosts = ['db-1', 'web-1', 'web-2'].map(
    hostname => ({id: hostname, subKind: 'openssh', hostname, labels: {}}) as const,
  )
  const {api, asked} = inventory(hosts)
  const found = await findHosts(api, {query: 'hasPrefix(name, "web") && name != "web-2"', search: 'w'})
  expect(found.map(({hostname}) => hostname)).toEqual(['web-1'])
  expect(asked).toEqual([{search: 'w'}])
  await expect(findHosts(api, {query: 'name ='})).rejects.toMatchObject({code: 'usage'})
  expect(asked).toHaveLength(1)
})

test('a host is offline from its last moment on, and a registered one never', async () => {
  const view = async (host: HostRecord, now: number) => (await findHosts(inventory([host], now).api, {}))[0]
  const host = {id: 'x', subKind: 'node', hostname: 'db', labels: {}, lastSeen: 0, expires: 1000} as const
  expect(await view(host, 999)).toMatchObject({status: 'online', last_seen: '1970-01-01T00:00:00.000Z'})
  expect(await view(host, 1000)).toMatchObject({status: 'offline'})
  expect(await view({id: 'x', subKind: 'openssh', hostname: 'db', labels: {}}, 1e15)).toEqual({
    ...{id: 'x', kind: 'openssh', hostname: 'db', labels: {}, status: 'online'},
  })
})
