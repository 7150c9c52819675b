import {fileURLToPath} from 'node:url'

/** `…/src/` or `…/dist/`, and which of them this is. Compiled modules are in other places than their sources. */
const [, root = '', kind] = /^(.*\/(src|dist)\/)(?:lib|commands|chunks)\//.exec(import.meta.url) ?? []

/** Where the files are that come along with the code; they are copied there by the build alone. */
export const assetUrl = (name: string): URL => new URL(`assets/${name}`, root)

/**
 * Path of a module that is run as a process of its own.
 * @param name below `lib`, without an extension; the build must know it as a program
 */
export const programPath = (name: string): string =>
  fileURLToPath(`${root}lib/${name}.${kind === 'src' ? 'ts' : 'js'}`)
