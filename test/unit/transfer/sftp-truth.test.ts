import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {watchSftp} from '../../../src/lib/transfer/index.js'
import {flags, keptReports, type Passage, putFile, sftp, sha256} from './fixture.js'

/** What an event says of a file is true of the file: whatever a client does to make it look otherwise. */
function follow(...passages: (Passage | Passage[])[]) {
  const reports = keptReports()
  const parser = watchSftp(reports)
  const flat = passages.flatMap(one => (typeof one[0] === 'string' ? [one as Passage] : (one as Passage[])))
  for (const [side, bytes] of [...sftp.begin(), ...flat]) {
    if (side === 'host') parser.fromHost(bytes)
    else parser.fromClient(bytes)
  }
  parser.end()
  return reports
}

const hello = Buffer.from('hello world')
const {write, create, truncate, exclusive, append, read} = flags
const wrote = (id: number, handle: string, at: number, bytes: Buffer): Passage[] => [
  sftp.write(id, handle, at, bytes),
  sftp.status(id, 0),
]
const opened = (path: string, flag: number, handle = 'h', id = 1): Passage[] => [
  sftp.open(id, path, flag),
  sftp.handle(id, handle),
]
const closed = (handle = 'h', id = 2): Passage[] => [sftp.close(id, handle), sftp.status(id, 0)]
const sized = (size: number, code = 0, id = 8): Passage[] => [
  sftp.fsetstat(id, 'h', {size}),
  sftp.status(id, code),
]
const whole = {complete: true, sha256: sha256(hello)}
const over = {complete: false, unhashed: 'over what was there'}
const otherLength = {complete: false, unhashed: 'another length was set'}

