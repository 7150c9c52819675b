import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join, relative, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {describe, expect, test} from 'vitest'
import {deepImports} from '../support/deep-imports.js'

/** What those who may be in another process than the auth service may import of it. */
const contract = ['auth/contract', 'auth/system-api']

/** What every room may import. */
const everywhere = ['errors', 'names', 'waiting']

/**
 * Room → rooms it may import, besides these. `ssh/algorithms` allows the names of algorithms alone.
 */
const allowed: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  names: [],
  waiting: [],
  durable: [],
  sshcert: [],
  agent: ['sshcert'],
  ssh: ['sshcert', 'agent'],
  backend: ['durable'],
  config: ['durable', 'ssh/algorithms'],
  pki: ['sshcert', 'backend', 'durable'],
  access: [],
  audit: ['durable'],
  children: ['durable'],
  recording: ['durable', 'children'],
  transfer: [],
  session: ['ssh', 'sshcert', 'recording', 'transfer', 'audit', 'access', ...contract],
  outbox: ['durable', 'audit', 'recording', ...contract],
  forward: ['ssh', 'agent', 'sshcert', 'recording', 'audit', 'access', 'session', ...contract],
  tunnel: ['ssh', 'sshcert', 'session'],
  node: [
    'children',
    'durable',
    'ssh',
    'agent',
    'sshcert',
    'recording',
    'audit',
    'access',
    'config',
    'session',
    ...contract,
  ],
  auth: ['durable', 'sshcert', 'backend', 'pki', 'access', 'audit', 'recording', 'config'],
  proxy: [
    'durable',
    'session',
    'tunnel',
    'forward',
    'ssh',
    'agent',
    'sshcert',
    'access',
    'audit',
    'config',
    'recording',
    ...contract,
  ],
  web: [...contract, 'config', 'sshcert', 'durable', 'pki'],
  evidence: ['durable', 'audit', 'recording', 'config'],
  client: [
    'children',
    'durable',
    'sshcert',
    'agent',
    'ssh',
    'access',
    'auth',
    'config',
    'recording',
    'audit',
    'evidence',
  ],
  service: [
    'durable',
    'sshcert',
    'agent',
    'ssh',
    'backend',
    'config',
    'pki',
    'access',
    'audit',
    'recording',
    'outbox',
    'session',
    'forward',
    'tunnel',
    'node',
    'auth',
    'proxy',
    'web',
  ],
  cli: ['durable'],
  commands: ['cli', 'client', 'service', 'evidence', 'config', 'recording', 'auth', 'sshcert'],
}

const heavy = [
  'zod',
  'yaml',
  'pino',
  'fastify',
  'inquirer',
  'ssh2',
  'node-forge',
  'libsql',
  '@node-rs/argon2',
  'qrcode',
  'otpauth',
  'keytar',
  '@xterm/headless',
  '@lydell/node-pty',
]

interface Import {
  specifier: string
  typeOnly: boolean
  /** `import()`: evaluated when it is reached, not when the file is loaded. */
  dynamic: boolean
}

interface Source {
  /** Relative to src. */
  path: string
  lines: number
  imports: Import[]
}

const src = fileURLToPath(new URL('../../src', import.meta.url))

const statement = /(?:^|\n)\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/g
const call = /\bimport\('([^']+)'\)/g

function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/[^\n]*/g, '$1')
  return [
    ...[...code.matchAll(statement)].map(match => ({
      specifier: match[2] ?? '',
      typeOnly: match[1] !== undefined,
      dynamic: false,
    })),
    ...[...code.matchAll(call)].map(match => ({specifier: match[1] ?? '', typeOnly: false, dynamic: true})),
  ]
}

const sources: Source[] = readdirSync(src, {recursive: true, encoding: 'utf8'})
  .filter(path => path.endsWith('.ts'))
  .map(path => {
    const text = readFileSync(join(src, path), 'utf8')
    return {path, lines: text.split('\n').length - 1, imports: importsOf(text)}
  })
const byPath = new Map(sources.map(source => [source.path, source]))

/** `lib/ssh/x.ts` → `ssh`, `commands/y.ts` → `commands`. */
const roomOf = (path: string): string => path.split('/')[path.startsWith('lib/') ? 1 : 0] ?? ''

const isLocal = ({specifier}: Import): boolean => specifier.startsWith('.')

/** A relative specifier as a path relative to src. */
const target = (from: Source, {specifier}: Import): string =>
  relative(src, resolve(src, dirname(from.path), specifier)).replace(/\.js$/, '.ts')

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

function mayImport(room: string, path: string): boolean {
  const rooms = allowed[room] ?? []
  const other = roomOf(path)
  if (room !== 'errors' && everywhere.includes(other)) return true
  return other === room || rooms.includes(other) || rooms.includes(moduleOf(path))
}

