import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import {
  defaultDataDir,
  type FileConfig,
  fileSchema,
  findDataDir,
  knownKeys,
  loadConfig,
  parseConfig,
  parseRoles,
  resolveConfig,
  type StartFlags,
  sampleConfig,
} from '../../../src/lib/config/index.js'
import {inertKeysIn} from '../../../src/lib/config/inert.js'

const around = {hostname: 'bastion1', home: '/home/joe', isRoot: false}
const resolved = (text: string, flags: StartFlags = {}) =>
  resolveConfig(parseConfig(text, 'x.yaml').config, flags, around)

const directory = mkdtempSync(join(tmpdir(), 'sallyport-config-'))
afterAll(() => rmSync(directory, {recursive: true}))

describe('defaults', () => {
  test('serve auth and proxy on the known ports, record everything, ask for a one-time code', () => {
    expect(resolved('')).toEqual({
      nodename: 'bastion1',
      dataDir: '/home/joe/.local/share/sallyport',
      roles: ['auth', 'proxy'],
      logSeverity: 'info',
      algorithms: {},
      limits: {maxConnections: 15_000},
      spoolBytes: 1_073_741_824,
      auth: {
        clusterName: 'bastion1',
        listen: {host: '0.0.0.0', port: 3025},
        sessionRecording: 'proxy',
        proxyChecksHostKeys: true,
        secondFactor: 'otp',
        requireSessionMfa: false,
        keepAliveIntervalMs: 300_000,
        clientIdleTimeoutMs: 0,
        disconnectExpiredCert: false,
        staticTokens: [],
        recordingRetentionMs: 0,
        auditRetentionMs: 0,
        routingStrategy: 'unambiguous_match',
      },
      joining: {authServers: [], proxyServers: [], caPins: []},
      proxy: {
        listen: {host: '0.0.0.0', port: 3023},
        webListen: {host: '0.0.0.0', port: 3080},
        tunnelListen: {host: '0.0.0.0', port: 3024},
        publicAddresses: [],
        sshPublicAddresses: [],
        dial: {allow: [], deny: []},
      },
      node: {listen: {host: '0.0.0.0', port: 3022}, labels: {}, commandLabels: [], permitUserEnv: false},
      insecure: false,
      ...{inertKeys: [], unknownAlgorithms: []},
    })
  })

  test('keep state where this user may write', () => {
    expect(defaultDataDir({...around, isRoot: true})).toBe('/var/lib/sallyport')
    expect(defaultDataDir({...around, xdgDataHome: '/data'})).toBe('/data/sallyport')
    expect(defaultDataDir({...around, xdgDataHome: 'relative'})).toBe('/home/joe/.local/share/sallyport')
  })

  test('never name a cluster after an unusable host name', () => {
    expect(resolveConfig({}, {}, {...around, hostname: 'My_Mac'}).auth.clusterName).toBe('cluster')
    expect(resolveConfig({}, {}, {...around, hostname: 'Web1'}).auth.clusterName).toBe('web1')
  })
})

describe('flags win over the file, the file over defaults', () => {
  test('for names, directories, addresses and the log', () => {
    const text =
      'sallyport: {nodename: a, data_dir: /a, log: {severity: warn}}\nproxy_service: {listen_addr: "10.0.0.1:0"}'
    expect(resolved(text)).toMatchObject({nodename: 'a', dataDir: '/a', logSeverity: 'warn'})
    expect(resolved(text).proxy.listen).toEqual({host: '10.0.0.1', port: 0})
    const flags = {nodename: 'b', dataDir: '/b', listenIp: '127.0.0.1', debug: true, advertiseIp: '192.0.2.1'}
    const config = resolved(text, flags)
    expect(config).toMatchObject({
      nodename: 'b',
      dataDir: '/b',
      logSeverity: 'debug',
      advertiseIp: '192.0.2.1',
    })
    expect(config.proxy.listen).toEqual({host: '127.0.0.1', port: 0})
    expect(config.proxy.webListen).toEqual({host: '127.0.0.1', port: 3080})
  })

  test('for roles', () => {
    expect(resolved('ssh_service: {enabled: yes}').roles).toEqual(['auth', 'proxy', 'node'])
    expect(resolved('ssh_service: {enabled: no}').roles).toEqual(['auth', 'proxy'])
    expect(resolved('proxy_service: {enabled: no}').roles).toEqual(['auth'])
    expect(resolved('ssh_service: {enabled: yes}', {roles: parseRoles('auth,proxy')}).roles).toEqual([
      'auth',
      'proxy',
    ])
    expect(() => resolved('auth_service: {enabled: no}\nproxy_service: {enabled: no}')).toThrow(
      /every service is turned off/,
    )
  })

  test('and flags that make no sense are refused', () => {
    expect(() => parseRoles('auth,prox')).toThrow('there is no role "prox"')
    expect(() => resolved('', {listenIp: 'everywhere'})).toThrow('--listen-ip expects an IP address')
    expect(() => resolved('', {diagAddr: '3000'})).toThrow('--diag-addr expects host:port')
    expect(resolved('', {diagAddr: ':3000'}).diagnostics).toEqual({host: '127.0.0.1', port: 3000})
    expect(() => resolved('proxy_service: {https_key_file: /k}')).toThrow(
      /one of https_key_file and https_cert_file/,
    )
  })
})