describe('an upload by SFTP', () => {
  it.each<[string, number, Passage[], object]>([
    ['made empty first', write | create | truncate, wrote(3, 'h', 0, hello), whole],
    ['made empty without being made', write | truncate, wrote(3, 'h', 0, hello), whole],
    ['new', write | create | exclusive, wrote(3, 'h', 0, hello), whole],
    ['cut to nothing first', write, [...sized(0), ...wrote(3, 'h', 0, hello)], whole],
    ['cut behind it, as scp does', write | create, [...wrote(3, 'h', 0, hello), ...sized(11)], whole],
    ['given its length first', write | create | truncate, [...sized(11), ...wrote(3, 'h', 0, hello)], whole],
    ['grown beyond a length', write | create | truncate, [...sized(3), ...wrote(3, 'h', 0, hello)], whole],
    ['empty, where there was more', write | create, sized(0), {complete: true, sha256: sha256('')}],
    ['empty, and nothing was made of it', write | create, [], {complete: false, unhashed: 'nothing passed'}],
    ['written over', write, wrote(3, 'h', 0, hello), over],
    ['written over, or made', write | create, wrote(3, 'h', 0, hello), over],
    ['new only where it is made', write | exclusive, wrote(3, 'h', 0, hello), over],
    ['cut short', write | create | truncate, [...wrote(3, 'h', 0, hello), ...sized(2)], otherLength],
    [
      'cut short, and long again',
      write | create | truncate,
      [...wrote(3, 'h', 0, hello), ...sized(2), ...wrote(4, 'h', 11, hello)],
      otherLength,
    ],
    ['drawn out', write | create | truncate, [...wrote(3, 'h', 0, hello), ...sized(1e6)], otherLength],
    ['drawn out before', write | create | truncate, [...sized(1e6), ...wrote(3, 'h', 0, hello)], otherLength],
    [
      'cut, and nobody says whether it worked',
      write | create | truncate,
      [...wrote(3, 'h', 0, hello), sftp.fsetstat(8, 'h', {size: 2})],
      {complete: false, unhashed: 'not confirmed'},
    ],
    [
      'not cut',
      write | create,
      [...wrote(3, 'h', 0, hello), ...sized(11, 4)],
      {complete: false, unhashed: 'not confirmed'},
    ],
    [
      'cut by its path',
      write | create | truncate,
      [...wrote(3, 'h', 0, hello), sftp.setstat(8, '/by/another/name', {size: 2}), sftp.status(8, 0)],
      {complete: false, unhashed: 'changed meanwhile'},
    ],
    [
      'given a mode by its path',
      write | create | truncate,
      [...wrote(3, 'h', 0, hello), sftp.setstat(8, '/f', {permissions: 0o600}), sftp.status(8, 0)],
      whole,
    ],
    [
      'added to on the host, in vain',
      write | create | truncate,
      [...opened('/from', read, 'from', 6), ...wrote(3, 'h', 0, hello), sftp.copyData(8, 'from', 'h')],
      {complete: false, unhashed: 'copied on the host'},
    ],
    [
      'appended to',
      write | append | truncate,
      wrote(3, 'h', 0, hello),
      {complete: false, unhashed: 'appended'},
    ],
    [
      'done something to that nobody knows',
      write | create | truncate,
      [...wrote(3, 'h', 0, hello), sftp.extended(8, 'fill@vendor.example', '/f'), sftp.status(8, 0)],
      {complete: false, unhashed: 'changed meanwhile'},
    ],
    [
      'said to have ended',
      write | create | truncate,
      [sftp.write(3, 'h', 0, hello), sftp.status(3, 1)],
      {complete: false, bytes: 0, unhashed: 'not confirmed', error: 'End of file'},
    ],
    [
      'closed before the host has it',
      write | create | truncate,
      [sftp.write(3, 'h', 0, hello)],
      {complete: false, bytes: 0, unhashed: 'not confirmed'},
    ],
  ])('to a file that is %s', (_, flag, passages, expected) => {
    const {files, losses} = follow(opened('/f', flag), passages, closed())
    expect(losses).toEqual([])
    expect(files.find(({path}) => path.text === '/f')).toMatchObject({direction: 'upload', ...expected})
  })

  const during = (passages: Passage[]): Passage[] => [
    ...opened('/d/f', write | create | truncate),
    ...wrote(3, 'h', 0, hello),
    ...passages,
    ...closed(),
  ]
  const two = (type: number, from: string, to: string): Passage[] => [
    sftp.two(type, 8, from, to),
    sftp.status(8, 0),
  ]
  it.each<[string, Passage[], boolean]>([
    ['renamed', two(18, '/d/f', '/g'), true],
    ['replaced', [sftp.extended(8, 'posix-rename@openssh.com', '/g', '/d/f'), sftp.status(8, 0)], true],
    ['removed', [sftp.path(13, 8, '/d//./f'), sftp.status(8, 0)], true],
    ['moved with its directory', two(18, '/d/', '/e'), true],
    ['renamed by a relative path', two(18, 'f', 'g'), true],
    ['opened again to be written', opened('/d/x/../f', write, 'i', 8), true],
    ['emptied by reading it', opened('/d/f', read | truncate, 'i', 8), true],
    ['opened to be read', opened('/d/f', read, 'i', 8), false],
    ['beside one that is renamed', two(18, '/d/ff', '/d/g'), false],
    ['beside one that is written', opened('/d/ff', write, 'i', 8), false],
    ['not renamed', [sftp.two(18, 8, '/d/f', '/g'), sftp.status(8, 4)], false],
  ])('to a file that is %s while it is open', (_, passages, isChanged) => {
    const {files} = follow(during(passages))
    const expected = isChanged ? {complete: false, unhashed: 'changed meanwhile'} : whole
    expect(files[0]).toMatchObject({path: {text: '/d/f'}, ...expected})
  })

  it('that is hidden behind another handle of the same file spoils both', () => {
    const {files} = follow(
      opened('/f', write | create | truncate, 'one', 1),
      wrote(3, 'one', 0, hello),
      opened('/f', write | create | truncate, 'two', 4),
      wrote(5, 'two', 0, hello),
      closed('two', 6),
      closed('one', 7),
    )
    expect(files.map(({complete, unhashed}) => [complete, unhashed])).toEqual([
      [false, 'changed meanwhile'],
      [false, 'changed meanwhile'],
    ])
    // One after the other they are two uploads.
    expect(follow(putFile('/f', hello), putFile('/f', hello)).files).toMatchObject([whole, whole])
  })

  it('among hundreds is doubted with all of them, at a cost that does not grow with their paths', () => {
    const long = '/x'.repeat(2000)
    const many = Array.from({length: 1500}, (_, i) => opened(`${long}${i}`, write | create, `h${i}`, i + 10))
    const renames = Array.from({length: 2000}, (_, i) => [
      sftp.two(18, i + 9000, `${long}a`, `${long}b`),
      sftp.status(i + 9000, 0),
    ])
    const before = process.cpuUsage()
    const {files} = follow(
      opened('/f', write | create | truncate),
      wrote(3, 'h', 0, hello),
      ...many,
      ...renames,
      closed(),
    )
    const {user, system} = process.cpuUsage(before)
    expect(files[0]).toMatchObject({path: {text: '/f'}, complete: false, unhashed: 'changed meanwhile'})
    expect((user + system) / 1e6).toBeLessThan(4)
  })

  it.each<[string, Passage]>([
    ['a length', sftp.fsetstat(8, 'h', {size: 1})],
    ['a copy', sftp.copyData(8, 'h', 'h')],
    ['a close', sftp.close(8, 'h')],
    ['content', sftp.write(8, 'h', 0, hello)],
  ])('is not followed where a handle was guessed: %s', (_, guess) => {
    const {losses} = follow(sftp.open(1, '/f', write), guess, sftp.handle(1, 'h'), sftp.status(8, 0))
    expect(losses).toHaveLength(1)
  })

  it('is on record where a request that nobody knows moves it', () => {
    const ask = (id: number, name: string): Passage => sftp.extended(id, name, '/etc/shadow', '/tmp/x')
    const {operations} = follow(
      ...[ask(3, 'copy-file'), sftp.status(3, 0)],
      ...[ask(4, 'move\u001b-file'), sftp.packet('host', 201, Buffer.of(0, 0, 0, 4))],
      ...[ask(5, 'link-file'), sftp.status(5, 8)],
      ...[sftp.packet('client', 21, Buffer.of(0, 0, 0, 6, 0)), sftp.status(6, 0)],
      ...[sftp.extended(7, 'fsync@openssh.com', 'h'), sftp.status(7, 0)],
    )
    expect(operations).toEqual([
      {operation: 'extended', path: {text: 'copy-file'}},
      {operation: 'extended', path: {text: 'move?-file'}},
      {operation: 'extended', path: {text: 'link-file'}, error: 'Operation unsupported'},
      {operation: 'extended', path: {text: 'type 21'}},
    ])
  })

  it('goes on record where nobody waits for the host', () => {
    const {files, operations} = follow(
      sftp.path(13, 3, '/gone'),
      sftp.open(1, '/etc/cron.d/x', write | create | truncate),
      sftp.write(4, 'guessed', 0, hello),
      sftp.close(5, 'guessed'),
    )
    const unknown = {error: 'no answer came'}
    expect(operations).toEqual([{operation: 'remove', path: {text: '/gone'}, ...unknown, unanswered: true}])
    expect(files).toMatchObject([
      {direction: 'upload', path: {text: '/etc/cron.d/x'}, complete: false, ...unknown},
    ])
  })
})

