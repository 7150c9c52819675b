#!/usr/bin/env -S node --import tsx
// Runs the CLI from src/. TypeScript 7 has no JS API, so oclif cannot map dist/ to src/ by itself; and it does not
// pass `ignoreManifest` to the root plugin, so the plugin is made here.
import {readFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {main} from '../src/lib/cli/main.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

async function load() {
  const {Plugin, settings} = await import('@oclif/core')
  const pjson = JSON.parse(readFileSync(`${root}package.json`, 'utf8').replaceAll('./dist/', './src/'))
  settings.enableAutoTranspile = false
  const plugin = new Plugin({root, pjson, isRoot: true, type: 'core', ignoreManifest: true})
  await plugin.load()
  return {root, pjson, plugins: new Map([[plugin.name, plugin]])}
}

await main(process.argv.slice(2), {root, load})