describe('a node', () => {
  test('listens, is labelled and lets users have an environment as file and flags say', () => {
    const text = `ssh_service:
  listen_addr: 10.0.0.1:2222
  labels: {env: test, role: db}
  commands: [{name: kernel, command: [uname, -r], period: 1h}]
  permit_user_env: yes`
    expect(resolved(text, {labels: {env: 'prod', region: 'eu'}}).node).toEqual({
      listen: {host: '10.0.0.1', port: 2222},
      labels: {env: 'prod', role: 'db', region: 'eu'},
      commandLabels: [{name: 'kernel', command: ['uname', '-r'], periodMs: 3_600_000}],
      permitUserEnv: true,
    })
    expect(resolved(text, {permitUserEnv: false}).node.permitUserEnv).toBe(false)
  })

  test('has one label by a name', () => {
    const command = '{name: env, command: [uname], period: 1m}'
    for (const text of [
      `ssh_service: {labels: {env: x}, commands: [${command}]}`,
      `ssh_service: {commands: [${command}, ${command}]}`,
    ])
      expect(() => resolved(text)).toThrow('ssh_service has two labels by the name env')
  })
})

describe('joining', () => {
  const [one, two] = ['a', 'b'].map(digit => `sha256:${digit.repeat(64)}`)

  test.each<[string, object, object]>([
    ['', {}, {authServers: [], proxyServers: [], caPins: []}],
    [
      `teleport: {auth_servers: [auth1, "10.0.0.1:4000", "[::1]:25"], auth_token: /run/token, ca_pin: "${one}, ${two}"}`,
      {},
      {
        authServers: [
          {host: 'auth1', port: 3025},
          {host: '10.0.0.1', port: 4000},
          {host: '::1', port: 25},
        ],
        ...{proxyServers: [], token: '/run/token', caPins: [one, two]},
      },
    ],
    [
      `teleport: {auth_servers: [auth1], auth_token: file, ca_pin: ["${one}"]}`,
      {authServer: 'auth2:1, auth3', token: 'flag', caPin: two},
      {
        authServers: [
          {host: 'auth2', port: 1},
          {host: 'auth3', port: 3025},
        ],
        ...{proxyServers: [], token: 'flag', caPins: [two]},
      },
    ],
    [
      'teleport: {proxy_server: proxy1}',
      {},
      {
        authServers: [{host: 'proxy1', port: 3024}],
        proxyServers: [{host: 'proxy1', port: 3024}],
        caPins: [],
      },
    ],
    [
      'teleport: {proxy_server: [proxy1], auth_servers: [auth1]}',
      {proxyServer: 'proxy2:1,proxy3'},
      {
        authServers: [{host: 'auth1', port: 3025}],
        proxyServers: [
          {host: 'proxy2', port: 1},
          {host: 'proxy3', port: 3024},
        ],
        caPins: [],
      },
    ],
  ])('%s with %j', (text, flags, expected) => {
    expect(resolved(text, flags).joining).toEqual(expected)
  })

  test.each([
    'teleport: {ca_pin: x}',
    'teleport: {ca_pin: "sha1:aa"}',
    'teleport: {auth_servers: [":3025"]}',
    'teleport: {auth_servers: ["a:0"]}',
    'teleport: {proxy_server: []}',
    'teleport: {proxy_server: "a:0"}',
    'auth_service: {tokens: ["auth:secret"]}',
    'auth_service: {tokens: ["node"]}',
    'auth_service: {tokens: ["node:"]}',
    'auth_service: {tokens: [":secret"]}',
    'auth_service: {tokens: ["node: a b"]}',
  ])('%s is a mistake', text => {
    expect(() => resolved(text)).toThrow(/^x\.yaml:1:/)
  })

  test.each([
    {authServer: ''},
    {authServer: 'a:b'},
    {authServer: 'a,'},
    {proxyServer: 'a:b'},
    {caPin: ''},
    {caPin: 'x'},
  ])('the flags %j are a mistake', flags => {
    expect(() => resolved('', flags)).toThrow(/expects/)
  })

  test('tokens of the file are for the roles before their colon', () => {
    expect(resolved('auth_service: {tokens: ["node,proxy:a:b", "ssh:c"]}').auth.staticTokens).toEqual([
      {value: 'a:b', roles: ['node', 'proxy']},
      {value: 'c', roles: ['node']},
    ])
  })
})