describe('a download by SFTP', () => {
  const got = (id: number, at: number, bytes: Buffer): Passage[] => [
    sftp.read(id, 'h', at, 1000),
    sftp.data(id, bytes),
  ]
  const ended = (id: number, at: number): Passage[] => [sftp.read(id, 'h', at, 1000), sftp.status(id, 1)]
  const stated = (size: number): Passage[] => [sftp.fstat(9, 'h'), sftp.attributes(9, {size})]
  it.each<[string, Passage[], object]>([
    ['whose end was seen', [...got(3, 0, hello), ...ended(4, 11)], whole],
    ['of the length that the host says', [...stated(11), ...got(3, 0, hello)], whole],
    ['longer than the host says', [...stated(6), ...got(3, 0, hello)], {complete: false, bytes: 11}],
    ['shorter than the host says', [...stated(99), ...got(3, 0, hello), ...ended(4, 11)], whole],
    [
      'that has grown since its end was seen',
      [...got(3, 0, hello.subarray(0, 5)), ...ended(4, 5), ...got(5, 5, hello.subarray(5))],
      {complete: false, bytes: 11},
    ],
    [
      'that has grown, to its new end',
      [...got(3, 0, hello.subarray(0, 5)), ...ended(4, 5), ...got(5, 5, hello.subarray(5)), ...ended(6, 11)],
      whole,
    ],
    ['whose end was only seen', ended(4, 0), {complete: true, bytes: 0, sha256: sha256('')}],
    ['with a gap before its end', [...got(3, 5, hello), ...ended(4, 16)], {complete: false}],
    ['that stops short of the end', [...got(3, 0, hello), ...ended(4, 99)], {complete: false}],
    [
      'with an answer that never came',
      [...got(3, 0, hello), ...ended(4, 11), sftp.read(5, 'h', 11, 9)],
      {complete: false, unhashed: 'not confirmed'},
    ],
  ])('%s', (_, passages, expected) => {
    const {files, losses} = follow(opened('/f', read), passages, closed())
    expect(losses).toEqual([])
    expect(files).toMatchObject([{direction: 'download', ...expected}])
  })

  it('that empties the file is told of as a change', () => {
    expect(follow(opened('/f', read | truncate), closed()).files).toMatchObject([
      {direction: 'upload', complete: false},
    ])
  })

  it('believes no size that the host gave by a path', () => {
    const {files} = follow(
      ...[sftp.path(17, 8, '/f'), sftp.attributes(8, {size: 11})],
      ...[opened('/f', read), got(3, 0, hello), closed()],
    )
    expect(files).toMatchObject([{complete: false, bytes: 11}])
  })
})

