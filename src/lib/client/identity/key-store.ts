import type {KeyObject} from 'node:crypto'
import {rm} from 'node:fs/promises'
import {writeFileAtomic} from '../../durable/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {formatPrivateKey, parsePrivateKey} from '../../sshcert/index.js'
import type {Keychain} from './keychain.js'
import {readOwnFile} from './private-file.js'
import {type Profile, profilePaths} from './profile.js'

/** Where a user wants private keys kept. `auto` is the keychain where it works and stock clients find an agent. */
export type KeyStoreChoice = 'auto' | 'keychain' | 'file'

type Owner = Pick<Profile, 'user' | 'proxy'>

export interface KeyStoreContext {
  home: string
  keychain: Keychain
  /** Takes one line for the person at the terminal. */
  notice(line: string): void
}

/** The keychain's name for a profile's key: its directory, so that two homes do not share one. */
const account = (home: string, owner: Owner): string => profilePaths(home, owner).directory

/**
 * Keeps a private key and says where it went.
 * @param agentServes an ssh-agent holds the key for stock clients, which cannot read the keychain
 * @throws unavailable when the keychain was asked for by name and does not work
 */
export async function storeKey(
  key: KeyObject,
  owner: Owner,
  choice: KeyStoreChoice,
  agentServes: boolean,
  {home, keychain, notice}: KeyStoreContext,
): Promise<'file' | 'keychain'> {
  const pem = formatPrivateKey(key, `sallyport:${owner.user}`)
  const path = profilePaths(home, owner).privateKey
  const useFile = async (reason?: string): Promise<'file'> => {
    await writeFileAtomic(path, pem, {mode: 0o600})
    if (reason !== undefined) notice(`the private key is kept in ${path}: ${reason}`)
    return 'file'
  }
  if (choice === 'file') return useFile()
  if (choice === 'auto' && !agentServes) return useFile('no ssh-agent holds it for stock ssh clients')
  try {
    await keychain.set(account(home, owner), pem)
  } catch (error) {
    if (choice === 'auto') return useFile(asProblem(error).message)
    const {message} = asProblem(error)
    throw problem('unavailable', message, {hint: 'use --key-store=file', cause: error})
  }
  await rm(path, {force: true})
  return 'keychain'
}

/** The private key of a profile. @throws unavailable, not_logged_in when the key is gone, invalid_input */
export async function loadKey(
  profile: Profile,
  {home, keychain}: Omit<KeyStoreContext, 'notice'>,
): Promise<KeyObject> {
  const pem =
    profile.keyStore === 'keychain'
      ? await keychain.get(account(home, profile))
      : await readOwnFile(profilePaths(home, profile).privateKey, {secret: true})
  if (pem === undefined) throw problem('not_logged_in', `the private key of ${profile.user} is gone`)
  return parsePrivateKey(pem)
}

/** Takes a profile's key out of the keychain; a key in a file goes with the profile's directory. */
export async function removeKey(profile: Profile, {home, keychain, notice}: KeyStoreContext): Promise<void> {
  if (profile.keyStore !== 'keychain') return
  try {
    await keychain.delete(account(home, profile))
  } catch (error) {
    notice(`the private key of ${profile.user} is still in the keychain: ${asProblem(error).message}`)
  }
}