test('settings that change nothing are named, so that nobody relies on them', () => {
  const text =
    'teleport: {connection_limits: {max_users: 5}, nodename: a}\nauth_service: {enabled: yes, keep_alive_count_max: 5}'
  expect(resolved(text).inertKeys).toEqual([
    'connection_limits.max_users',
    'auth_service.keep_alive_count_max',
  ])
})

describe('algorithms', () => {
  test('are those of the file that there are, in its order; others are named', () => {
    const {algorithms, inertKeys, unknownAlgorithms} = resolved(
      'teleport: {ciphers: [aes128-cbc, aes256-ctr, aes128-ctr], kex_algos: [mlkem768x25519-sha256, ecdh-sha2-nistp384]}',
    )
    expect(algorithms).toEqual({ciphers: ['aes256-ctr', 'aes128-ctr'], kex: ['ecdh-sha2-nistp384']})
    expect(unknownAlgorithms).toEqual(['ciphers: aes128-cbc', 'kex_algos: mlkem768x25519-sha256'])
    expect(inertKeys).toEqual([])
  })

  test.each(['ciphers: [aes128-cbc, none]', 'kex_algos: [diffie-hellman-group1-sha1]', 'mac_algos: []'])(
    'of a list that would turn everybody away, %s, are a mistake at its place',
    text => {
      expect(() => resolved(`teleport:\n  ${text}`)).toThrow(
        /^x\.yaml:2:\d+: .*names nothing that there is; choose from \S+, /,
      )
    },
  )
})

describe('files', () => {
  const write = (name: string, text: string, mode = 0o600): string => {
    const path = join(directory, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  test('a key file that others can read ends the start, with its place in the configuration', async () => {
    const key = write('key.pem', 'secret', 0o640)
    const config = write('a.yaml', `proxy_service:\n  https_cert_file: ${key}\n  https_key_file: ${key}\n`)
    await expect(loadConfig(config, {}, around)).rejects.toMatchObject({
      code: 'config_invalid',
      message: `${config}:3:19: proxy_service.https_key_file: the key file can be read by others (mode 640)`,
      hint: `run: chmod 600 ${key}`,
    })
    chmodSync(key, 0o600)
    expect((await loadConfig(config, {}, around)).proxy.httpsKeyFile).toBe(key)
    rmSync(key)
    await expect(loadConfig(config, {}, around)).rejects.toThrow(/:3:19: .*cannot be read/)
  })

  test('a missing, endless or huge configuration is refused with the reason', async () => {
    await expect(loadConfig(join(directory, 'absent.yaml'), {}, around)).rejects.toThrow(
      /absent.yaml does not exist/,
    )
    await expect(loadConfig(directory, {}, around)).rejects.toThrow(/is a directory/)
    await expect(loadConfig('/dev/zero', {}, around)).rejects.toThrow(/larger than/)
    await expect(loadConfig(write('big.yaml', '#'.repeat(1024 * 1024 + 1)), {}, around)).rejects.toThrow(
      /larger than/,
    )
  })

  test('administration finds the data directory as `start` does', async () => {
    const config = write('b.yaml', 'teleport: {data_dir: /srv/sallyport}')
    expect(await findDataDir({config}, around)).toBe('/srv/sallyport')
    expect(await findDataDir({config, dataDir: '/other'}, around)).toBe('/other')
    expect(await findDataDir({}, around)).toBe('/home/joe/.local/share/sallyport')
  })

  test('the sample configuration is valid and says the defaults', () => {
    const text = sampleConfig({nodename: 'bastion1', dataDir: defaultDataDir(around)})
    expect(resolved(text)).toEqual(resolved(''))
    const everything = text.replace(/^( *)# (?=[a-z_ ]+:)/gm, '$1')
    expect(parseConfig(everything, 'sample').config.proxy_service?.dial?.deny).toEqual(['10.0.0.5/32'])
  })
})

describe('the guide', () => {
  const guide = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  const keysIn = (path: string[]): string[] =>
    knownKeys(fileSchema, path).flatMap(key => [[...path.slice(1), key].join('.'), ...keysIn([...path, key])])

  test.each(knownKeys(fileSchema, []).filter(section => section !== 'version'))(
    'explains every key of %s in its part',
    section => {
      const part = guide.split('\n## ').find(text => text.split('\n')[0]?.includes(`\`${section}\``))
      expect(keysIn([section]).filter(key => !part?.includes(`| \`${key}\` |`))).toEqual([])
    },
  )

  test.each(['teleport', 'auth_service', 'proxy_service'])('marks the keys of %s without effect', section => {
    const part = guide.split('\n## ').find(text => text.split('\n')[0]?.includes(`\`${section}\``)) ?? ''
    const marked = [...part.matchAll(/^\| `(\S+)` \|.*\| † /gm)].map(match => match[1])
    const inert = keysIn([section]).filter(key => {
      const value = key.split('.').reduceRight<unknown>((inner, name) => ({[name]: inner}), 'set')
      return inertKeysIn({[section]: value} as FileConfig).length > 0
    })
    expect(marked.sort()).toEqual(inert.sort())
  })
})
