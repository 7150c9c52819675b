import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {transferCommand, watchScp} from '../../../src/lib/transfer/index.js'
import {cut, keptReports, type Passage, play, sha256} from './fixture.js'

type Side = 'client' | 'host'
type Scp = Parameters<typeof watchScp>[0]

/** A conversation: S is the side with the files, K the side that takes them. */
const upload = (...said: (readonly [side: 'S' | 'K', text: string])[]): Passage[] =>
  said.map(turn('client', 'host'))
const download = (...said: (readonly [side: 'S' | 'K', text: string])[]): Passage[] =>
  said.map(turn('host', 'client'))
const turn =
  (source: Side, sink: Side) =>
  ([side, text]: readonly ['S' | 'K', string]): Passage => [side === 'S' ? source : sink, Buffer.from(text)]

function follow(command: string, passages: readonly Passage[]) {
  const reports = keptReports()
  const parser = watchScp(transferCommand('exec', command) as Scp, reports)
  const shown = Buffer.concat(play(parser, passages)).toString()
  parser.end()
  return {...reports, shown, parser}
}

const one = upload(
  ...([
    ['K', '\0'],
    ['S', 'T1700000000 0 1700000000 0\n'],
    ['K', '\0'],
    ['S', 'C0644 5 name\n'],
    ['K', '\0'],
  ] as const),
  ...([
    ['S', 'hello'],
    ['S', '\0'],
    ['K', '\0'],
  ] as const),
)
const complete = {bytes: 5, complete: true, sha256: sha256('hello')}