/** A host with two files, which does what a POSIX one does, and notes how each file was when it was closed. */
function modelHost() {
  const old = 0xff
  const disk = new Map([['/a', {content: Buffer.alloc(40, old)}]])
  const handles = new Map<string, {path: string; inode: {content: Buffer}; flag: number}>()
  const atClose: {path: string; content: Buffer; isThere: boolean}[] = []
  let lastHandle = 0
  const resize = (inode: {content: Buffer}, size: number): void => {
    const grown = Buffer.alloc(size)
    inode.content.copy(grown)
    inode.content = grown
  }
  return {
    atClose,
    open(path: string, flag: number): string | undefined {
      const found = disk.get(path)
      if (found ? flag & create && flag & exclusive : !(flag & create)) return undefined
      const inode = found ?? {content: Buffer.alloc(0)}
      disk.set(path, inode)
      if (flag & truncate) inode.content = Buffer.alloc(0)
      const handle = `h${++lastHandle}`
      handles.set(handle, {path, inode, flag})
      return handle
    },
    write(handle: string, offset: number, bytes: Buffer): boolean {
      const open = handles.get(handle)
      if (!open || !(open.flag & write)) return false
      const at = open.flag & append ? open.inode.content.length : offset
      if (open.inode.content.length < at + bytes.length) resize(open.inode, at + bytes.length)
      bytes.copy(open.inode.content, at)
      return true
    },
    fsetsize(handle: string, size: number): boolean {
      const open = handles.get(handle)
      if (open) resize(open.inode, size)
      return open !== undefined
    },
    setsize(path: string, size: number): boolean {
      const inode = disk.get(path)
      if (inode) resize(inode, size)
      return inode !== undefined
    },
    rename(from: string, to: string): boolean {
      const inode = disk.get(from)
      if (!inode || from === to) return false
      disk.delete(from)
      disk.set(to, inode)
      return true
    },
    remove: (path: string): boolean => disk.delete(path),
    close(handle: string): boolean {
      const open = handles.get(handle)
      if (!open) return false
      handles.delete(handle)
      const isThere = disk.get(open.path) === open.inode
      atClose.push({path: open.path, content: Buffer.from(open.inode.content), isThere})
      return true
    },
  }
}

type Move =
  | {do: 'open'; path: string; flag: number}
  | {do: 'write'; which: number; offset: number; length: number}
  | {do: 'fsetsize'; which: number; size: number}
  | {do: 'setsize'; path: string; size: number}
  | {do: 'rename'; from: string; to: string}
  | {do: 'remove'; path: string}
  | {do: 'close'; which: number}
  | {do: 'hear'}

