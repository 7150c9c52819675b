import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it, test} from 'vitest'
import {catalogue} from '../../../src/lib/errors/index.js'
import {commandTexts, complaint, type Manifest, sallyportCommands} from '../../support/command-lines.js'
import {
  anchors,
  fences,
  indentedBlocks,
  links,
  page,
  pages,
  repository,
  rows,
} from '../../support/documents.js'

const manifest: Manifest = JSON.parse(readFileSync(join(repository, 'oclif.manifest.json'), 'utf8'))

describe('pages', () => {
  const all = pages()

  test('are found', () => {
    expect(all.map(({path}) => path)).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'docs/README.md', 'docs/guides/enrol-a-host.md']),
    )
  })

  test.each(all.map(one => [one.path, one] as const))('%s links to what is there', (_, one) => {
    const broken = links(one).filter(({target, anchor, exists}) => {
      if (!exists) return true
      return anchor !== undefined && !anchors(page(target)).includes(anchor)
    })
    expect(broken).toEqual([])
  })

  test.each(all.map(one => [one.path, one] as const))('%s names commands and flags that exist', (_, one) => {
    const blocks = [...fences(one).map(({text}) => text), ...indentedBlocks(one)]
    const commands = blocks.flatMap(sallyportCommands)
    const inline = [...one.text.matchAll(/`(sallyport [^`]+)`/g)].flatMap(match =>
      sallyportCommands(match[1] ?? ''),
    )
    // In a sentence a command may be named without all that it wants.
    const wrong = [
      ...commands.map(words => complaint(words, manifest)),
      ...inline.map(words => complaint(words, manifest)).filter(text => !text?.includes(' wants ')),
    ].filter(text => text !== undefined && !text.includes('no command COMMAND'))
    expect(wrong).toEqual([])
  })

  test('in docs/ are all in its table of contents', () => {
    const listed = links(page('docs/README.md')).map(({target}) => target)
    const missing = all
      .map(({path}) => path)
      .filter(path => path.startsWith('docs/') && path !== 'docs/README.md' && !/\/\d{3}-/.test(path))
      .filter(path => !listed.includes(path))
    expect(missing).toEqual([])
  })
})

test('README has exactly two commands to set a fresh machine up', () => {
  const block = fences(page('README.md')).find(({text}) => text.includes('npm ci'))
  expect(
    block?.text
      .trim()
      .split('\n')
      .map(line => line.replace(/ +#.*/, '')),
  ).toEqual(['npm ci && npm run demo', 'npm ci && npm test'])
})

describe('troubleshooting', () => {
  const entries = rows(page('docs/guides/troubleshooting.md').text)

  it('has every error code with its exit status, and no other', () => {
    const listed = entries.map(([code = '', status]) => [code.replaceAll('`', ''), Number(status)] as const)
    expect(Object.fromEntries(listed)).toEqual(catalogue)
    expect(listed).toHaveLength(Object.keys(catalogue).length)
  })

  it('says of each what happened and what to do', () => {
    expect(entries.filter(cells => cells.length !== 4 || cells.some(cell => cell === ''))).toEqual([])
  })
})

describe('the reader of command lines', () => {
  const read = (block: string) => sallyportCommands(block).map(words => words.join(' '))

  it('takes commands out of transcripts, pipes, substitutions and sudo, and leaves output alone', () => {
    const block = [
      '$ sallyport users add joe joe,root',
      'sallyport nonsense in the output',
      "$ sallyport auth export --type=user | sed 's/a b/ /' > f",
      '$ FOO=1 sudo sallyport start # a remark: sallyport no',
      '$ (echo one',
      '   sallyport audit ls) | cat',
      "$ sallyport ssh a@b 'ls | wc; sallyport x' >> f",
      '$ sallyport config \\',
      "    'web-*'",
    ].join('\n')
    expect(commandTexts(block)).toHaveLength(6)
    expect(read(block)).toEqual([
      'users add joe joe,root',
      'auth export --type=user',
      'start',
      'audit ls',
      'ssh a@b ls | wc; sallyport x',
      'config web-*',
    ])
    expect(read('sallyport status\n# sallyport remark\ncat x | sallyport play y')).toEqual([
      'status',
      'play y',
    ])
  })

  it.each([
    ['users add joe', undefined],
    ['users ad joe', 'there is no command users ad'],
    ['login --prox=x', 'login has no flag --prox=x'],
    ['login --no-use-local-ssh-agent -k no', undefined],
    ['login -k sometimes', 'add-keys-to-agent of login cannot be sometimes'],
    ['auth export', 'auth:export wants --type'],
    ['play', 'play wants more arguments'],
    ['play a b', 'play takes fewer arguments'],
    ['recordings ls --limit', '--limit of recordings:ls wants a value'],
    ['ssh -p 22 a@b ls --color', undefined],
    ['config a b c', undefined],
    ['help', undefined],
  ])('judges `sallyport %s`', (line, expected) => {
    expect(complaint(line.split(' '), manifest)).toBe(expected)
  })
})
