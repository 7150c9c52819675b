import {randomBytes} from 'node:crypto'
import {access, link, rename, rm} from 'node:fs/promises'
import {dirname} from 'node:path'
import {errnoOf, ifMissing, syncDirectory, systemErrorWords, writeFileAtomic} from '../../durable/index.js'
import {problem} from '../../errors/index.js'

export interface CredentialFile {
  path: string
  data: string
  mode: number
}

/**
 * Writes files that belong together, a key and its certificate: all of them or none. Everything is on disk under
 * temporary names before the first gets its own; if a later one then fails, the earlier ones are taken back and
 * what they replaced is put back.
 * @throws already_exists unless `overwrite`; store_failed
 */
export async function writeCredentialFiles(
  files: readonly CredentialFile[],
  overwrite: boolean,
): Promise<void> {
  const suffix = `.${randomBytes(6).toString('hex')}`
  const staged = (path: string) => `${path}${suffix}.new`
  const kept = (path: string) => `${path}${suffix}.old`
  const placed: string[] = []
  let current = ''
  try {
    for (const {path, data, mode} of files) await writeFileAtomic(staged(path), data, {mode, exclusive: true})
    for (const {path} of files) {
      current = path
      if (overwrite) await keep(path, kept(path))
      // link(2) refuses a name that exists, rename(2) replaces it.
      await (overwrite ? rename : link)(staged(path), path)
      placed.push(path)
    }
  } catch (cause) {
    for (const path of placed.reverse()) await rename(kept(path), path).catch(() => rm(path, {force: true}))
    throw writeProblem(cause, current || (files[0]?.path ?? ''))
  } finally {
    for (const {path} of files) {
      await rm(staged(path), {force: true})
      await rm(kept(path), {force: true})
    }
  }
  for (const directory of new Set(files.map(({path}) => dirname(path)))) await syncDirectory(directory)
}

/**
 * Says early that a name is taken, before anything is issued for it; the writing itself stays the judge.
 * @throws already_exists
 */
export async function assertAbsent(paths: readonly string[], overwrite: boolean): Promise<void> {
  if (overwrite) return
  for (const path of paths) {
    const exists = await access(path).then(
      () => true,
      () => false,
    )
    if (exists) throw taken(path)
  }
}

async function keep(path: string, as: string): Promise<void> {
  await link(path, as).catch(ifMissing(undefined))
}

function writeProblem(cause: unknown, path: string) {
  if (errnoOf(cause) === 'EEXIST')
    return problem('already_exists', `${path} exists`, {
      hint: 'choose another name, or add --overwrite',
      cause,
    })
  return problem('store_failed', `cannot write ${path}: ${systemErrorWords(cause)}`, {
    hint: 'nothing was kept',
    cause,
  })
}

const taken = (path: string, cause?: unknown) =>
  problem('already_exists', `${path} exists`, {hint: 'choose another name, or add --overwrite', cause})
