import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {rm} from 'node:fs/promises'
import {isIPv6} from 'node:net'
import {asProblem, problem} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../sshcert/index.js'
import {formatProxyAddress, type ProxyAddress, parseHostPort, reachable} from '../address.js'
import type {WebApi} from '../api/web-api.js'
import type {WebPing} from '../api/web-schemas.js'
import {type KeyStoreChoice, type KeyStoreContext, removeKey, storeKey} from '../identity/key-store.js'
import {findProfile, type Profile, prepareProfile, saveProfile} from '../identity/profile.js'
import {addToAgent, removeFromAgent} from './agent-keys.js'
import {verifyIssued} from './issued.js'
import {writeStockFiles} from './stock-files.js'

/** Clocks further apart than this make certificates fail in ways that nobody understands. */
const maxClockSkewMs = 60_000

/** `only`: the private key lives in the agent and nowhere else. */
export type AgentChoice = 'auto' | 'no' | 'yes' | 'only'

export interface Credentials {
  user: string
  /** Asked once the proxy has answered, so that nobody types a password to a proxy that is not there. */
  password: () => Promise<string>
  /** Asked only where the cluster wants a second factor. */
  otp: () => Promise<string>
  ttlSeconds?: number
}

/** A login that is verified and not stored anywhere yet. */
export interface Login {
  ping: WebPing
  user: string
  cluster: string
  privateKey: KeyObject
  certificate: Buffer
  /** authorized_keys line of the certificate. */
  certificateLine: string
  hostAuthorities: Buffer[]
  hostAuthorityLines: string[]
}

/**
 * Logs in with a fresh Ed25519 key and verifies what comes back.
 * @param now Unix ms
 * @throws bad_credentials, account_locked, otp_required, clock_skew, certificate_rejected, and what WebApi throws
 */
export async function logIn(api: WebApi, credentials: Credentials, now: () => number): Promise<Login> {
  const ping = await pingInTime(api, now)
  const {user, ttlSeconds} = credentials
  const password = await credentials.password()
  const otp = ping.secondFactor === 'otp' ? await credentials.otp() : undefined
  const {privateKey} = generateKeyPairSync('ed25519')
  const publicKey = publicKeyBlob(privateKey)
  const issued = await api.login({
    ...{user, password, publicKey: formatAuthorizedKey(publicKey)},
    ...(otp === undefined ? {} : {otp}),
    ...(ttlSeconds === undefined ? {} : {ttlSeconds}),
  })
  const {blob, hostAuthorities} = verifyIssued(issued, {user, publicKey}, now())
  return {
    ...{ping, user: issued.user, cluster: issued.clusterName, privateKey, certificate: blob, hostAuthorities},
    certificateLine: formatAuthorizedKey(blob, issued.user),
    hostAuthorityLines: hostAuthorities.map(authority => formatAuthorizedKey(authority)),
  }
}

async function pingInTime(api: WebApi, now: () => number): Promise<WebPing> {
  const before = now()
  const ping = await api.ping()
  // The answer was written somewhere between question and receipt: only what lies outside of both is skew.
  const skew = Math.max(before - ping.time, ping.time - now(), 0)
  if (skew <= maxClockSkewMs) return ping
  const direction = ping.time > before ? 'behind' : 'ahead of'
  throw problem('clock_skew', `the clock here is ${Math.round(skew / 1000)} s ${direction} the proxy's`, {
    hint: 'set the clock right (for instance with NTP) and log in again',
  })
}

export interface KeepOptions extends KeyStoreContext {
  address: ProxyAddress
  keyStore: KeyStoreChoice
  agent: AgentChoice
  /** SSH_AUTH_SOCK; undefined where there is none or it is not to be used. */
  agentSocket: string | undefined
  now: () => number
}

/**
 * Stores a login: key into agent and key store, files for stock clients, profile, in this order; the profile is
 * current only when all the rest is there.
 * @throws agent_required for `yes` and `only` without a fitting agent; unavailable for a keychain asked for by name
 */
export async function keepLogin(login: Login, options: KeepOptions): Promise<Profile> {
  const {home, address, agentSocket} = options
  const ssh = sshAddress(login.ping, address)
  const unplaced: Omit<Profile, 'keyStore'> = {
    ...{version: 1, cluster: login.cluster, user: login.user, certificate: login.certificateLine},
    proxy: {host: address.host, webPort: address.webPort, sshHost: ssh.host, sshPort: ssh.port},
    hostAuthorities: login.hostAuthorityLines,
    recording: login.ping.recording,
  }
  const older = await olderProfile(options, login.user)
  const paths = await prepareProfile(home, unplaced)
  const inAgent = await offerToAgent(login, options)
  try {
    const profile: Profile = {...unplaced, keyStore: await placeKey(login, unplaced, inAgent, options)}
    if (profile.keyStore !== 'file') await rm(paths.privateKey, {force: true})
    if (older?.keyStore === 'keychain' && profile.keyStore !== 'keychain') await removeKey(older, options)
    await writeStockFiles(home, profile)
    await saveProfile(home, profile)
    return profile
  } catch (error) {
    if (inAgent && agentSocket !== undefined) await removeFromAgent(agentSocket, login.cluster, login.user)
    throw error
  }
}

/** Where SSH listens: as `--proxy` says, as the proxy announces, or where it listens. */
export function sshAddress(ping: WebPing, address: ProxyAddress): Address {
  if (address.sshPort !== undefined) return {host: address.host, port: address.sshPort}
  const {listen_addr: listens, public_addr: announced} = ping.proxy.ssh
  const listening = parseHostPort(listens)
  if (announced === undefined) return reachable(listening, address.host)
  const alone = announced.replace(/^\[(.*)\]$/, '$1')
  const withoutPort = isIPv6(alone) || !/:\d+$/.test(announced)
  return withoutPort ? {host: alone, port: listening.port} : parseHostPort(announced)
}

/** A damaged profile does not keep its owner from logging in again: that is how it is mended. */
async function olderProfile(
  {home, address, notice}: KeepOptions,
  user: string,
): Promise<Profile | undefined> {
  try {
    return await findProfile(home, {proxy: address, user})
  } catch (error) {
    notice(`${asProblem(error).message}, and is replaced`)
    return undefined
  }
}

async function offerToAgent(login: Login, {agent, agentSocket, now, notice}: KeepOptions): Promise<boolean> {
  if (agent === 'no') return false
  const required = agent === 'yes' || agent === 'only'
  if (agentSocket === undefined) {
    if (!required) return false
    throw problem('agent_required', 'no ssh-agent is running', {hint: 'start one with: eval "$(ssh-agent)"'})
  }
  try {
    await addToAgent(agentSocket, login, now())
    return true
  } catch (error) {
    if (required) throw error
    const {message, hint} = asProblem(error)
    notice(hint === undefined ? message : `${message}; ${hint}`)
    return false
  }
}

async function placeKey(
  login: Login,
  owner: Omit<Profile, 'keyStore'>,
  inAgent: boolean,
  options: KeepOptions,
): Promise<Profile['keyStore']> {
  if (options.agent === 'only') return 'agent'
  return storeKey(login.privateKey, owner, options.keyStore, inAgent, options)
}

/** The command that renews a login. */
export const loginCommand = ({proxy, user}: Pick<Profile, 'proxy' | 'user'>): string =>
  `sallyport login --proxy=${formatProxyAddress(proxy)} --user=${user}`
