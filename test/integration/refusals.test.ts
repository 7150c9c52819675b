import {generateKeyPairSync} from 'node:crypto'
import {once} from 'node:events'
import {type AddressInfo, createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {formatIdentity} from '../../src/lib/client/identity/identity-file.js'
import {catalogue} from '../../src/lib/errors/catalogue.js'
import {formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {atEnd} from '../support/cleanup.js'
import {sallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  addToAgent,
  descriptors,
  type Event,
  extensionsWithout,
  type Field,
  login,
  type MintedAuthorities,
  mintAuthorities,
  sshText,
  startField,
  type UserKey,
} from '../support/field.js'
import {type Agent, sshAdd, startAgent, writePrivateFile} from '../support/openssh.js'
import type {Sshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/**
 * What a user is told, what is put on record and what is left behind when the proxy says no. Every refusal is tried
 * with the stock client through the subsystem, with `-J`, and with the product's own client.
 */
let field: Field
let stranger: MintedAuthorities
let target: Sshd
let joe: UserKey
let baseLine: number

beforeAll(async () => {
  field = await startField()
  stranger = await mintAuthorities(temporaryDirectory())
  target = await field.target()
  joe = await field.userKey()
  await addToAgent(field.agent, joe)
  // Once through everything, so that what is made on first use is there.
  await stock('subsystem', joe, target.port, 'true')
  baseLine = descriptors(field.cluster.pid).length
})

type Way = 'subsystem' | 'jump' | 'sallyport'
interface Outcome {
  code: number
  stdout: string
  stderr: string
}
interface Attempt {
  key?: UserKey
  host?: string
  port: number
  login?: string
  agent?: Agent
  command?: string
  /** For the product's client. */
  flags?: string[]
}

const at = (user: string, host: string): string => `${user}@${host}`

function stock(
  way: 'subsystem' | 'jump',
  key: UserKey,
  port: number,
  command: string,
  more: Partial<Attempt> = {},
): Promise<Outcome> {
  const options = way === 'subsystem' ? field.throughSubsystem(key) : field.throughJump(key)
  const where = at(more.login ?? login, more.host ?? '127.0.0.1')
  return sshText([...options, '-p', String(port), where, command], {env: (more.agent ?? field.agent).env})
}

let identities = 0
async function own(key: UserKey, attempt: Attempt): Promise<Outcome> {
  const path = writePrivateFile(
    join(field.directory, `identity-${++identities}`),
    formatIdentity({
      ...key,
      hostAuthorities: field.minted.authorities.publicKeys('host'),
      cluster: 'test.example',
    }),
  )
  const {ssh, web} = field.cluster.addresses
  return sallyport(
    [
      'ssh',
      ...(attempt.flags ?? []),
      `--proxy=127.0.0.1:${web.port},${ssh.port}`,
      '-i',
      path,
      '-p',
      String(attempt.port),
      at(attempt.login ?? login, attempt.host ?? '127.0.0.1'),
      attempt.command ?? 'true',
    ],
    {
      env: {
        SALLYPORT_HOME: join(field.directory, 'nobody'),
        NODE_EXTRA_CA_CERTS: join(field.cluster.dataDir, 'https.pem'),
      },
    },
  )
}

const attemptBy = (way: Way, attempt: Attempt): Promise<Outcome> =>
  way === 'sallyport'
    ? own(attempt.key ?? joe, attempt)
    : stock(way, attempt.key ?? joe, attempt.port, attempt.command ?? 'true', attempt)

/** One line for the user, one failure on record, nothing recorded, nothing left open. */
async function refused(way: Way, attempt: Attempt): Promise<Outcome & {line: string; failures: Event[]}> {
  const recordings = field.recordings().length
  const {result, events} = await field.during(() => attemptBy(way, attempt))
  const lines = result.stderr.split(/\r?\n/).filter(line => /\[[a-z_]+\]\s*$/.test(line))
  expect(lines, result.stderr).toHaveLength(1)
  expect(result.stderr).not.toMatch(/\n\s+at /)
  expect(result.stdout).toBe('')
  if (way === 'sallyport') expect(result.stderr.trim()).toBe(lines[0])
  else expect(result.code).toBe(255)
  const failures = events.filter(event => !event.success)
  expect(failures, result.stderr).toHaveLength(1)
  expect(failures[0]?.error).toBeTruthy()
  expect(events.some(event => event.event === 'session.start')).toBe(false)
  expect(field.recordings()).toHaveLength(recordings)
  await eventually(
    () => descriptors(field.cluster.pid).length <= baseLine,
    `${descriptors(field.cluster.pid).length} descriptors go back to ${baseLine}`,
  )
  return {...result, line: lines[0] ?? '', failures}
}

const ways: Way[] = ['subsystem', 'jump', 'sallyport']

/** A TCP server that treats its visitors like this. */
async function server(onConnection: (socket: Socket) => void): Promise<number> {
  const listening = createServer().listen(0, '127.0.0.1')
  listening.on('connection', socket => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  await once(listening, 'listening')
  atEnd(() => void listening.close())
  return (listening.address() as AddressInfo).port
}

async function closedPort(): Promise<number> {
  const listening = createServer().listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const {port} = listening.address() as AddressInfo
  listening.close()
  return port
}

describe.each(ways)('refusals through %s', way => {
  it('says that a host is unreachable', async () => {
    const port = await closedPort()
    const {line, code} = await refused(way, {port})
    expect(line).toContain(`cannot connect to 127.0.0.1:${port}: connection refused;`)
    if (way === 'sallyport') expect(code).toBe(20)
  })

  it('says that a name does not resolve', async () => {
    const {line, failures} = await refused(way, {host: 'nowhere.invalid', port: 22})
    expect(line).toContain('the name nowhere.invalid does not resolve')
    expect(failures[0]).toMatchObject({event: 'session.connect', server_hostname: 'nowhere.invalid'})
  })

  it('names MaxStartups when a host drops the connection', async () => {
    const port = await server(socket => socket.resetAndDestroy())
    const {line} = await refused(way, {port})
    expect(line).toMatch(/handshake failed.*MaxStartups.*\[host_unreachable\]/)
  })

  it('names MaxStartups when a host hangs up in the handshake', async () => {
    const port = await server(socket => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    const {line} = await refused(way, {port})
    expect(line).toMatch(/ssh: handshake failed: EOF.*MaxStartups/)
  })

  it('says that a service is not SSH', async () => {
    const port = await server(socket => socket.end('HTTP/1.0 400 Bad Request\r\n\r\n'))
    expect((await refused(way, {port})).line).toContain('[host_unreachable]')
  })

  it('says that the metadata address is never dialled', async () => {
    const {line, code} = await refused(way, {host: '169.254.169.254', port: 80})
    expect(line).toContain('link-local addresses are never dialled')
    if (way === 'sallyport') expect(code).toBe(26)
  })

  it('does not connect to the ports of the cluster itself', async () => {
    for (const port of [field.cluster.addresses.ssh.port, field.cluster.addresses.web.port]) {
      expect((await refused(way, {port})).line).toContain('the port belongs to the cluster itself')
    }
  })

  it('says that the certificate is not for the login', async () => {
    const {line, failures, code} = await refused(way, {port: target.port, login: 'mallory'})
    expect(line).toMatch(/"mallory" is not among its principals.*\[certificate_rejected\]/)
    expect(failures[0]).toMatchObject({event: 'auth', user: 'joe', login: 'mallory', code: 'T3007W'})
    if (way === 'sallyport') expect(code).toBe(17)
  })

  it.each(['0', '00', '+0', 'ROOT', 'root.', '*'])('does not take %j for a login', async name => {
    expect((await refused(way, {port: target.port, login: name})).line).toMatch(/\[\w+\]/)
  })

  it('says that the host refuses a login which does not exist there', async () => {
    const since = target.log().length
    const {line, code} = await refused(way, {port: target.port, login: 'nobody-here'})
    expect(line).toMatch(/the host refused to log in "nobody-here".*TrustedUserCAKeys.*\[target_refused\]/)
    expect(target.log().slice(since)).toContain('nobody-here')
    if (way === 'sallyport') expect(code).toBe(23)
  })

  it('says that the host presented a plain key', async () => {
    const plain = await field.target({hostCertificate: undefined as never})
    const {line, code} = await refused(way, {port: plain.port})
    expect(line).toContain(
      'ssh: handshake failed: remote host presented a public key, expected a host certificate',
    )
    expect(plain.log()).not.toContain('Accepted')
    if (way === 'sallyport') expect(code).toBe(21)
  })

  it('says that the host certificate is for another name', async () => {
    const other = await field.target({}, {principals: ['other.example']})
    const {line} = await refused(way, {port: other.port})
    expect(line).toMatch(
      /host certificate of 127.0.0.1 was refused: .*not among its principals \(other.example\)/,
    )
  })

  it('says that the host certificate has expired', async () => {
    const late = await field.target({}, {until: Date.now() - 3_600_000})
    expect((await refused(way, {port: late.port})).line).toMatch(/expired at .*\[host_key_refused\]/)
  })

  it('says that the host certificate is of another authority', async () => {
    const {privateKey} = generateKeyPairSync('ed25519')
    const hostCertificate = await stranger.at(Date.now()).issueHost({
      publicKey: publicKeyBlob(privateKey),
      principals: ['127.0.0.1'],
      keyId: 'target',
      validBefore: BigInt(Math.floor(Date.now() / 1000) + 3600),
    })
    const foreign = await field.target({hostKey: privateKey, hostCertificate})
    expect((await refused(way, {port: foreign.port})).line).toMatch(
      /signed by an unknown authority.*\[host_key_refused\]/,
    )
  })

  it('says that the user is gone', async () => {
    const key = await field.userKey({user: 'ghost'})
    const agent = await agentWith(key)
    const {failures} = await refused(way, {port: target.port, key, agent})
    expect(failures[0]).toMatchObject({event: 'auth', user: 'ghost'})
  })
})

/** An agent of its own that holds just this. */
async function agentWith(...keys: UserKey[]): Promise<Agent> {
  const agent = await startAgent(temporaryDirectory())
  for (const key of keys) await addToAgent(agent, key)
  return agent
}

describe('refusals at the door', () => {
  const atTheDoor = async (key: UserKey): Promise<{failures: Event[]; stderr: string}> => {
    const agent = await agentWith()
    const {result, events} = await field.during(() => stock('subsystem', key, target.port, 'true', {agent}))
    expect(result.code).toBe(255)
    expect(events.some(event => event.event === 'session.connect')).toBe(false)
    const failures = events.filter(event => !event.success)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({event: 'auth', code: 'T3007W'})
    return {failures, stderr: result.stderr}
  }

  it('says when the certificate has expired, and to log in again', async () => {
    const {stderr} = await atTheDoor(
      await field.userKey({from: Date.now() - 7_200_000, until: Date.now() - 1000}),
    )
    expect(stderr).toMatch(/^sallyport: the certificate expired at .*; log in again \[certificate_expired\]/m)
  })

  it('says that a clock is wrong when the certificate begins in the future', async () => {
    const {stderr} = await atTheDoor(
      await field.userKey({from: Date.now() + 1_800_000, until: Date.now() + 7_200_000}),
    )
    expect(stderr).toMatch(/is not valid until .*; set the clocks of both machines right \[clock_skew\]/)
  })

  it('does not believe another authority', async () => {
    const {stderr} = await atTheDoor(await field.userKey({authorities: stranger}))
    expect(stderr).toContain('it was signed by an unknown authority [certificate_rejected]')
  })

  it('holds a certificate to its source address', async () => {
    const {stderr} = await atTheDoor(
      await field.userKey({criticalOptions: [['source-address', '10.9.8.0/24']]}),
    )
    expect(stderr).toContain('it may not be used from 127.0.0.1 [certificate_rejected]')
  })
})

describe('the agent of a recorded session', () => {
  const required = 'agent forwarding required in proxy recording mode'
  const attempts: [string, () => string[]][] = [
    ['subsystem', () => field.throughSubsystem(joe, {forwardAgent: false})],
    ['jump', () => field.throughJump(joe, {forwardAgent: false})],
  ]
  it.each(attempts)('has to be forwarded through %s', async (_way, options) => {
    const {result, events} = await field.during(() =>
      sshText([...options(), '-p', String(target.port), at(login, '127.0.0.1'), 'true'], {
        env: field.agent.env,
      }),
    )
    expect(result.code).toBe(255)
    expect(result.stderr).toContain(`${required}; connect with \`ssh -A\``)
    expect(result.stderr).toContain('[agent_required]')
    expect(events.filter(event => !event.success)).toHaveLength(1)
  })

  it('has to hold a certificate of the cluster', async () => {
    const agent = await agentWith()
    const {line} = await refused('subsystem', {port: target.port, agent})
    expect(line).toContain('the forwarded agent holds no certificate of this cluster')
    const foreign = await agentWith(await field.userKey({authorities: stranger}))
    expect((await refused('jump', {port: target.port, agent: foreign})).line).toContain('[agent_required]')
  })

  it('does not lend the certificate of somebody else', async () => {
    const agent = await agentWith(await field.userKey({user: 'jane'}))
    const {line} = await refused('subsystem', {port: target.port, agent})
    expect(line).toContain(`holds no valid certificate of joe for the login ${login}`)
  })

  it('does not lend an expired certificate', async () => {
    const key = await field.userKey({from: Date.now() - 3_600_000, until: Date.now() - 1000})
    const agent = await agentWith(key)
    const {line} = await refused('jump', {port: target.port, agent})
    expect(line).toContain('holds no valid certificate of joe')
  })

  it('may hold many other keys', async () => {
    const agent = await startAgent(temporaryDirectory())
    for (let n = 0; n < 20; n++) {
      const {privateKey} = generateKeyPairSync('ed25519')
      const path = writePrivateFile(
        join(field.directory, `other-${n}`),
        formatPrivateKey(privateKey, 'other'),
      )
      await sshAdd(['-q', path], {env: agent.env})
    }
    await addToAgent(agent, await field.userKey({authorities: stranger}))
    await addToAgent(agent, joe)
    const since = target.log().length
    expect(await stock('subsystem', joe, target.port, 'echo in', {agent})).toMatchObject({
      stdout: 'in\n',
      code: 0,
    })
    expect(target.log().slice(since)).not.toContain('Failed publickey')
  })
})

describe('what role and certificate do not permit', () => {
  const run = async (key: UserKey, words: string[]): Promise<Outcome> =>
    sshText(
      [
        ...field.throughSubsystem(key),
        '-p',
        String(target.port),
        ...words.slice(0, -1),
        at(login, '127.0.0.1'),
        words.at(-1) ?? '',
      ],
      {env: (await agentWith(key)).env},
    )

  it('a terminal', async () => {
    const key = await field.userKey({extensions: extensionsWithout('permit-pty')})
    const asked = await run(key, ['-tt', 'tty'])
    // As with a certificate like this and no proxy: the client gives up.
    expect(asked).toMatchObject({code: 255, stdout: ''})
    expect(asked.stderr).toContain('PTY allocation request failed')
    expect(await run(key, ['echo plain'])).toMatchObject({code: 0, stdout: 'plain\n'})
  })

  it('agent forwarding, though the proxy itself may use the agent', async () => {
    const key = await field.userKey({extensions: extensionsWithout('permit-agent-forwarding')})
    const asked = await run(key, ['ssh-add -L; echo "socket=$SSH_AUTH_SOCK"'])
    expect(asked.stdout).toBe('socket=\n')
  })

  it('ports, in either direction, with a failure on record for each', async () => {
    const key = await field.userKey({extensions: extensionsWithout('permit-port-forwarding')})
    const {result, events} = await field.during(() => run(key, ['-W', `127.0.0.1:${target.port}`, '']))
    expect(result.stderr).toContain('does not permit port forwarding')
    expect(events.filter(({event}) => event === 'port')).toMatchObject([
      {success: false, code: 'T3003E', addr: `127.0.0.1:${target.port}`},
    ])
    const back = await field.during(() =>
      run(key, ['-o', 'ExitOnForwardFailure=yes', '-R', '127.0.0.1:0:127.0.0.1:9', 'true']),
    )
    expect(back.result.stderr).toContain('remote port forwarding failed')
    expect(back.events.filter(({event}) => event === 'port')).toMatchObject([
      {success: false, addr: '127.0.0.1:0', remote: true},
    ])
  })

  it('anything but the forced command', async () => {
    const key = await field.userKey({criticalOptions: [['force-command', 'echo forced']]})
    // An unrestricted certificate in the same agent must not lead round it.
    const agent = await agentWith(joe, key)
    const through = [...field.throughSubsystem(key), '-p', String(target.port)]
    const where = at(login, '127.0.0.1')
    expect(await sshText([...through, where, 'echo free'], {env: agent.env})).toMatchObject({
      stdout: 'forced\n',
    })
    const port = await sshText([...through, '-W', `127.0.0.1:${target.port}`, where], {env: agent.env})
    expect(port.stderr).toContain('does not permit port forwarding')
  })
})

describe('the proxy itself', () => {
  const onProxy = (...words: string[]): Promise<Outcome> =>
    sshText(
      [
        ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`],
        ...['-i', joe.path, '-o', `CertificateFile=${joe.path}-cert.pub`],
        ...['-p', String(field.cluster.addresses.ssh.port), 'joe@127.0.0.1', ...words],
      ],
      {env: {SSH_AUTH_SOCK: undefined}},
    )
  const refusedHere = async (...words: string[]): Promise<string> => {
    const {result, events} = await field.during(() => onProxy(...words))
    expect(result.code).toBe(255)
    expect(result.stdout).toBe('')
    expect(result.stderr.trim().split(/\r?\n/)).toHaveLength(1)
    expect(events.filter(event => !event.success)).toMatchObject([{event: 'session.connect', user: 'joe'}])
    return result.stderr
  }

  it.each([
    ['id'],
    ['-s', 'sftp'],
    ['-s', 'proxy:'],
    ['-s', 'proxy::80'],
    ['-s', 'proxy:@'],
    ['-s', 'proxy:host:0'],
    ['-s', 'proxy:host:65536'],
    ['-s', 'proxy:host:-1'],
    ['-s', 'proxy:host:22x'],
    ['-s', 'proxy:host:22@elsewhere'],
    ['-s', `proxy:${'a'.repeat(30_000)}:22`],
  ])('refuses %j %j', async (...words) => {
    expect(await refusedHere(...words)).toMatch(/^sallyport: .*\[(usage|invalid_input|host_not_found)\]/)
  })

  it('says which clusters it leads to', async () => {
    const {code, stdout} = await onProxy('-s', 'proxysites')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject([{name: 'test.example', status: 'online'}])
  })
})

describe('the product’s client', () => {
  it('does not try an expired certificate', async () => {
    const key = await field.userKey({from: Date.now() - 7_200_000, until: Date.now() - 1000})
    const {result, events} = await field.during(() => own(key, {port: target.port}))
    expect(result.stderr).toMatch(
      /^sallyport: the certificate of joe expired at .*\[certificate_expired\]\n$/,
    )
    expect(result.code).toBe(13)
    expect(events).toEqual([])
  })

  it('passes on that a clock is wrong', async () => {
    const key = await field.userKey({from: Date.now() + 1_800_000, until: Date.now() + 7_200_000})
    const {code, stderr} = await own(key, {port: target.port})
    expect(stderr).toMatch(/^sallyport: .*\[clock_skew\]\n$/)
    expect(code).toBe(14)
  })

  it('shows the causes with --debug alone', async () => {
    const port = await closedPort()
    expect((await own(joe, {port})).stderr).not.toMatch(/\n\s+at /)
    expect((await own(joe, {port, flags: ['--debug']})).stderr).toMatch(/\n\s+at /)
  })
})

describe('exit codes', () => {
  it('tell the refusals of a session apart', () => {
    const refusals = [
      'bad_credentials',
      'account_locked',
      'certificate_expired',
      'clock_skew',
      'host_unreachable',
      'host_key_refused',
      'agent_required',
      'config_invalid',
      'target_refused',
      'certificate_rejected',
      'access_denied',
      'dial_forbidden',
      'proxy_unreachable',
    ] as const
    const codes = refusals.map(name => catalogue[name])
    expect(new Set(codes).size).toBe(codes.length)
    // 1 and 2 are failures of another kind, and from 125 up shells and ssh have meanings of their own.
    expect(codes.every(code => code > 2 && code < 125)).toBe(true)
  })
})
