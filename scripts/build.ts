// dist/ from src/, and the manifest that lets oclif find a command without loading all of them.
import {spawnSync} from 'node:child_process'
import {chmodSync, cpSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {Plugin} from '@oclif/core'

const root = fileURLToPath(new URL('..', import.meta.url))

function compile(): boolean {
  rmSync(`${root}dist`, {recursive: true, force: true})
  const tsc = `${root}node_modules/typescript/bin/tsc`
  const {status} = spawnSync(process.execPath, [tsc, '-p', `${root}tsconfig.json`], {stdio: 'inherit'})
  for (const name of readdirSync(`${root}bin`)) chmodSync(`${root}bin/${name}`, 0o755)
  return status === 0
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

const compiled = compile()
copyPlayer()
writeFileSync(`${root}oclif.manifest.json`, await manifest())
if (!compiled) process.exit(1)
