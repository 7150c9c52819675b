import {PassThrough} from 'node:stream'
import {beforeEach, expect, test, vi} from 'vitest'
import {loadIdentity} from '../../../../src/lib/client/identity/identity.js'
import {openForwardings} from '../../../../src/lib/client/ssh/forwarding.js'
import {hostsWithLabels, runOnMany} from '../../../../src/lib/client/ssh/many-hosts.js'
import {runRemoteSession} from '../../../../src/lib/client/ssh/remote-session.js'
import {runSsh, type SshWish} from '../../../../src/lib/client/ssh/run-ssh.js'
import {connectToTarget} from '../../../../src/lib/client/ssh/target-connection.js'
import {problem} from '../../../../src/lib/errors/index.js'

// What each of these does has tests of its own; here it counts what becomes of what was opened.

vi.mock('../../../../src/lib/client/identity/identity.js')
vi.mock('../../../../src/lib/client/ssh/channel-router.js')
vi.mock('../../../../src/lib/client/ssh/forwarding.js')
vi.mock('../../../../src/lib/client/ssh/many-hosts.js')
vi.mock('../../../../src/lib/client/ssh/remote-session.js')
vi.mock('../../../../src/lib/client/ssh/target-connection.js')

const closed = {identity: vi.fn(), connection: vi.fn(), forwardings: vi.fn()}
const [first, second] = ['db-1', 'db-2'].map(hostname => ({id: `id-of-${hostname}`, hostname}))
const broken = problem('host_unreachable', 'it is not there')

const wish = (changes: Partial<SshWish> = {}): SshWish => ({
  ...{as: {}, target: 'root@db-1', command: 'uptime', insecure: false, noCommand: false, forwardAgent: false},
  ...{forwardings: {local: [], remote: [], dynamic: []}, answer: async () => '', env: {}},
  ...{stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough()},
  ...changes,
})
const byLabels = (changes: Partial<SshWish> = {}): SshWish => wish({target: 'root@env=prod', ...changes})

beforeEach(() => {
  vi.clearAllMocks()
  vi.mocked(loadIdentity).mockResolvedValue({close: closed.identity} as never)
  const connection = {closed: Promise.resolve(undefined)}
  vi.mocked(connectToTarget).mockResolvedValue({connection, close: closed.connection} as never)
  vi.mocked(openForwardings).mockResolvedValue(closed.forwardings)
  vi.mocked(runRemoteSession).mockResolvedValue(7)
  vi.mocked(runOnMany).mockResolvedValue(3)
  vi.mocked(hostsWithLabels).mockResolvedValue({hosts: [first, second], now: 1} as never)
})

const closings = () => Object.values(closed).map(close => close.mock.calls.length)

test('the exit status is that of the command, and everything is closed after it', async () => {
  expect(await runSsh(wish())).toBe(7)
  expect(closings()).toEqual([1, 1, 1])
  expect(await runSsh(wish({noCommand: true}))).toBe(0)
  expect(closings()).toEqual([2, 2, 2])
})

test.each([
  ['the host is not reached', () => vi.mocked(connectToTarget).mockRejectedValue(broken), [1, 0, 0]],
  ['a port is taken', () => vi.mocked(openForwardings).mockRejectedValue(broken), [1, 1, 0]],
  ['the session breaks', () => vi.mocked(runRemoteSession).mockRejectedValue(broken), [1, 1, 1]],
])('what was opened is closed when %s', async (_when, breaks, expected) => {
  breaks()
  await expect(runSsh(wish())).rejects.toBe(broken)
  expect(closings()).toEqual(expected)
})

test('the identity is let go of when the command fails on several hosts', async () => {
  expect(await runSsh(byLabels())).toBe(3)
  vi.mocked(runOnMany).mockRejectedValue(broken)
  await expect(runSsh(byLabels())).rejects.toBe(broken)
  expect(closings()).toEqual([2, 0, 0])
})

test('labels that one host has are that host, with its own port', async () => {
  vi.mocked(hostsWithLabels).mockResolvedValue({hosts: [first], now: 1} as never)
  await runSsh(byLabels({command: undefined}))
  expect(connectToTarget).toHaveBeenCalledWith(
    expect.objectContaining({login: 'root', host: 'id-of-db-1', otherNames: ['db-1']}),
  )
})

test.each<Partial<SshWish>>([
  {command: undefined},
  {noCommand: true},
  {terminal: true},
  {forwardings: {local: [{}], remote: [], dynamic: []} as never},
])('several hosts take a command and nothing else: %j', async changes => {
  await expect(runSsh(byLabels(changes))).rejects.toMatchObject({code: 'usage'})
  expect(loadIdentity).not.toHaveBeenCalled()
})

test.each<[boolean | undefined, boolean, string | undefined, boolean]>([
  [undefined, true, undefined, true],
  [undefined, false, undefined, false],
  [undefined, true, 'uptime', false],
  [true, false, 'uptime', true],
  [false, true, undefined, false],
])('a terminal, asked for %s, at one %s, for %s: %s', async (terminal, isTTY, command, expected) => {
  await runSsh(wish({terminal, command, stdin: Object.assign(new PassThrough(), {isTTY})}))
  expect(runRemoteSession).toHaveBeenCalledWith(expect.objectContaining({terminal: expected}))
})
