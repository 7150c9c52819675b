import {describe, expect, it, vi} from 'vitest'
import type {AuditInput} from '../../../../src/lib/audit/event.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {burstOfEvents, eventsPerSecond} from '../../../../src/lib/session/transfers/pace.js'
import {
  maxMinorEvents,
  type TransferOptions,
  watchTransfer,
} from '../../../../src/lib/session/transfers/transfers.js'
import {flags, getFile, type Passage, putFile, sftp, sha256} from '../../transfer/fixture.js'

function watching(options: Partial<TransferOptions> = {}) {
  const events: AuditInput[] = []
  const markers: string[] = []
  const lost = vi.fn()
  const problems = vi.fn()
  const watch = watchTransfer({
    ...{kind: 'subsystem', command: 'sftp', mode: 'best_effort'},
    emit: async input => events.push(input),
    marker: label => markers.push(label),
    onLost: lost,
    onProblem: problems,
    ...options,
  })
  if (!watch) throw new Error('that is no transfer')
  const play = (passages: readonly Passage[]): Buffer =>
    Buffer.concat(
      passages.flatMap(([side, bytes]) => {
        if (side === 'host') return [watch.output(bytes).shown]
        watch.input(bytes)
        return []
      }),
    )
  return {watch, play, events, markers, lost, problems}
}

const hello = Buffer.from('hello')

/** A clock by which there is always time enough between two events. */
function withoutPace(): {end(): void} {
  let time = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    time += 1000
    return time
  })
  return {end: () => clock.mockRestore()}
}

const named = (events: readonly AuditInput[], name: string) => events.filter(({event}) => event === name)

