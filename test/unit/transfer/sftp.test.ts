import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {watchSftp} from '../../../src/lib/transfer/index.js'
import {cut, flags, getFile, keptReports, type Passage, play, putFile, sftp, sha256} from './fixture.js'

const content = Buffer.from(Array.from({length: 25_301}, (_, i) => (i * 31) % 251))

function follow(passages: readonly Passage[], {end = true} = {}) {
  const reports = keptReports()
  const parser = watchSftp(reports)
  const shown = play(parser, passages)
  if (end) parser.end()
  return {...reports, shown: Buffer.concat(shown), totals: parser.totals(), parser}
}
const session = (...passages: (Passage | Passage[])[]): Passage[] => [
  ...sftp.begin(),
  ...passages.flatMap(passage => (Array.isArray(passage[0]) ? (passage as Passage[]) : [passage as Passage])),
]

describe('SFTP, followed', () => {
  it('tells of an upload: path, bytes, hash, complete', () => {
    const {files, losses, shown} = follow(session(putFile('/tmp/a', content)))
    expect(files).toEqual([
      {
        direction: 'upload',
        path: {text: '/tmp/a'},
        bytes: content.length,
        complete: true,
        sha256: sha256(content),
      },
    ])
    expect(losses).toEqual([])
    expect(shown).toHaveLength(0)
  })

  it('tells of a download', () => {
    expect(follow(session(getFile('/etc/passwd', content))).files).toEqual([
      {
        direction: 'download',
        path: {text: '/etc/passwd'},
        bytes: content.length,
        complete: true,
        sha256: sha256(content),
      },
    ])
  })

  it.each([
    ['an upload', putFile],
    ['a download', getFile],
  ])('tells of %s of nothing', (_, transfer) => {
    expect(follow(session(transfer('/empty', Buffer.alloc(0)))).files).toMatchObject([
      {bytes: 0, complete: true, sha256: sha256('')},
    ])
  })

  it('says the same however the bytes arrive', () => {
    const all = session(
      putFile('/a', content),
      getFile('/b', content),
      sftp.two(18, 5, '/a', '/b'),
      sftp.status(5, 3, 'Permission denied'),
      sftp.extended(6, 'posix-rename@openssh.com', '/x', '/y'),
      sftp.status(6, 0),
    )
    const whole = follow(all)
    const {files, operations} = whole
    fc.assert(
      fc.property(fc.array(fc.integer({min: 1, max: 3000}), {minLength: 1, maxLength: 20}), lengths => {
        const parts = follow(cut(all, lengths))
        expect([parts.files, parts.operations, parts.losses]).toEqual([files, operations, []])
      }),
      {numRuns: 60},
    )
  })

  it('hashes pieces that come a little out of order', () => {
    const [open, handle, ...rest] = getFile('/f', content)
    const [close, closed] = rest.splice(-2)
    const requests = rest.filter(([side]) => side === 'client')
    const answers = rest.filter(([side]) => side === 'host').reverse()
    const shuffled = [open, handle, ...requests, ...answers, close, closed] as Passage[]
    expect(follow(session(shuffled)).files).toMatchObject([{complete: true, sha256: sha256(content)}])
  })

  it.each<[string, Passage[], object]>([
    [
      'read twice',
      [
        ...[sftp.read(3, 'h', 0, 9), sftp.data(3, content.subarray(0, 9))],
        ...[sftp.read(4, 'h', 3, 9), sftp.data(4, content.subarray(3, 12))],
        ...[sftp.read(5, 'h', 12, 9), sftp.status(5, 1)],
      ],
      {bytes: 18, complete: true, unhashed: 'not in order'},
    ],
    [
      'read from the middle on',
      [
        ...[sftp.read(3, 'h', 5, 9), sftp.data(3, content.subarray(5, 14))],
        ...[sftp.read(4, 'h', 14, 9), sftp.status(4, 1)],
      ],
      {bytes: 9, complete: false, unhashed: 'not from the start'},
    ],
    [
      'read in part',
      [sftp.read(3, 'h', 0, 9), sftp.data(3, content.subarray(0, 9))],
      {bytes: 9, complete: false, sha256: sha256(content.subarray(0, 9))},
    ],
    [
      'read up to the size that fstat gave',
      [
        ...[sftp.fstat(8, 'h'), sftp.attributes(8, {size: 9, permissions: 0o100644})],
        ...[sftp.read(3, 'h', 0, 9), sftp.data(3, content.subarray(0, 9))],
      ],
      {bytes: 9, complete: true, sha256: sha256(content.subarray(0, 9))},
    ],
    ['not read', [], {bytes: 0, complete: false, unhashed: 'nothing passed'}],
    [
      'unreadable in the middle',
      [
        ...[sftp.read(3, 'h', 0, 9), sftp.data(3, content.subarray(0, 9))],
        ...[sftp.read(4, 'h', 9, 9), sftp.status(4, 4, 'Input/output\nerror')],
      ],
      {bytes: 9, complete: false, unhashed: 'not confirmed', error: 'Input/output error'},
    ],
  ])('says of a file that was %s what is known', (_, passages, expected) => {
    const {files, losses} = follow(
      session(
        sftp.open(1, '/f', flags.read),
        sftp.handle(1, 'h'),
        ...passages,
        sftp.close(2, 'h'),
        sftp.status(2, 0),
      ),
    )
    expect(losses).toEqual([])
    expect(files).toMatchObject([expected])
    expect(files).toHaveLength(1)
  })

  it.each<[string, number, Passage[], object]>([
    [
      'resumed',
      flags.write | flags.create,
      [sftp.write(3, 'h', 500, content), sftp.status(3, 0)],
      {bytes: content.length, complete: false, unhashed: 'not from the start'},
    ],
    [
      'appended to',
      flags.write | flags.append,
      [sftp.write(3, 'h', 0, content), sftp.status(3, 0)],
      {bytes: content.length, complete: false, unhashed: 'appended'},
    ],
    [
      'refused in part',
      flags.write | flags.create | flags.truncate,
      [sftp.write(3, 'h', 0, content), sftp.status(3, 4, 'Failure')],
      {bytes: 0, complete: false, error: 'Failure'},
    ],
    [
      'given attributes',
      flags.write | flags.create,
      [
        ...[sftp.write(3, 'h', 0, content), sftp.status(3, 0)],
        ...[sftp.fsetstat(4, 'h', {size: content.length, permissions: 0o104755}), sftp.status(4, 0)],
      ],
      {complete: true, sha256: sha256(content), attributes: {size: content.length, permissions: '4755'}},
    ],
  ])('says of a file that was %s what is known', (_, flag, passages, expected) => {
    const {files, losses} = follow(
      session(
        sftp.open(1, '/f', flag),
        sftp.handle(1, 'h'),
        ...passages,
        sftp.close(2, 'h'),
        sftp.status(2, 0),
      ),
    )
    expect(losses).toEqual([])
    expect(files).toMatchObject([{direction: 'upload', ...expected}])
  })

  it('tells of both directions of a file that was read and written', () => {
    const {files} = follow(
      session(
        ...[sftp.open(1, '/f', flags.read | flags.write), sftp.handle(1, 'h')],
        ...[sftp.read(3, 'h', 0, 9), sftp.data(3, Buffer.from('old'))],
        ...[sftp.write(4, 'h', 0, Buffer.from('new!')), sftp.status(4, 0)],
        ...[sftp.close(2, 'h'), sftp.status(2, 0)],
      ),
    )
    expect(files).toMatchObject([
      {direction: 'download', bytes: 3},
      {direction: 'upload', bytes: 4},
    ])
  })

  it('tells of a file that was not opened', () => {
    const {files} = follow(session(sftp.open(1, '/etc/shadow', 1), sftp.status(1, 3, 'Permission denied')))
    expect(files).toEqual([
      {
        direction: 'download',
        path: {text: '/etc/shadow'},
        bytes: 0,
        complete: false,
        unhashed: 'nothing passed',
        error: 'Permission denied',
        refused: true,
      },
    ])
  })

  it('tells of a transfer that is cut off', () => {
    const whole = session(putFile('/a', content))
    const {files} = follow(whole.slice(0, 12))
    expect(files).toMatchObject([{complete: false, bytes: 0, unhashed: 'not confirmed'}])
    expect(follow(session(getFile('/a', content)).slice(0, -2)).files).toMatchObject([{complete: false}])
  })

  it('keeps bytes that are no UTF-8, and line breaks', () => {
    const path = Buffer.from([0x2f, 0x66, 0xff, 0x0a, 0x27])
    const {files} = follow(session(sftp.open(1, path, 1), sftp.status(1, 2)))
    expect(files).toMatchObject([
      {path: {text: "/f\ufffd\n'", bytes: path.toString('base64')}, error: 'No such file'},
    ])
  })

  it('tells of what is done to paths', () => {
    const {operations} = follow(
      session(
        ...[sftp.path(13, 1, '/gone'), sftp.status(1, 0)],
        ...[sftp.mkdir(2, '/new'), sftp.status(2, 4, 'Failure')],
        ...[sftp.path(15, 3, '/old'), sftp.status(3, 0)],
        ...[sftp.two(18, 4, '/a', '/b'), sftp.status(4, 0)],
        ...[sftp.two(20, 5, 'leads-here', '/link'), sftp.status(5, 0)],
        ...[sftp.extended(6, 'hardlink@openssh.com', '/file', '/other'), sftp.status(6, 0)],
        ...[sftp.setstat(7, '/f', {owner: [0, 0], times: [1, 2]}), sftp.status(7, 0)],
        ...[sftp.path(11, 8, '/root'), sftp.handle(8, 'd')],
        ...[sftp.close(9, 'd'), sftp.status(9, 0)],
      ),
    )
    expect(operations).toEqual([
      {operation: 'remove', path: {text: '/gone'}},
      {operation: 'mkdir', path: {text: '/new'}, attributes: {permissions: '0755'}, error: 'Failure'},
      {operation: 'rmdir', path: {text: '/old'}},
      {operation: 'rename', path: {text: '/a'}, target: {text: '/b'}},
      {operation: 'symlink', path: {text: '/link'}, target: {text: 'leads-here'}},
      {operation: 'link', path: {text: '/other'}, target: {text: '/file'}},
      {operation: 'setstat', path: {text: '/f'}, attributes: {uid: 0, gid: 0, modified: 2}},
      {operation: 'opendir', path: {text: '/root'}},
    ])
  })

  it('counts what it does not tell of', () => {
    const listing = Array.from({length: 1000}, (_, i) => [
      sftp.path(7, i + 10, `/d/${i}`),
      sftp.attributes(i + 10, {}),
    ])
    const {operations, files, totals} = follow(
      session(
        ...[sftp.path(11, 1, '/d'), sftp.handle(1, 'd')],
        ...[sftp.fstat(2, 'd'), sftp.names(2, 0)].slice(0, 1),
        ...[sftp.attributes(2, {})],
        ...listing.flat(),
        ...[sftp.extended(3, 'limits@openssh.com'), sftp.packet('host', 201, Buffer.of(0, 0, 0, 3))],
      ),
    )
    expect([operations.length, files.length]).toEqual([1, 0])
    expect(totals.requests).toEqual({opendir: 1, fstat: 1, lstat: 1000, 'limits@openssh.com': 1})
  })

  it('says so where content was copied on the host', () => {
    const {files} = follow(
      session(
        ...[sftp.open(1, '/from', flags.read), sftp.handle(1, 'a')],
        ...[sftp.open(2, '/to', flags.write | flags.create | flags.truncate), sftp.handle(2, 'b')],
        ...[sftp.copyData(3, 'a', 'b'), sftp.status(3, 0)],
        ...[sftp.close(4, 'b'), sftp.status(4, 0)],
      ),
    )
    expect(files[0]).toMatchObject({
      path: {text: '/to'},
      complete: false,
      unhashed: 'copied on the host',
      copiedFrom: {text: '/from'},
    })
  })
})

