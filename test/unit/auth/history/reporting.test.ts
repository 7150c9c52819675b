import {randomUUID} from 'node:crypto'
import {beforeEach, describe, expect, it} from 'vitest'
import {type EventName, eventCodes} from '../../../../src/lib/audit/index.js'
import type {AuthApi} from '../../../../src/lib/auth/index.js'
import {createSessionHolders} from '../../../../src/lib/auth/sessions/holders.js'
import type {RecordingMeta} from '../../../../src/lib/recording/index.js'
import {type Auth, openAuth} from '../fixture.js'

const day = 86_400_000
const [mine, others] = [randomUUID(), randomUUID()]

let auth: Auth
let machine: AuthApi
let other: AuthApi
let local: AuthApi

beforeEach(async () => {
  auth = await openAuth()
  machine = auth.service.as({kind: 'system', role: 'node', hostId: mine, address: '192.0.2.8:4000'})
  other = auth.service.as({kind: 'system', role: 'proxy', hostId: others, address: '192.0.2.9:4000'})
  local = auth.service.as({kind: 'system', role: 'proxy'})
})

const meta = (sid: string): RecordingMeta => ({
  ...{sid, cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
  ...{startedAt: auth.clock.now, interactive: false, width: 80, height: 24},
})
const holders = () => createSessionHolders(auth.backend, () => auth.clock.now)

describe('what another machine tells', () => {
  it('names the machine, by its certificate and not by its word', async () => {
    const uid = randomUUID()
    await machine.emit({event: 'port', uid, fields: {reported_by: 'nobody'}})
    await machine.emitAll([{event: 'exec', uid: randomUUID(), reported_by: 'nobody'}])
    await local.emit({event: 'resize'})
    const [resize, exec, port] = await auth.events()
    expect(port).toMatchObject({event: 'port', uid, reported_by: mine})
    expect(exec).toMatchObject({event: 'exec', reported_by: mine})
    expect(resize).not.toHaveProperty('reported_by')
  })

  it.each(Object.keys(eventCodes) as EventName[])(
    'of %s is on record only if it can happen there',
    async event => {
      const answer = await machine.emit({event, uid: randomUUID()}).then(
        () => 'taken',
        error => error.code,
      )
      const elsewhere =
        /^(user|mfa|mfa_auth_challenge|reset_password_token|trusted_cluster|join_token|instance|proxy|role|node|lock|cert|audit)\.|^session\.(terminate|recording\.(access|search|delete|hold|release|refused))$/
      expect(answer).toBe(elsewhere.test(event) ? 'access_denied' : 'taken')
    },
  )

  it('is of the node itself, and of whichever host a proxy led to', async () => {
    await machine.emit({event: 'port', uid: randomUUID(), server_id: others})
    await other.emit({event: 'exec', uid: randomUUID(), server_id: mine})
    const [exec, port] = await auth.events()
    expect(port).toMatchObject({server_id: mine, server_hostname: mine})
    expect(exec).toMatchObject({server_id: mine, reported_by: others})
  })

  it('is of a node under the name that the cluster knows it by, and of nothing that a proxy did', async () => {
    await machine.heartbeat({id: mine, subKind: 'node', hostname: 'Web1.', labels: {}})
    const sid = randomUUID()
    const claimed = {server_hostname: 'db1', server_id: others, forwarded_by: 'proxy-1', user: 'ann'}
    await machine.beginRecording({...meta(sid), host: 'db1', user: 'ann'})
    await machine.emit({
      ...claimed,
      event: 'session.start',
      sid,
      fields: {session_recording: 'proxy', size: '80:24'},
    })
    const [start] = await auth.events()
    expect(start).toMatchObject({server_hostname: 'web1', server_id: mine, reported_by: mine, user: 'ann'})
    expect(start).toMatchObject({session_recording: 'node', size: '80:24'})
    expect(start).not.toHaveProperty('forwarded_by')
    expect((await auth.recordings.readIndex(sid)).meta.host).toBe('web1')
    await other.emit({...claimed, event: 'exec', sid: randomUUID()})
    expect((await auth.events('exec'))[0]).toMatchObject({...claimed, reported_by: others})
  })

  it('is of no session that another machine holds by its tracker, or that was recorded before', async () => {
    const denied = {code: 'already_exists', message: 'the session is that of another machine'}
    const [running, over] = [randomUUID(), randomUUID()]
    await other.upsertTracker({
      ...{sid: running, kind: 'ssh', state: 'running', user: 'joe', roles: [], login: 'root', host: 'db1'},
      ...{address: '10.0.0.7:22', interactive: true, started: auth.clock.now, participants: []},
      ...{heldBy: others, holder: 'proxy-1'},
    })
    await expect(machine.emit({event: 'exec', sid: running})).rejects.toMatchObject(denied)
    await expect(machine.emit({event: 'session.start', sid: running})).rejects.toMatchObject(denied)
    await expect(machine.beginRecording(meta(running))).rejects.toMatchObject(denied)
    await other.emit({event: 'session.start', sid: running})

    await other.beginRecording(meta(over))
    await other.emit({event: 'session.start', sid: over})
    await other.sealRecording(over, {endedAt: 0, durationMs: 0, chunks: 0, head: '', truncated: 'x'})
    await other.emit({event: 'session.end', sid: over})
    auth.clock.now += 2 * day
    auth = await auth.restart()
    const again = auth.service.as({kind: 'system', role: 'node', hostId: mine, address: '192.0.2.8:4000'})
    await expect(again.emit({event: 'exec', sid: over})).rejects.toMatchObject(denied)
    expect(await auth.events('exec')).toEqual([])
  })

  it('of files that pass without a session is its own from the first on', async () => {
    const [theirs, ours] = [randomUUID(), randomUUID()]
    await machine.emit({event: 'sftp.write', sid: theirs})
    await local.emit({event: 'sftp.write', sid: ours})
    const node = {kind: 'system', role: 'node', hostId: others, address: '192.0.2.9:4000'} as const
    for (const [stranger, sid] of [
      [auth.service.as(node), theirs],
      [machine, ours],
    ] as const)
      await expect(stranger.emit({event: 'sftp.read', sid})).rejects.toMatchObject({code: 'already_exists'})
  })

  it('of a recording is what its machine says, however long that was silent, and nobody else', async () => {
    const sid = randomUUID()
    const cut = {endedAt: 0, durationMs: 0, chunks: 0, head: '0'.repeat(64), truncated: 'hidden'}
    const chunk = {sequence: 0, firstMs: 0, lastMs: 0, data: Buffer.alloc(1), digest: ''}
    const denied = {code: 'already_exists', message: 'the session is held by another machine'}
    await machine.beginRecording(meta(sid))
    for (const days of [8, 80, 80]) {
      auth.clock.now += days * day
      auth = await auth.restart()
      for (const role of ['node', 'proxy'] as const) {
        const stranger = auth.service.as({kind: 'system', role, hostId: others, address: '192.0.2.9:1'})
        await expect(stranger.sealRecording(sid, cut)).rejects.toMatchObject(denied)
        await expect(stranger.appendRecording(sid, chunk)).rejects.toMatchObject(denied)
      }
    }
    expect((await auth.recordings.readIndex(sid)).seal).toBeUndefined()
  })

  it('comes too late where the auth service has taken the session for lost, and ended it', async () => {
    const sid = randomUUID()
    await machine.emit({event: 'session.start', sid})
    auth.clock.now += 8 * day
    auth = await auth.restart()
    expect(await holders().isHeld(sid)).toBe(false)
    const again = auth.service.as({kind: 'system', role: 'node', hostId: mine, address: '192.0.2.8:4000'})
    await expect(again.emit({event: 'session.end', sid})).rejects.toMatchObject({code: 'already_exists'})
  })

  it('is on record once, and with the time when it happened', async () => {
    const event = {event: 'exec', uid: randomUUID(), time: auth.clock.now - day} as const
    await machine.emit(event)
    await machine.emitAll([event, event])
    const all = await auth.events('exec')
    expect(all).toMatchObject([{time: new Date(auth.clock.now - day).toISOString()}])
  })

  it('is of its own sessions alone', async () => {
    const sid = randomUUID()
    const denied = {code: 'already_exists', message: 'the session is held by another machine'}
    const node = {kind: 'system', role: 'node', hostId: others, address: '192.0.2.9:4000'} as const
    const other = auth.service.as(node)
    await machine.beginRecording(meta(sid))
    await machine.beginRecording(meta(sid))
    await machine.emit({event: 'session.start', sid})
    const end = {endedAt: 0, durationMs: 0, chunks: 0, head: '0'.repeat(64), truncated: 'x'}
    const chunk = {sequence: 0, firstMs: 0, lastMs: 0, data: Buffer.alloc(1), digest: ''}
    await expect(other.beginRecording(meta(sid))).rejects.toMatchObject(denied)
    await expect(other.appendRecording(sid, chunk)).rejects.toMatchObject(denied)
    await expect(other.sealRecording(sid, end)).rejects.toMatchObject(denied)
    await expect(other.emit({event: 'session.end', sid})).rejects.toMatchObject(denied)
    await expect(other.emitAll([{event: 'exec', sid, uid: randomUUID()}])).rejects.toMatchObject(denied)
    await machine.sealRecording(sid, end)
    await local.emit({event: 'exec', sid})
    expect(await auth.events('exec')).toMatchObject([{sid}])
  })

  it('has no part in a session of this process, whose ID a node may know', async () => {
    const sid = randomUUID()
    await local.beginRecording(meta(sid))
    await local.emit({event: 'session.start', sid})
    const denied = {code: 'already_exists'}
    const cut = {endedAt: 0, durationMs: 0, chunks: 0, head: '0'.repeat(64), truncated: 'hidden'}
    const chunk = {sequence: 0, firstMs: 0, lastMs: 0, data: Buffer.alloc(1), digest: ''}
    for (const stranger of [machine, other]) {
      await expect(stranger.sealRecording(sid, cut)).rejects.toMatchObject(denied)
      await expect(stranger.appendRecording(sid, chunk)).rejects.toMatchObject(denied)
      await expect(stranger.beginRecording(meta(sid))).rejects.toMatchObject(denied)
      await expect(stranger.emit({event: 'session.start', sid})).rejects.toMatchObject(denied)
      await expect(stranger.emit({event: 'session.end', sid})).rejects.toMatchObject(denied)
    }
    expect((await auth.recordings.readIndex(sid)).seal).toBeUndefined()
    auth = await auth.restart()
    const again = auth.service.as({kind: 'system', role: 'node', hostId: mine, address: '192.0.2.8:1'})
    await expect(again.sealRecording(sid, cut)).rejects.toMatchObject(denied)
  })

  it('of a session that it claimed before the forwarder did keeps that session from beginning', async () => {
    const sid = randomUUID()
    await machine.emit({event: 'session.start', sid})
    await expect(local.beginRecording(meta(sid))).rejects.toMatchObject({code: 'already_exists'})
    await expect(local.emit({event: 'session.start', sid})).rejects.toMatchObject({code: 'already_exists'})
  })

  it('gives way to what a proxy elsewhere tells of the same session', async () => {
    const sid = randomUUID()
    await machine.emit({event: 'session.start', sid})
    await other.beginRecording(meta(sid))
    await other.emit({event: 'session.start', sid})
    await expect(machine.emit({event: 'session.end', sid})).rejects.toMatchObject({code: 'already_exists'})
    await other.emit({event: 'session.end', sid})
    expect(await auth.events('session.end')).toMatchObject([{reported_by: others}])
  })

  it('is of sessions that have an ID', async () => {
    for (const sid of ['x', '../../etc', `${randomUUID()}/x`, randomUUID().toUpperCase()]) {
      const refused = {code: 'invalid_input'}
      await expect(machine.emit({event: 'session.start', sid})).rejects.toMatchObject(refused)
      await expect(machine.beginRecording(meta(sid))).rejects.toMatchObject(refused)
    }
    expect(await auth.events()).toEqual([])
  })

  it('of a recording is what the store has', async () => {
    const sid = randomUUID()
    await machine.beginRecording(meta(sid))
    const told = {chunks: 7, head: 'f'.repeat(64), truncated: 'killed'}
    await machine.sealRecording(sid, {...told, endedAt: 0, durationMs: 0})
    await machine.emit({event: 'session.upload', sid, fields: told})
    const {seal} = await auth.recordings.readIndex(sid)
    expect(await auth.events('session.upload')).toMatchObject([
      {chunks: 1, head: seal?.head, truncated: 'killed'},
    ])
  })

  it('is held by it, also after a restart, for as long as it tells of it', async () => {
    const sid = randomUUID()
    await machine.emit({event: 'session.start', sid})
    expect(await holders().isHeld(sid)).toBe(true)
    auth = await auth.restart()
    expect(await holders().isHeld(sid)).toBe(true)
    const again = auth.service.as({kind: 'system', role: 'node', hostId: others, address: '192.0.2.9:1'})
    await expect(again.emit({event: 'exec', sid})).rejects.toMatchObject({code: 'already_exists'})
    auth.clock.now += 8 * day
    expect(await holders().isHeld(sid)).toBe(false)
  })

  it('is not held any more a day after its end', async () => {
    const sid = randomUUID()
    await machine.emit({event: 'session.start', sid})
    await machine.emitAll([{event: 'session.end', sid, uid: randomUUID()}])
    expect(await holders().isHeld(sid)).toBe(true)
    auth.clock.now += day - 1
    expect(await holders().isHeld(sid)).toBe(true)
    auth.clock.now += 2
    expect(await holders().isHeld(sid)).toBe(false)
  })

  it('of this process is held by nobody', async () => {
    const sid = randomUUID()
    await local.emit({event: 'session.start', sid})
    expect(await holders().isHeld(sid)).toBe(false)
  })
})
