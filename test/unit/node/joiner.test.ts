import {describe, expect, test, vi} from 'vitest'
import {joinLogin} from '../../../src/lib/access/join-policies.js'
import type {AuthApi, SessionTracker} from '../../../src/lib/auth/contract.js'
import {problem} from '../../../src/lib/errors/index.js'
import {admit} from '../../../src/lib/node/admit.js'
import {serveJoiner} from '../../../src/lib/node/joiner.js'
import type {NodeAuth} from '../../../src/lib/node/types.js'
import type {LockWatch} from '../../../src/lib/session/index.js'
import type {Channel, SshConnection} from '../../../src/lib/ssh/index.js'
import {signerFromKey, WireReader} from '../../../src/lib/sshcert/index.js'
import {certify, connectOn, newKey, streamPair} from '../ssh/fixture.js'
import {hostId, nodeSettings, peer, running, text, type World, world} from './fixture.js'

type Watched = Parameters<LockWatch['watch']>[0]

/** Somebody who has come to join at a node in memory, where `permit` stands for the auth service. */
async function joiner(
  made: ReturnType<typeof nodeSettings>,
  permit: AuthApi['permitJoin'],
  {grace = 5000, locks = {}}: {grace?: number; locks?: Partial<LockWatch>} = {},
) {
  const settings = {
    ...made.settings,
    auth: {...made.settings.auth, permitJoin: permit} as NodeAuth,
    locks: {...made.settings.locks, ...locks},
    graceMilliseconds: grace,
  }
  const key = newKey()
  const blob = await certify(key, 'user', {keyId: 'ann', principals: ['nobody-here']})
  const [near, far] = streamPair()
  const serving = admit(settings, peer, far).then(admitted => {
    if ('login' in admitted) throw new Error('they got a login')
    return serveJoiner(settings, admitted, peer)
  })
  serving.catch(() => undefined)
  const client = await connectOn(near, {
    username: joinLogin,
    credentials: async () => [{blob, signer: signerFromKey(key)}],
  })
  return {client, served: await serving}
}

const permitting =
  ({auth}: Pick<World, 'auth'>): AuthApi['permitJoin'] =>
  async ({sid, identity}) => {
    const tracker = auth.trackers.get(sid)
    if (!tracker) throw problem('not_found', 'no session runs')
    return {tracker: {...tracker, heldBy: hostId} as SessionTracker, user: identity.user, roles: []}
  }

/** A seat that was asked for: what it shows and says, and how it ended. */
async function seat(client: SshConnection, subsystem: string) {
  const channel: Channel = await client.openChannel('session')
  let shown = ''
  let said = ''
  let status: number | undefined
  channel.on('data', data => {
    shown += data
  })
  channel.stderr.on('data', data => {
    said += data
  })
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'exit-status') status = new WireReader(data).u32()
    reply(false)
  }
  const over = new Promise<void>(resolve => {
    channel.onClosed = resolve
  })
  await channel.request('subsystem', text(subsystem))
  return {channel, over, shown: () => shown, said: () => said, status: () => status}
}

const sidOf = (made: Pick<World, 'auth'>): string => [...made.auth.trackers.keys()][0] ?? ''

