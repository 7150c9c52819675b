import {problem} from '../../errors/index.js'
import type {AuthFlags} from '../api/auth-access.js'

/** The flags of `recordings verify` that say what is verified, and with what. */
export interface VerifyFlags extends AuthFlags {
  key?: string | undefined
  index?: string | undefined
  directory?: string | undefined
  checkpoint?: string | undefined
}

/**
 * What is verified: all of a store, in its files; the recording of one session, from the service that keeps it; the same in
 * the files of a copy; or one file by itself.
 */
export type VerifyTarget = 'store' | 'session' | 'copied session' | 'file'

/** Flags that change nothing, and why. */
const idle: Readonly<Record<VerifyTarget, {flags: readonly string[]; why: string}>> = {
  store: {flags: ['index'], why: 'all of a store is verified with its own indexes'},
  session: {
    flags: ['all', 'index', 'checkpoint'],
    why: 'a session is asked of the service that keeps it; name a copy of its files with --directory',
  },
  'copied session': {
    flags: ['all', 'index'],
    why: 'a session in a copy is verified with its index and the audit log there',
  },
  file: {
    flags: ['all', 'directory', 'checkpoint'],
    why: 'a file is verified by itself, with its index where there is one',
  },
}

/**
 * Refuses flags (by name, as they were given) that would change nothing: whoever gives one believes that something was
 * verified which was not. Throws `usage`.
 */
export function requireEffect(target: VerifyTarget, given: ReadonlySet<string>): void {
  const {flags, why} = idle[target]
  const wrong = flags.find(flag => given.has(flag))
  if (wrong !== undefined) throw problem('usage', `--${wrong} has no effect here: ${why}`)
  const unasked = given.has('key') ? unaskedWithKey(target, given).find(flag => given.has(flag)) : undefined
  if (unasked !== undefined)
    throw problem('usage', `--${unasked} has no effect here: with --key no service is asked`)
}

const userFlags = ['proxy', 'identity', 'insecure']

/** Flags that name a service, where the keys are all that would have been asked of one. */
function unaskedWithKey(target: VerifyTarget, given: ReadonlySet<string>): readonly string[] {
  if (target === 'session') return []
  const readsDataDir = target === 'store' && !given.has('directory')
  return readsDataDir ? userFlags : [...userFlags, 'config', 'data-dir']
}