describe('scp, followed', () => {
  it('tells of an upload, to what may be a file or a directory', () => {
    const {files, losses, shown} = follow('scp -p -t /tmp', one)
    expect(losses).toEqual([])
    expect(files).toEqual([{direction: 'upload', path: {text: '/tmp'}, name: {text: 'name'}, ...complete}])
    expect(shown).toBe('')
  })

  it.each([
    ['scp -d -t /tmp', '/tmp/name'],
    ['scp -t /tmp/', '/tmp/name'],
    ['scp -t .', './name'],
    ['scp -t /tmp/other', '/tmp/other'],
  ])('knows the path that %s leads to', (command, path) => {
    expect(follow(command, one).files).toMatchObject([{path: {text: path}}])
  })

  it.each([
    ['scp -f /etc/name', '/etc/name'],
    ['scp -f /etc/n*', '/etc/name'],
    ["scp -f 'a/b c' d/name", 'd/name'],
    ['scp -f name', 'name'],
    ['scp -f *', 'name'],
    ['scp -f ~', '~'],
  ])('knows the path that %s reads', (command, path) => {
    const passages = download(
      ...([
        ['K', '\0'],
        ['S', 'C0644 5 name\n'],
        ['K', '\0'],
        ['S', 'hello\0'],
        ['K', '\0'],
      ] as const),
    )
    const {files, shown} = follow(command, passages)
    expect(files).toEqual([{direction: 'download', path: {text: path}, name: {text: 'name'}, ...complete}])
    expect(shown).toBe('C0644 5 name\n')
  })

  const tree = (make: typeof upload) =>
    make(
      ...([
        ['K', '\0'],
        ['S', 'D0755 0 dir\n'],
        ['K', '\0'],
        ['S', 'C0644 5 a\n'],
        ['K', '\0'],
      ] as const),
      ...([
        ['S', 'hello\0'],
        ['K', '\0'],
        ['S', 'D0755 0 sub\n'],
        ['K', '\0'],
      ] as const),
      ...([
        ['S', 'C0600 0 empty\n'],
        ['K', '\0'],
        ['S', '\0'],
        ['K', '\0'],
        ['S', 'E\n'],
        ['K', '\0'],
      ] as const),
      ...([
        ['S', 'E\n'],
        ['K', '\0'],
        ['S', 'C0644 5 b\n'],
        ['K', '\0'],
        ['S', 'hello\0'],
        ['K', '\0'],
      ] as const),
    )

  it('goes through directories', () => {
    expect(follow('scp -r -d -t /to', tree(upload)).files).toEqual([
      {direction: 'upload', path: {text: '/to/dir/a'}, name: {text: 'dir/a'}, ...complete},
      {
        ...{direction: 'upload', path: {text: '/to/dir/sub/empty'}, name: {text: 'dir/sub/empty'}},
        ...{bytes: 0, complete: true, sha256: sha256('')},
      },
      {direction: 'upload', path: {text: '/to/b'}, name: {text: 'b'}, ...complete},
    ])
    expect(follow('scp -r -f /from/dir', tree(download)).files.map(({path}) => path.text)).toEqual([
      '/from/dir/a',
      '/from/dir/sub/empty',
      '/from/dir',
    ])
  })

  it('says the same however the bytes arrive', () => {
    for (const [command, passages] of [
      ['scp -r -d -t /to', tree(upload)],
      ['scp -r -f /from/dir', tree(download)],
    ] as const) {
      const {files, shown} = follow(command, passages)
      fc.assert(
        fc.property(fc.array(fc.integer({min: 1, max: 9}), {minLength: 1, maxLength: 9}), lengths => {
          const parts = follow(command, cut(passages, lengths))
          expect([parts.files, parts.losses, parts.shown]).toEqual([files, [], shown])
        }),
      )
    }
  })

  it('takes what comes before the answer, as libraries send it', () => {
    const passages = upload(['S', 'C0644 5 name\nhello\0'], ['K', '\0'], ['K', '\0'], ['K', '\0'])
    expect(follow('scp -t /tmp', passages).files).toMatchObject([complete])
  })

  it('tells of a refused file, and goes on', () => {
    const passages = upload(
      ...([
        ['K', '\0'],
        ['S', 'C0644 5 name\n'],
        ['K', '\u0001scp: /tmp/x: Permission denied\n'],
      ] as const),
      ...([
        ['S', 'C0644 5 name\n'],
        ['K', '\0'],
        ['S', 'hello\0'],
        ['K', '\0'],
      ] as const),
    )
    const {files, losses, shown} = follow('scp -t /tmp', passages)
    expect(losses).toEqual([])
    expect(files).toMatchObject([
      {bytes: 0, complete: false, error: '/tmp/x: Permission denied', refused: true},
      complete,
    ])
    expect(shown).toBe('\u0001scp: /tmp/x: Permission denied\n')
  })

  it('tells of what could not be read', () => {
    const passages = download(['K', '\0'], ['S', '\u0001scp: /nowhere: No such file or directory\n'])
    expect(follow('scp -f /nowhere', passages).files).toMatchObject([
      {
        direction: 'download',
        path: {text: '/nowhere'},
        bytes: 0,
        error: '/nowhere: No such file or directory',
      },
    ])
  })

  it.each<[string, Passage[], object]>([
    [
      'the disk being full',
      upload(
        ['S', 'C0644 5 name\n'],
        ['K', '\0'],
        ['K', '\0'],
        ['S', 'hello\0'],
        ['K', '\u0001scp: No space left\n'],
      ),
      {bytes: 5, complete: false, error: 'No space left', unhashed: 'not confirmed'},
    ],
    [
      'the disk being full in the middle',
      upload(
        ...([
          ['K', '\0'],
          ['S', 'C0644 5 name\n'],
          ['K', '\0'],
          ['S', 'hel'],
        ] as const),
        ...([
          ['K', '\u0002disk full\n'],
          ['S', 'lo\0'],
        ] as const),
      ),
      {bytes: 5, complete: false, error: 'disk full', unhashed: 'not confirmed'},
    ],
    [
      'the disk being full in the middle, and the words about it coming at the end',
      upload(
        ...([
          ['K', '\0'],
          ['S', 'C0644 5 name\n'],
          ['K', '\0'],
          ['S', 'hel'],
          ['K', '\u0001disk'],
        ] as const),
        ...([
          ['S', 'lo\0'],
          ['K', ' full\n'],
        ] as const),
      ),
      {bytes: 5, complete: false, error: 'disk full', unhashed: 'not confirmed'},
    ],
    [
      'the disk being full in the middle, and an end all the same',
      upload(
        ...([
          ['K', '\0'],
          ['S', 'C0644 5 name\n'],
          ['K', '\0'],
          ['S', 'hel'],
        ] as const),
        ...([
          ['K', '\u0001disk full\n'],
          ['S', 'lo\0'],
          ['K', '\0'],
        ] as const),
      ),
      {bytes: 5, complete: false, error: 'disk full', unhashed: 'not confirmed'},
    ],
    [
      'the source failing in the middle',
      upload(
        ['K', '\0'],
        ['S', 'C0644 5 name\n'],
        ['K', '\0'],
        ['S', 'hello\u0001scp: Input/output error\n'],
        ['K', '\0'],
      ),
      {bytes: 5, complete: false, error: 'Input/output error', unhashed: 'not confirmed'},
    ],
    [
      'the connection being cut',
      upload(['K', '\0'], ['S', 'C0644 5 name\n'], ['K', '\0'], ['S', 'hel']),
      {bytes: 3, complete: false, sha256: sha256('hel')},
    ],
    [
      'the last answer missing',
      upload(['K', '\0'], ['S', 'C0644 5 name\n'], ['K', '\0'], ['S', 'hello\0']),
      {bytes: 5, complete: false},
    ],
  ])('tells of %s', (_, passages, expected) => {
    const {files, losses} = follow('scp -t /tmp', passages)
    expect(files).toMatchObject([expected])
    expect(losses).toEqual([])
  })

  it('leaves a refused directory out', () => {
    const passages = upload(
      ...([
        ['K', '\0'],
        ['S', 'D0755 0 dir\n'],
        ['K', '\u0001scp: dir: not a directory\n'],
      ] as const),
      ...([
        ['S', 'C0644 5 name\n'],
        ['K', '\0'],
        ['S', 'hello\0'],
        ['K', '\0'],
      ] as const),
    )
    expect(follow('scp -r -d -t /to', passages).files).toMatchObject([{path: {text: '/to/name'}}])
  })
})