const path = fc.constantFrom('/a', '/b')
const which = fc.nat({max: 3})
const small = fc.constantFrom(0, 5, 10, 15, 20)
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      path,
      flag: fc.constantFrom(
        ...[write, write | create, write | create | truncate, write | create | exclusive, write | exclusive],
        ...[write | append | create, read | truncate, write | create | truncate],
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      ...{which, offset: small, length: fc.constantFrom(5, 10)},
    }),
  },
  {weight: 2, arbitrary: fc.record({do: fc.constant('fsetsize' as const), which, size: small})},
  fc.record({do: fc.constant('setsize' as const), path, size: small}),
  fc.record({do: fc.constant('rename' as const), from: path, to: path}),
  fc.record({do: fc.constant('remove' as const), path}),
  {weight: 3, arbitrary: fc.record({do: fc.constant('close' as const), which})},
  {weight: 8, arbitrary: fc.constant({do: 'hear' as const})},
)

/** Plays the moves; answers come when they are heard, in order. */
function playMoves(moves: readonly Move[]) {
  const reports = keptReports()
  const parser = watchSftp(reports)
  const host = modelHost()
  const known: string[] = []
  const answers: (() => void)[] = []
  let id = 0
  let filling = 0
  for (const [side, bytes] of sftp.begin()) {
    if (side === 'host') parser.fromHost(bytes)
    else parser.fromClient(bytes)
  }
  const ask = ([, request]: Passage, [, answer]: Passage, heard = (): void => undefined): void => {
    parser.fromClient(request)
    answers.push(() => {
      parser.fromHost(answer)
      heard()
    })
  }
  const status = (done: boolean | undefined): Passage => sftp.status(id, done ? 0 : 4)
  const pick = (index: number): string | undefined => known[index % Math.max(1, known.length)]
  const make = (one: Move): void => {
    id++
    if (one.do === 'hear') return answers.shift()?.()
    if (one.do === 'open') {
      const handle = host.open(one.path, one.flag)
      const answer = handle === undefined ? sftp.status(id, 4) : sftp.handle(id, handle)
      return ask(sftp.open(id, one.path, one.flag), answer, () => handle && known.push(handle))
    }
    if (one.do === 'rename')
      return ask(sftp.two(18, id, one.from, one.to), status(host.rename(one.from, one.to)))
    if (one.do === 'remove') return ask(sftp.path(13, id, one.path), status(host.remove(one.path)))
    if (one.do === 'setsize')
      return ask(sftp.setstat(id, one.path, {size: one.size}), status(host.setsize(one.path, one.size)))
    const handle = pick(one.which)
    if (handle === undefined) return
    if (one.do === 'write') {
      filling = (filling % 100) + 1
      const bytes = Buffer.alloc(one.length, filling)
      return ask(sftp.write(id, handle, one.offset, bytes), status(host.write(handle, one.offset, bytes)))
    }
    if (one.do === 'fsetsize')
      return ask(sftp.fsetstat(id, handle, {size: one.size}), status(host.fsetsize(handle, one.size)))
    known.splice(known.indexOf(handle), 1)
    ask(sftp.close(id, handle), status(host.close(handle)))
  }
  for (const one of moves) make(one)
  while (answers.length > 0) make({do: 'hear'})
  parser.end()
  return {reports, host}
}

describe('whatever a client does to two files', () => {
  it('what is said to be complete is what the file held when it was closed', () => {
    let complete = 0
    fc.assert(
      fc.property(fc.array(move, {minLength: 5, maxLength: 30}), moves => {
        const {reports, host} = playMoves(moves)
        expect(reports.losses).toEqual([])
        // In the order of their closing; what follows was still open.
        const told = reports.files.filter(({refused}) => !refused).slice(0, host.atClose.length)
        expect(told.map(file => file.path.text)).toEqual(host.atClose.map(file => file.path))
        for (const [at, {complete: isComplete, sha256: hash, direction}] of told.entries()) {
          const held = host.atClose[at]
          if (!isComplete || !held || direction === 'download') continue
          complete++
          expect(held.isThere).toBe(true)
          // Neither anything that was there before, nor a hole.
          expect(held.content.every(byte => byte > 0 && byte < 0xff)).toBe(true)
          if (hash !== undefined) expect(hash).toBe(sha256(held.content))
        }
      }),
      {numRuns: 3000, seed: 7},
    )
    expect(complete).toBeGreaterThan(100)
  })
})
