// The licences of what is bundled: most of them ask to go along with every copy.
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

/**
 * @param inputs paths of modules, relative to `root`
 * @returns a text with name, version and licence of each package among them
 * @throws when a package says nothing about its licence
 */
export function licenceNotices(root: string, inputs: readonly string[]): string {
  const packages = new Set(
    inputs.flatMap(path => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  )
  return [...packages]
    .sort()
    .map(directory => notice(join(root, directory)))
    .join(`\n${'-'.repeat(80)}\n\n`)
}

function notice(directory: string): string {
  const {name, version, license} = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
  }
  const file = readdirSync(directory).find(entry => /^licen[cs]e/i.test(entry))
  if (file === undefined && license === undefined) throw new Error(`${name} has no licence`)
  const text = file === undefined ? `Licence: ${license}\n` : readFileSync(join(directory, file), 'utf8')
  return `${name} ${version}\n\n${text}`
}
