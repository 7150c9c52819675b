import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {stringify} from 'yaml'
import {fileSchema, knownKeys, parseConfig} from '../../../src/lib/config/index.js'
import {SallyportError} from '../../../src/lib/errors/index.js'

const load = (text: string) => parseConfig(text, 'x.yaml').config

function complaint(text: string): string {
  try {
    load(text)
  } catch (thrown) {
    if (thrown instanceof SallyportError && thrown.code === 'config_invalid') return thrown.message
    throw thrown
  }
  throw new Error('the configuration was accepted')
}

describe('a configuration that is wrong', () => {
  test.each([
    [
      'auth_service:\n  session_recordng: proxy',
      '2:3: auth_service.session_recordng: unknown key (did you mean session_recording?)',
    ],
    ['auth_server: {}', '1:1: auth_server: unknown key'],
    ['teleport:\n  nodename: 5', '2:13: teleport.nodename: expected text, found a number'],
    ['teleport: [a]', '1:11: teleport: expected a section of keys, found a list'],
    ['teleport: {log: {severity: LOUD}}', '1:28: teleport.log.severity: expected debug, info, warn or error'],
    [
      'teleport: {log: {output: stdout}}',
      '1:26: teleport.log.output: logs go to stderr: stdout belongs to the lines with the addresses',
    ],
    ['teleport: {advertise_ip: host}', '1:26: teleport.advertise_ip: expected an IP address'],
    [
      'teleport: {connection_limits: {max_users: -1}}',
      '1:43: teleport.connection_limits.max_users: must not be negative',
    ],
    ['auth_service: {enabled: maybe}', '1:25: auth_service.enabled: expected yes or no'],
    [
      'auth_service: {cluster_name: "a b"}',
      '1:30: auth_service.cluster_name: expected a name of letters, digits, dots and dashes',
    ],
    [
      'auth_service: {session_recording: both}',
      '1:35: auth_service.session_recording: expected one of node, proxy, off, node-sync, proxy-sync',
    ],
    [
      'auth_service: {session_recording: on}',
      '1:35: auth_service.session_recording: expected one of node, proxy, off, node-sync, proxy-sync',
    ],
    [
      'auth_service: {listen_addr: 3025}',
      '1:29: auth_service.listen_addr: expected host:port, such as 0.0.0.0:3025',
    ],
    [
      'proxy_service: {web_listen_addr: "0.0.0.0:65536"}',
      '1:34: proxy_service.web_listen_addr: expected host:port, such as 0.0.0.0:3080',
    ],
    [
      'proxy_service: {listen_addr: "127.1:22x"}',
      '1:30: proxy_service.listen_addr: expected host:port, such as 0.0.0.0:3023',
    ],
    [
      'proxy_service: {public_addr: [a.example, 5]}',
      '1:30: proxy_service.public_addr: expected host or host:port, or a list of them',
    ],
    [
      'auth_service: {client_idle_timeout: 30}',
      '1:37: auth_service.client_idle_timeout: expected a duration with its unit, such as 30s, 5m or 1h30m',
    ],
    [
      'auth_service: {keep_alive_count_max: 1.5}',
      '1:38: auth_service.keep_alive_count_max: expected a whole number',
    ],
    [
      'auth_service: {keep_alive_count_max: 0}',
      '1:38: auth_service.keep_alive_count_max: must be at least 1',
    ],
    [
      'auth_service: {tokens: ["node:a", 5]}',
      '1:35: auth_service.tokens.1: expected the roles node, proxy and openssh, a colon and the token, such as node,proxy:secret',
    ],
    [
      'auth_service: {authentication: {type: saml}}',
      '1:39: auth_service.authentication.type: single sign-on is not available; use local',
    ],
    [
      'auth_service: {authentication: {second_factor: webauthn}}',
      '1:48: auth_service.authentication.second_factor: webauthn is not available yet; use off or otp',
    ],
    [
      'auth_service: {authentication: {second_factor: optional}}',
      '1:48: auth_service.authentication.second_factor: optional is not available yet; use off or otp',
    ],
    [
      'auth_service: {authentication: {second_factor: on}}',
      '1:48: auth_service.authentication.second_factor: on is not available yet; use off or otp',
    ],
    [
      'auth_service: {authentication: {second_factor: sms}}',
      '1:48: auth_service.authentication.second_factor: expected one of off, otp',
    ],
    [
      'ssh_service: {commands: [{name: x, command: [], period: 1m}]}',
      '1:45: ssh_service.commands.0.command: must name a program',
    ],
    ['ssh_service: {labels: [a]}', '1:23: ssh_service.labels: expected a section of keys, found a list'],
    ['teleport: {}\nsallyport: {}', '1:1: teleport: the same section as sallyport: keep one'],
    ['a: 1\na: 2', '2:1: Map keys must be unique'],
    ['a: [1\nb: 2', '2:1: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ['a: *b', '1:1: Unresolved alias (the anchor must be set before the alias): b'],
    ['- 1', '1:1: expected a section of keys, found a list'],
    ['"__proto__": {enabled: yes}', '1:1: __proto__: unknown key'],
  ])('%s', (text, message) => expect(complaint(text)).toBe(`x.yaml:${message}`))

  test('is told every error at once, in the order of the file', () => {
    expect(
      complaint('auth_service:\n  listen_addr: x:y\n  nope: 1\nproxy_service:\n  enabled: perhaps').split(
        '\n',
      ),
    ).toEqual([
      'x.yaml:2:16: auth_service.listen_addr: expected host:port, such as 0.0.0.0:3025',
      'x.yaml:3:3: auth_service.nope: unknown key',
      'x.yaml:5:12: proxy_service.enabled: expected yes or no',
    ])
  })

  test('a bomb of aliases is refused, not expanded', () => {
    const levels = Array.from(
      {length: 12},
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    )
    expect(complaint(['l0: &l0 [x]', ...levels].join('\n'))).toMatch(/alias/i)
  })

  test('any text is accepted or refused with a place, never anything else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map(value => stringify(value)),
        ),
        text => {
          try {
            load(text)
          } catch (thrown) {
            expect(thrown).toMatchObject({
              code: 'config_invalid',
              message: expect.stringMatching(/^x\.yaml:\d+:\d+: /),
            })
          }
        },
      ),
    )
  })
})

