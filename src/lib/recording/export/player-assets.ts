import {readFile} from 'node:fs/promises'
import {createRequire} from 'node:module'
import {assetUrl} from '../../children/index.js'
import {isMissing} from '../../durable/index.js'

/** The web player that is put into exported pages: asciinema-player, Apache-2.0. */
export interface PlayerAssets {
  script: string
  style: string
}

const PACKAGE = 'asciinema-player/dist/bundle/'

/** The player's files: copied into the build, of the development dependency where nothing was built. */
export async function readPlayerAssets(): Promise<PlayerAssets> {
  const [script, style] = await Promise.all([
    readAsset('asciinema-player.min.js'),
    readAsset('asciinema-player.css'),
  ])
  return {script, style}
}

async function readAsset(name: string): Promise<string> {
  try {
    return await readFile(assetUrl(`asciinema-player/${name}`), 'utf8')
  } catch (error) {
    if (!isMissing(error)) throw error
    return await readFile(createRequire(import.meta.url).resolve(PACKAGE + name), 'utf8')
  }
}
