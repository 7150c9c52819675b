import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {eventually} from '../../support/eventually.js'
import {mountSmallDisk, noSmallDisk} from '../../support/small-disk.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {away, delivered, openFakeAuth, openOutbox, play, recorded, session, wholeTrail} from './fixture.js'

const lack = noSmallDisk()
if (lack) console.warn(`a full disk under the outbox is not tried: ${lack}`)

describe.skipIf(lack !== undefined)('when the disk of the outbox is full', {meta: {lack: lack ?? ''}}, () => {
  it('steps are refused with the reason, sessions get their end when there is room, and nothing is torn', async () => {
    const root = temporaryDirectory()
    const directory = join(root, 'outbox')
    mkdirSync(directory)
    const disk = mountSmallDisk(directory)
    const auth = await openFakeAuth(root)
    auth.fault = away
    const outbox = await openOutbox({directory, auth})
    const one = session(5)
    await outbox.beginRecording(one.meta)
    await outbox.appendRecording(one.sid, one.chunks[0] as never)
    await outbox.emit(one.event('session.start'))
    await outbox.appendRecording(one.sid, one.chunks[1] as never)

    disk.fill()
    const full = {code: 'store_failed', message: expect.stringContaining('no space left on device')}
    const fat = (i: number) => ({
      ...(one.chunks[i] as NonNullable<(typeof one.chunks)[0]>),
      data: Buffer.concat([one.chunks[i]?.data ?? Buffer.alloc(0), Buffer.alloc(8192)]),
    })
    await expect(outbox.appendRecording(one.sid, fat(2))).rejects.toMatchObject(full)
    await expect(outbox.appendRecording(one.sid, fat(2))).rejects.toMatchObject(full)
    await expect(outbox.beginRecording(session().meta)).rejects.toMatchObject(full)
    await expect(outbox.emit({event: 'port', fields: {text: 'x'.repeat(9000)}})).rejects.toMatchObject(full)
    const end = one.event('session.end', {recorded: false, note: 'y'.repeat(9000)})
    await expect(outbox.emit(end)).rejects.toMatchObject(full)

    disk.free()
    auth.fault = () => undefined
    await eventually(() => auth.of(one.sid).length === 3)
    await delivered(outbox)
    expect(auth.of(one.sid).sort()).toEqual(['session.end', 'session.start', 'session.upload'])
    expect(await recorded(auth, one.sid)).toMatchObject({state: 'truncated', lines: ['line 1']})
    const next = session()
    await play(outbox, next)
    await delivered(outbox)
    expect(auth.of(next.sid)).toEqual(wholeTrail)
    expect(outbox.logged.filter(line => line.includes('damaged'))).toEqual([])
  })
})