describe('a watched transfer', () => {
  it('is on record with each file and a summary before it has finished', async () => {
    const {watch, play, events, markers} = watching()
    expect(play([...sftp.begin(), ...putFile('/a', hello), ...getFile('/b', hello)])).toHaveLength(0)
    await watch.finish()
    const common = {bytes: 5, complete: true, sha256: sha256('hello')}
    expect(events).toEqual([
      {event: 'sftp.write', fields: {direction: 'upload', path: '/a', ...common}},
      {event: 'sftp.read', fields: {direction: 'download', path: '/b', ...common}},
      {
        event: 'sftp.summary',
        fields: {
          ...{files_read: 1, files_written: 1, bytes_read: 5, bytes_written: 5, failed: 0},
          requests: {open: 2, write: 1, read: 2, close: 2},
        },
      },
    ])
    expect(markers).toEqual([
      `upload /a: 5 bytes, complete, sha256 ${sha256('hello')}`,
      `download /b: 5 bytes, complete, sha256 ${sha256('hello')}`,
    ])
  })

  it('that is cut off is on record as such, once', async () => {
    const {watch, play, events} = watching()
    play([...sftp.begin(), ...getFile('/b', hello).slice(0, -2)])
    await Promise.all([watch.finish(), watch.finish()])
    expect(events).toMatchObject([
      {event: 'sftp.read', fields: {path: '/b', complete: false, bytes: 5}},
      {event: 'sftp.summary'},
    ])
    watch.input(hello)
    expect(watch.output(hello).shown).toEqual(hello)
    expect(events).toHaveLength(2)
  })

  it('is on record with the files that stay open, before they are closed', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const {watch, play, events} = watching()
      const long = putFile('/long', hello, 1000, 'l')
      const [open, rest] = [long.slice(0, 2), long.slice(2)]
      play([...sftp.begin(), ...open])
      vi.advanceTimersByTime(500)
      play(putFile('/short', hello))
      expect(named(events, 'session.transfer.open')).toEqual([])
      vi.advanceTimersByTime(600)
      const noted = {direction: 'upload', path: '/long', transfer: 1}
      expect(named(events, 'session.transfer.open')).toEqual([
        {event: 'session.transfer.open', fields: {protocol: 'sftp', ...noted}},
      ])
      play(rest)
      vi.advanceTimersByTime(5000)
      await watch.finish()
      expect(named(events, 'sftp.write')).toMatchObject([
        {fields: {path: '/short', complete: true}},
        {fields: {...noted, complete: true}},
      ])
      expect(named(events, 'sftp.write')[0]?.fields).not.toHaveProperty('transfer')
      expect(events).toHaveLength(4)
    } finally {
      vi.useRealTimers()
    }
  })

  it('notes so many open files at a time, and nothing after its end', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const {watch, play, events} = watching()
      play(sftp.begin())
      for (let i = 0; i < 40; i++) play(getFile(`/f${i}`, hello, 1000, `h${i}`).slice(0, 2))
      vi.advanceTimersByTime(1100)
      expect(named(events, 'session.transfer.open')).toHaveLength(32)
      play(getFile('/late', hello, 1000, 'late').slice(0, 2))
      await watch.finish()
      vi.advanceTimersByTime(5000)
      expect(named(events, 'session.transfer.open')).toHaveLength(32)
      expect(named(events, 'sftp.read').filter(({fields}) => fields?.transfer !== undefined)).toHaveLength(32)
      expect(named(events, 'sftp.read')).toHaveLength(41)
    } finally {
      vi.useRealTimers()
    }
  })

  /** Takes a breath after each, as a relay does. */
  const playSlowly = async (watch: {input(bytes: Buffer): Promise<void> | undefined}, play: () => void) => {
    play()
    await watch.input(Buffer.alloc(0))
  }

  it.each(['strict', 'best_effort'] as const)('hides no file behind operations that fail: %s', async mode => {
    const pace = withoutPace()
    try {
      const {watch, play, events, lost} = watching({mode})
      play(sftp.begin())
      const noise = maxMinorEvents + 25
      for (let i = 0; i < noise; i++)
        await playSlowly(watch, () => play([sftp.path(13, 1, `/none${i}`), sftp.status(1, 2)]))
      play([sftp.path(11, 1, '/etc'), sftp.handle(1, 'd'), sftp.close(2, 'd'), sftp.status(2, 0)])
      play(getFile('/etc/shadow', hello))
      play([sftp.open(1, '/etc/gshadow', flags.read), sftp.status(1, 3)])
      play([sftp.two(18, 1, '/etc/passwd', '/tmp/x'), sftp.status(1, 0)])
      play([sftp.path(13, 1, '/gone')])
      await watch.finish()
      expect(named(events, 'sftp.read')).toMatchObject([{fields: {path: '/etc/shadow', complete: true}}])
      expect(named(events, 'sftp.open')).toMatchObject([{fields: {path: '/etc/gshadow'}}])
      expect(named(events, 'sftp.rename')).toMatchObject([{fields: {path: '/etc/passwd', target: '/tmp/x'}}])
      // Asked and never answered: it may have been done.
      expect(named(events, 'sftp.remove').at(-1)).toMatchObject({
        ...{success: false, error: 'no answer came', fields: {path: '/gone'}},
      })
      const {not_listed} = events.at(-1)?.fields ?? {}
      const listed = named(events, 'sftp.remove').length - 1
      expect([listed, not_listed, named(events, 'sftp.opendir').length]).toEqual(
        mode === 'strict'
          ? [noise, undefined, 1]
          : [maxMinorEvents, {'sftp.remove': 25, 'sftp.opendir': 1}, 0],
      )
      expect(lost).not.toHaveBeenCalled()
    } finally {
      pace.end()
    }
  })

  it('tells of each of more files than anybody counts, by SFTP and by scp', async () => {
    const pace = withoutPace()
    try {
      const count = maxMinorEvents + 100
      const bySftp = watching()
      bySftp.play(sftp.begin())
      for (let i = 0; i < count; i++)
        await playSlowly(bySftp.watch, () => bySftp.play(putFile(`/f${i}`, hello)))
      await bySftp.watch.finish()
      expect(new Set(named(bySftp.events, 'sftp.write').map(({fields}) => fields?.path)).size).toBe(count)
      expect(bySftp.events.at(-1)?.fields).not.toHaveProperty('not_listed')

      const byScp = watching({kind: 'exec', command: 'scp -r -d -t /to'})
      const said = (side: 'client' | 'host', text: string): Passage => [side, Buffer.from(text)]
      byScp.play([said('host', '\0')])
      for (let i = 0; i < count; i++)
        await playSlowly(byScp.watch, () =>
          byScp.play([
            ...[said('client', `C0644 5 f${i}\n`), said('host', '\0')],
            ...[said('client', 'hello\0'), said('host', '\0')],
          ]),
        )
      await byScp.watch.finish()
      expect(new Set(byScp.events.map(({fields}) => fields?.path)).size).toBe(count)
      expect(byScp.events).toHaveLength(count)
    } finally {
      pace.end()
    }
  })

  it('that does nothing but fill the log is slowed down to what the log can bear', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'performance']})
    try {
      const {watch, play, events} = watching()
      play(sftp.begin())
      const flood = (count: number): void => {
        const ids = Array.from({length: count}, (_, i) => i + 1)
        play([
          ['client', Buffer.concat(ids.map(id => sftp.path(13, id, '/none')[1]))],
          ['host', Buffer.concat(ids.map(id => sftp.status(id, 2)[1]))],
        ])
      }
      flood(burstOfEvents)
      await vi.advanceTimersByTimeAsync(0)
      expect(watch.input(Buffer.alloc(0))).toBeUndefined()
      const before = performance.now()
      const seconds = 2
      flood(seconds * eventsPerSecond)
      const waited = vi.fn()
      const waiting = watch.input(Buffer.alloc(0))?.then(waited)
      await vi.advanceTimersByTimeAsync(1000 * seconds - 100)
      expect(waited).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(200)
      await waiting
      expect(waited).toHaveBeenCalled()
      expect(performance.now() - before).toBeGreaterThan(1000 * seconds - 100)
      expect(watch.output(Buffer.alloc(0)).wait).toBeUndefined()
      await watch.finish()
      expect(events).toHaveLength(burstOfEvents + seconds * eventsPerSecond + 1)
    } finally {
      vi.useRealTimers()
    }
  })

  it('asks the relay to wait while events cannot be written', async () => {
    let release = (): void => undefined
    const gate = new Promise<void>(resolve => {
      release = resolve
    })
    let unwritten = 0
    const {watch, play} = watching({
      emit: async () => {
        unwritten++
        await gate
      },
    })
    play(sftp.begin())
    let wait: Promise<void> | undefined
    for (let i = 0; !wait && i < 10_000; i++) {
      play([sftp.path(13, 1, '/f')])
      wait = watch.output(sftp.status(1, 0)[1]).wait
    }
    expect(unwritten).toBe(256)
    const waited = vi.fn()
    void wait?.then(waited)
    await Promise.resolve()
    expect(waited).not.toHaveBeenCalled()
    release()
    await wait
    await watch.finish()
  })

  it.each(['strict', 'best_effort'] as const)('whose events cannot be written: %s', async mode => {
    const broken = problem('store_failed', 'the disk is full')
    const {watch, play, lost, problems} = watching({mode, emit: () => Promise.reject(broken)})
    play([...sftp.begin(), ...putFile('/a', hello), ...putFile('/b', hello)])
    await watch.finish()
    expect(problems).toHaveBeenCalledTimes(3)
    expect(lost).toHaveBeenCalledTimes(mode === 'strict' ? 1 : 0)
    if (mode === 'strict') expect(lost.mock.calls[0]?.[0]).toMatchObject({code: 'recording_unavailable'})
  })

  it.each(['strict', 'best_effort'] as const)('that is no such thing: %s', async mode => {
    const {watch, play, lost, events} = watching({mode})
    const shell: Passage = ['host', Buffer.from('root@host:~# ')]
    expect(play([...sftp.begin(), sftp.open(1, '/a', flags.read), shell]).toString()).toBe('root@host:~# ')
    await watch.finish()
    expect(events).toMatchObject([
      {event: 'sftp.open', error: 'no answer came'},
      {
        event: 'session.transfer.lost',
        success: false,
        error: 'the transfer can no longer be followed: what the host says is not SFTP',
        fields: {protocol: 'sftp'},
      },
      {event: 'sftp.summary'},
    ])
    expect(lost).toHaveBeenCalledTimes(mode === 'strict' ? 1 : 0)
  })

  it('of rsync is noted at its end, and shown', async () => {
    const {watch, events} = watching({kind: 'exec', command: 'rsync --server --sender -logDtpr . /etc'})
    expect(watch.output(hello).shown).toEqual(hello)
    await watch.finish()
    expect(events).toEqual([
      {event: 'rsync.download', fields: {direction: 'download', paths: ['/etc'], bytes: 5}},
    ])
  })

  it('leaves nothing in the line of a marker that a terminal would obey', () => {
    const {play, markers} = watching()
    play([...sftp.begin(), ...putFile('/\u001b[2J\n\u009b', hello)])
    expect(markers[0]).toMatch(/^upload \/\?\[2J\?\?: 5 bytes/)
  })

  it.each([
    ['shell', undefined],
    ['exec', 'ls'],
    ['subsystem', 'netconf'],
  ])('is none: %s %s', (kind, command) => {
    expect(() => watching({kind, command})).toThrow('that is no transfer')
  })
})