const length = (bytes: number): Buffer => {
  const packet = Buffer.alloc(5)
  packet.writeUInt32BE(bytes)
  return packet
}

describe('what is no SFTP', () => {
  it.each<[string, Passage[]]>([
    [
      'a greeting of the login shell',
      [
        ['client', Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])],
        ['host', Buffer.from('Welcome to this host!\n')],
      ],
    ],
    ['an empty packet', session(['client', Buffer.alloc(4 + 1)])],
    [
      'a giant request',
      session(['client', Buffer.concat([length(0xffff_ffff).subarray(0, 4), Buffer.of(3)])]),
    ],
    [
      'a giant handle',
      session(['client', Buffer.from([0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf0])]),
    ],
    [
      'data longer than its packet',
      session([
        'client',
        Buffer.from([0, 0, 0, 22, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
      ]),
    ],
    ['an answer to nothing', session(sftp.status(9, 0))],
    ['the same ID twice', session(sftp.path(17, 1, '/'), sftp.path(17, 1, '/'))],
    [
      'a handle given twice',
      session(sftp.open(1, '/a', 1), sftp.open(2, '/b', 1), sftp.handle(1, 'h'), sftp.handle(2, 'h')),
    ],
    ['an answer that does not fit', session(sftp.open(1, '/a', 1), sftp.data(1, content))],
    ['content of a file that is not open', session(sftp.read(1, 'none', 0, 9), sftp.data(1, content))],
    ['a write to a file that is not open', session(sftp.write(1, 'none', 0, content), sftp.status(1, 0))],
    ['requests before the beginning', [sftp.path(17, 1, '/')]],
    ['another version', sftp.begin(6)],
    ['a beginning in the middle', session(['client', Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])])],
  ])('is told once, and shown from there on: %s', (_, passages) => {
    const {losses, shown, parser} = follow(passages)
    expect(losses).toHaveLength(1)
    expect(shown.length > 0).toBe(passages.at(-1)?.[0] === 'host')
    expect(parser.fromHost(Buffer.from('more'))).toEqual(Buffer.from('more'))
  })

  it('ends what was open', () => {
    const {files, losses} = follow(session(putFile('/a', content).slice(0, -2), sftp.status(999, 0)))
    expect(files).toMatchObject([{path: {text: '/a'}, complete: false, unhashed: 'not followed'}])
    expect(losses).toHaveLength(1)
  })

  it.each<[string, (i: number) => Passage[]]>([
    ['requests without answers', i => [sftp.path(17, i, '/')]],
    ['open files', i => [sftp.open(i, '/f', 1), sftp.handle(i, `h${i}`)]],
    ['long paths', i => [sftp.path(13, i, '/x'.repeat(60_000))]],
  ])('has bounds: %s', (_, passages) => {
    const reports = keptReports()
    const parser = watchSftp(reports)
    play(parser, sftp.begin())
    let count = 0
    while (reports.losses.length === 0 && count < 20_000) play(parser, passages(count++))
    expect(reports.losses[0]).toMatch(/more than|too many/)
  })

  it('may be anything: it never throws, and never grows', () => {
    const reports = keptReports()
    const bytes = fc.uint8Array({maxLength: 300}).map(array => Buffer.from(array))
    const mangled = fc
      .tuple(
        fc.constantFrom(putFile, getFile),
        fc.array(fc.tuple(fc.nat(), fc.nat({max: 255})), {maxLength: 5}),
      )
      .map(([transfer, changes]) => {
        const passages = session(transfer('/f', content.subarray(0, 3000))).map(
          ([side, part]) => [side, Buffer.from(part)] as const,
        )
        for (const [where, value] of changes) {
          const [, part] = passages[where % passages.length] as Passage
          part[where % part.length] = value
        }
        return passages
      })
    const random = fc.array(fc.tuple(fc.constantFrom('client' as const, 'host' as const), bytes))
    fc.assert(
      fc.property(
        fc.oneof(
          mangled,
          random,
          random.map(more => [...sftp.begin(), ...more]),
        ),
        passages => {
          const parser = watchSftp(reports)
          play(parser, passages)
          parser.end()
          parser.end()
        },
      ),
      {numRuns: 500},
    )
  })
})
