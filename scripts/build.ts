// dist/ from src/, and the manifest that lets oclif find a command without loading all of them.
import {chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {Plugin} from '@oclif/core'
import {build} from 'esbuild'
import {licenceNotices} from './notices.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Modules that something finds by their path: oclif, and those who start them as processes (`programPath`). */
const entries = [
  'lib/cli/main',
  'lib/cli/help',
  'lib/client/identity/keychain-process',
  'lib/recording/screen/screen-process',
  'lib/recording/search/search-process',
  // For the benchmark of searching.
  'lib/recording/index',
]

/**
 * The modules that a command loads become a few files: to find and compile hundreds takes most of the time in which a
 * command starts. What is large and seldom wanted stays in its package.
 */
async function compile(): Promise<void> {
  rmSync(`${root}dist`, {recursive: true, force: true})
  const commands = readdirSync(`${root}src/commands`, {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.ts'))
    .map(name => `commands/${name.slice(0, -'.ts'.length)}`)
  const {metafile} = await build({
    absWorkingDir: root,
    entryPoints: [...entries, ...commands].map(name => `src/${name}.ts`),
    ...{outdir: 'dist', outbase: 'src', chunkNames: 'chunks/[name]-[hash]'},
    ...{bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20.19'},
    // oclif is CommonJS.
    banner: {
      js: "import {createRequire as makeRequire} from 'node:module'; const require = makeRequire(import.meta.url)",
    },
    // oclif looks for it where commands are TypeScript; ours are not.
    external: [...externalPackages(), 'typescript'],
    metafile: true,
    logLevel: 'warning',
  })
  writeFileSync(`${root}dist/NOTICES.txt`, licenceNotices(root, Object.keys(metafile.inputs)))
  for (const name of readdirSync(`${root}bin`)) chmodSync(`${root}bin/${name}`, 0o755)
}

/** Loaded by every command, or by nearly every one. */
const inlined = ['zod', '@oclif/core']

function externalPackages(): string[] {
  const {dependencies} = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.keys(dependencies)
    .filter(name => !inlined.includes(name))
    .flatMap(name => [name, `${name}/*`])
}

/** The player of exported pages, with its licence. */
function copyPlayer(): void {
  const from = `${root}node_modules/asciinema-player/`
  const to = `${root}dist/assets/asciinema-player/`
  for (const name of ['asciinema-player.min.js', 'asciinema-player.css'])
    cpSync(`${from}dist/bundle/${name}`, to + name)
  cpSync(`${from}LICENSE`, `${to}LICENSE`)
}

/** The manifest of the compiled commands. Throws when one of them cannot be loaded. */
async function manifest(): Promise<string> {
  const plugin = new Plugin({
    root,
    type: 'core',
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  })
  await plugin.load()
  // Files are found in the order of the file system, which differs from one checkout to the next.
  const sorted = Object.entries(plugin.manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1))
  const manifest = {...plugin.manifest, commands: Object.fromEntries(sorted)}
  return `${JSON.stringify(manifest, undefined, 2)}\n`
}

await compile()
copyPlayer()
writeFileSync(`${root}oclif.manifest.json`, await manifest())
