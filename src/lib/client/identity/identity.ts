import type {KeyObject} from 'node:crypto'
import {agentSigner, connectAgent} from '../../agent/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
  type Signer,
  signerFromKey,
} from '../../sshcert/index.js'
import {formatProxyAddress, type ProxyAddress} from '../address.js'
import {webApi} from '../api/web-api.js'
import {clientHome} from '../home.js'
import {loginCommand, sshAddress} from '../login/login.js'
import {readIdentityFile} from './identity-file.js'
import {loadKey} from './key-store.js'
import {type Keychain, systemKeychain} from './keychain.js'
import {findProfile, type Profile} from './profile.js'

export interface IdentityOptions {
  /** As given by `--proxy`, parsed. */
  proxy?: ProxyAddress | undefined
  user?: string | undefined
  /** Path of an identity file, as `-i` names it, in place of a profile. */
  identity?: string | undefined
  insecure?: boolean
  /** SSH_AUTH_SOCK, for keys that only an agent holds. */
  agentSocket?: string | undefined
  home?: string
  keychain?: Keychain
  /** Unix ms. */
  now?: () => number
}

/** What acts as a user: who, through which proxy, with which key. */
export interface Identity {
  profile: Pick<Profile, 'proxy' | 'cluster' | 'user' | 'recording'>
  /** Signs with the plain key of the certificate. */
  signer: Signer
  certificate: Buffer
  /** Absent when only an ssh-agent has it. */
  privateKey?: KeyObject
  /** Plain public key blobs of the authorities that vouch for hosts. */
  hostAuthorities: Buffer[]
  /** Lets go of the agent, where one signs. Safe to call twice. */
  close(): void
}

/**
 * The identity to act with: of the identity file, or of the profile that fits.
 * @throws not_logged_in, certificate_expired; unavailable when neither key store nor agent give the key
 */
export const loadIdentity = (options: IdentityOptions): Promise<Identity> =>
  options.identity === undefined ? fromProfile(options) : fromFile(options.identity, options)

async function fromProfile(options: IdentityOptions): Promise<Identity> {
  const home = options.home ?? clientHome()
  const profile = await findProfile(home, {proxy: options.proxy, user: options.user})
  if (!profile) throw notLoggedIn(options)
  const certificate = parseAuthorizedKey(profile.certificate).blob
  checkExpiry(certificate, options.now, loginCommand(profile))
  const hostAuthorities = profile.hostAuthorities.map(line => parseAuthorizedKey(line).blob)
  const keys = await keysOf(profile, certificate, {...options, home})
  return {profile, certificate, hostAuthorities, ...keys}
}

type Keys = Pick<Identity, 'signer' | 'privateKey' | 'close'>

async function keysOf(
  profile: Profile,
  certificate: Buffer,
  {home, keychain = systemKeychain(), agentSocket}: IdentityOptions & {home: string},
): Promise<Keys> {
  if (profile.keyStore === 'agent') return agentKeys(profile, certificate, agentSocket)
  try {
    const privateKey = await loadKey(profile, {home, keychain})
    if (!publicKeyBlob(privateKey).equals(parseCertificate(certificate).publicKey))
      throw problem('not_logged_in', 'the stored key and certificate do not belong together')
    return {privateKey, signer: signerFromKey(privateKey), close: () => {}}
  } catch (error) {
    // The keychain may be locked; the agent that has served stock clients since the login serves us as well.
    const held = profile.keyStore === 'keychain' && agentSocket !== undefined
    if (held) return agentKeys(profile, certificate, agentSocket)
    const {code, message, hint} = asProblem(error)
    throw problem(code, message, {hint: hint ?? `log in again: ${loginCommand(profile)}`, cause: error})
  }
}

async function agentKeys(profile: Profile, certificate: Buffer, socket: string | undefined): Promise<Keys> {
  const hint = `log in again: ${loginCommand(profile)}`
  if (socket === undefined)
    throw problem('agent_required', `the key of ${profile.user} is in an ssh-agent, and none is running`, {
      hint,
    })
  const agent = await connectAgent(socket)
  try {
    const entry = (await agent.list()).find(({blob}) => blob.equals(certificate))
    if (!entry)
      throw problem('not_logged_in', `the ssh-agent no longer holds the key of ${profile.user}`, {hint})
    return {signer: agentSigner(agent, entry), close: () => agent.close()}
  } catch (error) {
    agent.close()
    throw error
  }
}

async function fromFile(path: string, options: IdentityOptions): Promise<Identity> {
  const {privateKey, certificate, hostAuthorities, cluster} = await readIdentityFile(path)
  checkExpiry(certificate, options.now, `sallyport login --out=${path}, or ask for a new one`)
  const address = options.proxy
  if (!address) throw problem('usage', 'an identity file does not name a proxy', {hint: 'add --proxy=HOST'})
  const target = {host: address.host, port: address.webPort, insecure: options.insecure ?? false}
  const ping = await webApi(target).ping()
  const ssh = sshAddress(ping, address)
  return {
    profile: {
      proxy: {host: address.host, webPort: address.webPort, sshHost: ssh.host, sshPort: ssh.port},
      ...{cluster, user: parseCertificate(certificate).keyId, recording: ping.recording},
    },
    ...{privateKey, certificate, hostAuthorities, signer: signerFromKey(privateKey), close: () => {}},
  }
}

function checkExpiry(certificate: Buffer, now: (() => number) | undefined, command: string): void {
  const {validBefore, keyId} = parseCertificate(certificate)
  if (Number(validBefore) * 1000 > (now ?? Date.now)()) return
  const when = new Date(Number(validBefore) * 1000).toISOString()
  throw problem('certificate_expired', `the certificate of ${keyId} expired at ${when}`, {
    hint: `log in again: ${command}`,
  })
}

function notLoggedIn({proxy, user}: IdentityOptions) {
  const at = proxy ? ` at ${formatProxyAddress(proxy)}` : ''
  const command = `sallyport login --proxy=${proxy ? formatProxyAddress(proxy) : 'HOST'} --user=${user ?? 'NAME'}`
  return problem('not_logged_in', `you are not logged in${at}${user ? ` as ${user}` : ''}`, {
    hint: `run: ${command}`,
  })
}