describe('a configuration as Teleport writes it', () => {
  test('loads unchanged', () => {
    const text = `
teleport:
  nodename: graviton
  data_dir: /var/lib/teleport
  auth_token: cluster-join-token
  auth_servers: [10.1.0.5:3025]
  connection_limits: {max_connections: 1000, max_users: 250}
  log: {output: stderr, severity: ERROR}
  ciphers: [aes128-gcm@openssh.com]
auth_service:
  enabled: yes
  cluster_name: main
  listen_addr: 0.0.0.0:3025
  tokens: ["proxy,node:xxxxx"]
  session_recording: "proxy"
  proxy_checks_host_keys: yes
  authentication: {type: local, second_factor: off}
  keep_alive_interval: 5m
  client_idle_timeout: never
  disconnect_expired_cert: no
ssh_service: {enabled: "no", labels: {role: leader}, commands: [{name: os, command: [uname], period: 1m0s}]}
proxy_service: {enabled: yes, public_addr: "proxy.example.com:3080", listen_addr: "0.0.0.0:3023"}
`
    const {teleport, auth_service, ssh_service, proxy_service} = load(text)
    expect(teleport?.log?.severity).toBe('error')
    expect(auth_service).toMatchObject({
      enabled: true,
      session_recording: 'proxy',
      proxy_checks_host_keys: true,
      authentication: {second_factor: 'off'},
      keep_alive_interval: 300_000,
      client_idle_timeout: 0,
      disconnect_expired_cert: false,
    })
    expect(ssh_service?.enabled).toBe(false)
    expect(proxy_service?.public_addr).toEqual([{host: 'proxy.example.com', port: 3080}])
  })

  test.each(['off', '"off"', 'no', 'false', 'False'])('session_recording: %s turns recording off', word => {
    expect(load(`auth_service: {session_recording: ${word}}`).auth_service?.session_recording).toBe('off')
  })

  test.each([
    ['yes', true],
    ['on', true],
    ['True', true],
    ['"Yes"', true],
    ['no', false],
    ['OFF', false],
    ['false', false],
  ])('%s is a boolean', (word, expected) => {
    expect(load(`auth_service: {enabled: ${word}}`).auth_service?.enabled).toBe(expected)
  })

  test('a section whose lines are all commented out is an empty one', () => {
    expect(load('teleport:\nauth_service:\n')).toEqual({teleport: null, auth_service: null})
    expect(load('')).toEqual({})
  })
})

test('the keys of a section are known by its path', () => {
  expect(knownKeys(fileSchema, [])).toContain('sallyport')
  expect(knownKeys(fileSchema, ['auth_service', 'authentication'])).toEqual([
    ...['type', 'second_factor', 'require_session_mfa'],
  ])
  expect(knownKeys(fileSchema, ['ssh_service', 'commands', 0])).toEqual(['name', 'command', 'period'])
  expect(knownKeys(fileSchema, ['auth_service', 'enabled'])).toEqual([])
})