/** `lib/ssh/x.ts` → `ssh/x` */
const moduleOf = (path: string): string => path.replace(/^lib\/|\.ts$/g, '')

/** Past the index of another room, to what is no door of its own. */
const isDeep = (room: string, path: string): boolean =>
  path.startsWith('lib/') &&
  roomOf(path) !== room &&
  path !== `lib/${roomOf(path)}/index.ts` &&
  ![...contract, 'ssh/algorithms'].includes(moduleOf(path))

describe('imports', () => {
  test('of every form are seen, and comments are not', () => {
    const text = [
      "import a from './a.js'",
      "import {\n  b,\n  type C,\n} from './b.js'",
      "import type {D} from './d.js'",
      "import './e.js'",
      "export {f} from './f.js'",
      "export type * from './g.js'",
      "// import h from './h.js'",
      "/** import('./i.js') */",
      "const {j} = await import('./j.js')",
    ].join('\n')
    expect(
      importsOf(text).map(item => item.specifier[2] + (item.typeOnly ? 't' : '') + (item.dynamic ? 'd' : '')),
    ).toEqual(['a', 'b', 'dt', 'e', 'f', 'gt', 'jd'])
  })

  test('are found, and every one of a file of ours exists', () => {
    expect(sources.length).toBeGreaterThan(20)
    const missing = sources.flatMap(source =>
      source.imports
        .filter(isLocal)
        .map(item => target(source, item))
        .filter(path => !byPath.has(path) && !path.endsWith('.json'))
        .map(path => `${source.path} → ${path}`),
    )
    expect(missing).toEqual([])
  })

  test('every room has its place in the table', () => {
    expect(
      [...new Set(sources.map(source => roomOf(source.path)))].filter(room => !(room in allowed)),
    ).toEqual([])
  })

  test('go one way', () => {
    const wrong = sources.flatMap(source =>
      source.imports
        .filter(isLocal)
        .map(item => target(source, item))
        .filter(path => !mayImport(roomOf(source.path), path))
        .map(path => `${source.path} → ${path}`),
    )
    expect(wrong).toEqual([])
  })

  test('of another room go through its index, but for those that did not when the rule was made', () => {
    const found = new Set(
      sources.flatMap(source =>
        source.imports
          .filter(isLocal)
          .map(item => target(source, item))
          .filter(path => isDeep(roomOf(source.path), path))
          .map(path => `${roomOf(source.path)} → ${moduleOf(path)}`),
      ),
    )
    // One that is gone has to go from the list, too: it only ever gets shorter.
    expect([...found].sort()).toEqual(deepImports)
  })

  test('make no circle', () => {
    expect(circles()).toEqual([])
  })

  test('of ssh2 stay in its adapter', () => {
    expect(importersOf('ssh2').filter(path => roomOf(path) !== 'ssh')).toEqual([])
  })

  test('of a command bring no heavy package before it runs', () => {
    const slow = sources
      .filter(source => roomOf(source.path) === 'commands')
      .flatMap(source =>
        [...loadedWith(source)].filter(name => heavy.includes(name)).map(name => `${source.path} → ${name}`),
      )
    expect(slow).toEqual([])
  })
})

test('a file holds one concept: at most 450 lines', () => {
  expect(sources.filter(({lines}) => lines > 450).map(({path, lines}) => `${path}: ${lines}`)).toEqual([])
})

const importersOf = (name: string): string[] =>
  sources
    .filter(source => source.imports.some(item => packageOf(item.specifier) === name))
    .map(source => source.path)

/** Packages evaluated when the file is loaded, through all files of ours. */
function loadedWith(source: Source, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>()
  if (seen.has(source.path)) return packages
  seen.add(source.path)
  for (const item of source.imports.filter(({typeOnly, dynamic}) => !typeOnly && !dynamic)) {
    const next = isLocal(item) ? byPath.get(target(source, item)) : undefined
    if (next) for (const name of loadedWith(next, seen)) packages.add(name)
    else if (!isLocal(item)) packages.add(packageOf(item.specifier))
  }
  return packages
}

/** Each circle of imports (types included) as `a → b → a`, from its first file in path order. */
function circles(): string[] {
  const found = new Set<string>()
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path)
    if (at !== -1) {
      found.add([...trail.slice(at), path].join(' → '))
      return
    }
    const source = byPath.get(path)
    if (done.has(path) || !source) return
    for (const item of source.imports.filter(isLocal)) visit(target(source, item), [...trail, path])
    done.add(path)
  }
  for (const {path} of sources) visit(path, [])
  return [...found]
}