describe('somebody who comes to join at a node', () => {
  test('sits at a session that runs here, types as a peer, and leaves on record', async () => {
    const all = await world()
    const {started} = await running(all, 'sleep', true)
    const {client} = await joiner(all, permitting(all))
    const {channel, over, shown, said} = await seat(client, `join:${sidOf(all)}:peer`)
    await vi.waitFor(() => expect(said()).toContain('ann has joined as peer'))
    started.stdout.write('hello there')
    await vi.waitFor(() => expect(shown()).toContain('hello there'))
    let typed = ''
    started.stdin.on('data', data => {
      typed += data
    })
    channel.write('ls\r')
    await vi.waitFor(() => expect(typed).toBe('ls\r'))
    channel.close()
    await over
    await vi.waitFor(() =>
      expect(all.auth.named('session.leave')).toMatchObject([{user: 'ann', fields: {typed: 3}}]),
    )
    client.disconnect()
  })

  test('is put on record as gone before the node has stopped', async () => {
    const all = await world()
    await running(all)
    const {client, served} = await joiner(all, permitting(all))
    const {said} = await seat(client, `join:${sidOf(all)}`)
    await vi.waitFor(() => expect(said()).toContain('ann has joined as observer'))
    served.end(problem('unavailable', 'the node is shutting down'))
    expect((await client.closed)?.message).toContain('the node is shutting down')
    await served.done
    expect(all.auth.named('session.leave')).toHaveLength(1)
  })

  test.each([
    ['a shell', 'shell', undefined],
    ['a command', 'exec', text('id')],
    ['another subsystem', 'subsystem', text('sftp')],
  ])('gets no %s', async (_, type, data) => {
    const permit = vi.fn()
    const {client} = await joiner(nodeSettings(), permit)
    const channel = await client.openChannel('session')
    let said = ''
    channel.stderr.on('data', chunk => {
      said += chunk
    })
    const over = new Promise<void>(resolve => {
      channel.onClosed = resolve
    })
    await channel.request(type, data)
    await over
    expect(said).toContain('this connection is for joining sessions alone')
    expect(permit).not.toHaveBeenCalled()
    client.disconnect()
  })

  test.each(['direct-tcpip', 'direct-streamlocal@openssh.com', 'x-teleport-request-resize-events'])(
    'gets no channel %s, and no port here',
    async type => {
      const {client} = await joiner(nodeSettings(), vi.fn())
      await expect(client.openChannel(type, text('127.0.0.1'))).rejects.toThrow('for joining sessions alone')
      expect(await client.request('tcpip-forward', text('127.0.0.1'))).toBeUndefined()
      client.disconnect()
    },
  )

  test('sits in ten places, and no more until one is free', async () => {
    const all = await world()
    await running(all)
    const {client} = await joiner(all, permitting(all))
    const seats = []
    for (let n = 0; n < 10; n++) seats.push(await seat(client, `join:${sidOf(all)}`))
    await expect(client.openChannel('session')).rejects.toThrow('for joining sessions alone')
    seats[0]?.channel.close()
    await seats[0]?.over
    await seat(client, `join:${sidOf(all)}`)
    client.disconnect()
  })

  test('is let go who sits nowhere', async () => {
    const permit = vi.fn()
    const {client, served} = await joiner(nodeSettings(), permit, {grace: 30})
    await Promise.all([client.closed, served.done])
    expect(permit).not.toHaveBeenCalled()
    await expect(client.openChannel('session')).rejects.toThrow()
  })

  test('is shown no session of another machine, whatever the auth service says', async () => {
    const all = await world()
    await running(all)
    const permit = permitting(all)
    const elsewhere: AuthApi['permitJoin'] = async request => {
      const permitted = await permit(request)
      return {...permitted, tracker: {...permitted.tracker, heldBy: 'another'}}
    }
    const {client} = await joiner(all, elsewhere)
    const {over, said, status} = await seat(client, `join:${sidOf(all)}`)
    await over
    expect(said()).toContain('the session does not run here')
    expect(status()).toBe(255)
    expect(all.auth.named('session.join')).toEqual([])
    client.disconnect()
  })

  test('that is locked is refused, and put out when that comes later', async () => {
    const locked = () => problem('access_denied', 'the user ann is locked')
    const refusing = {
      check() {
        throw locked()
      },
    }
    await expect(joiner(nodeSettings(), vi.fn(), {locks: refusing})).rejects.toThrow('the user ann is locked')
    const watched: Watched[] = []
    const watching = {
      watch(one: Watched) {
        watched.push(one)
        return () => undefined
      },
    }
    const {client} = await joiner(nodeSettings(), vi.fn(), {locks: watching})
    expect(watched[0]?.subject()).toMatchObject({user: 'ann', nodes: [hostId, 'db1']})
    watched[0]?.end(locked())
    expect((await client.closed)?.message).toContain('the user ann is locked')
  })
})