describe('what is no scp', () => {
  it.each<[string, string, Passage[]]>([
    ['a shell under its name', 'scp -f x', download(['K', '\0'], ['S', '$ whoami\n'])],
    ['a shell that answers', 'scp -t x', upload(['K', 'root@host:~# '], ['S', 'id\n'], ['K', 'uid=0\n'])],
    [
      'content of a refused file',
      'scp -t x',
      upload(['S', 'C0644 5 name\nhel'], ['K', '\0'], ['K', '\u0001no\n']),
    ],
    ['an endless line', 'scp -f x', download(['S', `C0644 5 ${'x'.repeat(9000)}`])],
    ['a giant size', 'scp -f x', download(['S', 'C0644 99999999999999999999 x\n'])],
    ['a negative size', 'scp -f x', download(['S', 'C0644 -1 x\n'])],
    ['an end of nothing', 'scp -t x', upload(['S', 'E\n'])],
    ['directories without end', 'scp -t x', upload(['S', 'D0755 0 d\n'.repeat(600)])],
    ['lines that nobody answers', 'scp -t x', upload(['S', 'T1 0 1 0\n'.repeat(2000)])],
    ['answers to nothing', 'scp -t x', upload(['K', '\0\0'])],
  ])('is told once, and shown from there on: %s', (_, command, passages) => {
    const {losses, parser, shown} = follow(command, passages)
    expect(losses).toHaveLength(1)
    const last = passages.at(-1)
    const isHost = last?.[0] === 'host'
    if (isHost)
      expect(
        shown.endsWith(
          last[1]
            .toString()
            .replace(/^\0+(?=.)/, '')
            .slice(-5),
        ),
      ).toBe(true)
    expect(parser.fromHost(Buffer.from('more')).toString()).toBe('more')
  })

  it('may be anything: it never throws', () => {
    const bytes = fc.oneof(
      fc.uint8Array({maxLength: 40}).map(array => Buffer.from(array)),
      fc
        .constantFrom('C0644 5 x\n', 'D0755 0 d\n', 'E\n', '\0', 'hello', '\u0001no\n')
        .map(text => Buffer.from(text)),
    )
    const passages = fc.array(fc.tuple(fc.constantFrom('client' as const, 'host' as const), bytes))
    fc.assert(
      fc.property(fc.constantFrom('scp -t x', 'scp -f x'), passages, (command, said) => {
        follow(command, said)
      }),
      {numRuns: 1000},
    )
  })
})
