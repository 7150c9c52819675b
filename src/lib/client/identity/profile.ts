import {readdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {z} from 'zod'
import {ensurePrivateDirectory, isMissing, writeFileAtomic} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {formatProxyAddress, type ProxyAddress} from '../address.js'
import {nameSchema} from '../api/web-schemas.js'
import {readOwnFile} from './private-file.js'

/*
 * <home>/current                      name of the profile in use
 * <home>/profiles/<name>/profile.json the record below
 * <home>/profiles/<name>/key          private key, where the key store is `file`
 * <home>/profiles/<name>/key.pub, key-cert.pub, known_hosts   for stock OpenSSH clients
 */

const port = z.number().int().min(1).max(65_535)
const line = z.string().min(1).max(100_000)

const profileSchema = z.strictObject({
  version: z.literal(1),
  proxy: z.strictObject({host: nameSchema, webPort: port, sshHost: nameSchema, sshPort: port}),
  cluster: nameSchema,
  user: nameSchema,
  /** authorized_keys lines of the host authorities in force at login. */
  hostAuthorities: z.array(line).min(1).max(64),
  /** `…-cert-v01@openssh.com AAAA… comment` */
  certificate: line,
  /** Where the private key is; `agent`: in the ssh-agent alone. */
  keyStore: z.enum(['file', 'keychain', 'agent']),
  /** Where the cluster records sessions, as it said at login. */
  recording: z.enum(['node', 'proxy', 'off', 'node-sync', 'proxy-sync']),
})

/** A login that was kept: one for each proxy and user. */
export type Profile = z.output<typeof profileSchema>

/** Which profile is meant; what is absent does not matter. */
export interface ProfileSelector {
  proxy?: ProxyAddress | undefined
  user?: string | undefined
}

export interface ProfilePaths {
  directory: string
  profile: string
  privateKey: string
  publicKey: string
  certificate: string
  knownHosts: string
}

type ProfileName = Pick<Profile, 'user'> & {proxy: Pick<Profile['proxy'], 'host' | 'webPort'>}

/** One directory name for a proxy and user; characters with a meaning in paths or ssh_config become `+hex`. */
export function profileName({proxy, user}: ProfileName): string {
  const encode = (text: string) =>
    Array.from(Buffer.from(text), byte => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9.-]/.test(character) ? character : `+${byte.toString(16).padStart(2, '0')}`
    }).join('')
  return `${encode(proxy.host)}_${proxy.webPort}_${encode(user)}`
}

export function profilePaths(home: string, profile: ProfileName): ProfilePaths {
  const directory = join(home, 'profiles', profileName(profile))
  return {
    directory,
    profile: join(directory, 'profile.json'),
    privateKey: join(directory, 'key'),
    publicKey: join(directory, 'key.pub'),
    certificate: join(directory, 'key-cert.pub'),
    knownHosts: join(directory, 'known_hosts'),
  }
}

/** Keeps a profile and makes it the current one. The profile is complete before anything points to it. */
export async function saveProfile(home: string, profile: Profile): Promise<void> {
  const paths = await prepareProfile(home, profile)
  await writeFileAtomic(paths.profile, `${JSON.stringify(profileSchema.parse(profile), null, 2)}\n`)
  await writeFileAtomic(join(home, 'current'), `${profileName(profile)}\n`)
}

/** Makes the directories of a profile, 0700, for whoever writes into them before the profile itself. */
export async function prepareProfile(home: string, profile: ProfileName): Promise<ProfilePaths> {
  const paths = profilePaths(home, profile)
  for (const directory of [home, join(home, 'profiles'), paths.directory])
    await ensurePrivateDirectory(directory)
  return paths
}

/** Every profile, in no order that means anything. A damaged one throws `invalid_input`. */
export async function listProfiles(home: string): Promise<Profile[]> {
  const names = await readdir(join(home, 'profiles')).catch((cause: Error) => {
    if (isMissing(cause)) return []
    throw problem('invalid_input', `cannot read the profiles in ${home}: ${cause.message}`, {cause})
  })
  const profiles = await Promise.all(names.sort().map(async entry => readProfile(home, entry)))
  return profiles.filter(profile => profile !== undefined)
}

/** The current profile's name; undefined when nobody is logged in. */
const currentName = async (home: string): Promise<string | undefined> =>
  (await readOwnFile(join(home, 'current')))?.trim() || undefined

/**
 * The profile that the selector means: the current one where it fits, else the only one that fits.
 * @throws usage when several fit
 */
export async function findProfile(
  home: string,
  selector: ProfileSelector = {},
): Promise<Profile | undefined> {
  const current = await currentProfile(home)
  if (current && fits(current, selector)) return current
  if (!selector.proxy && !selector.user) return undefined
  const candidates = (await listProfiles(home)).filter(profile => fits(profile, selector))
  if (candidates.length <= 1) return candidates[0]
  const choices = candidates.map(({proxy, user}) => `--proxy=${formatProxyAddress(proxy)} --user=${user}`)
  throw problem('usage', 'several logins fit', {hint: `say which: ${choices.join(' | ')}`})
}

async function currentProfile(home: string): Promise<Profile | undefined> {
  const name = await currentName(home)
  // The pointer is a file name: anything else in it would lead out of the directory.
  if (name === undefined || !/^[A-Za-z0-9.+_-]+$/.test(name) || name.startsWith('.')) return undefined
  return readProfile(home, name)
}

const fits = (profile: Profile, {proxy, user}: ProfileSelector): boolean =>
  (!proxy || (proxy.host === profile.proxy.host && proxy.webPort === profile.proxy.webPort)) &&
  (!user || user === profile.user)

/** Forgets a profile with every file of it; the pointer goes first, so that nothing points to half a profile. */
export async function removeProfile(home: string, profile: Profile): Promise<void> {
  if ((await currentName(home)) === profileName(profile)) await rm(join(home, 'current'), {force: true})
  await rm(profilePaths(home, profile).directory, {recursive: true, force: true})
}

async function readProfile(home: string, name: string): Promise<Profile | undefined> {
  const path = join(home, 'profiles', name, 'profile.json')
  const text = await readOwnFile(path)
  if (text === undefined) return undefined
  const damaged = (cause: unknown) =>
    problem('invalid_input', `the profile ${path} is damaged`, {hint: 'log in again: sallyport login', cause})
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw damaged(cause)
  }
  const parsed = profileSchema.safeParse(value)
  if (!parsed.success) throw damaged(parsed.error)
  if (profileName(parsed.data) !== name) throw damaged('the profile is of another proxy or user')
  return parsed.data
}
