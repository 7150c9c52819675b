import {generateKeyPairSync, type KeyObject, sign} from 'node:crypto'
import {type Enrolment, type EnrolRequest, enrolmentBytes} from '../../auth/join/enrol-types.js'
import {isMissing, readSmallFile} from '../../durable/index.js'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import {
  checkCertificate,
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parseCertificate,
  parsePrivateKey,
  publicKeyBlob,
} from '../../sshcert/index.js'
import {type PlainFile, readIfThere, replaceFiles} from './files.js'
import {proveHost} from './prove.js'
import {dropInText, type EnrolPaths, enrolPaths, type SshdSettings} from './sshd-config.js'
import {controlSshd, type SshdControl} from './sshd-process.js'

export interface EnrolHostOptions {
  /** Absolute path of sshd's configuration. */
  config: string
  token?: string | undefined
  hostname: string
  names: readonly string[]
  address?: string | undefined
  labels: Record<string, string>
  /** Ask the auth service. */
  enrol(request: EnrolRequest): Promise<Enrolment>
  /** Unix ms. */
  now: () => number
}

/** What enrolling would do, and does. */
export interface EnrolPlan {
  request: EnrolRequest
  paths: EnrolPaths
  dropIn: string
}

interface Prepared extends EnrolPlan {
  control: SshdControl
  settings: SshdSettings
  key: HostKey
}

interface HostKey {
  path: string
  privateKey: KeyObject
}

/** What would be done: nothing is asked, nothing is written. @throws config_invalid, access_denied, not_found */
export async function planEnrolment(options: EnrolHostOptions): Promise<EnrolPlan> {
  const {request, paths, dropIn} = await prepare(options)
  return {request, paths, dropIn}
}

/**
 * Enrols the sshd of this machine: has a key certified, gives sshd the files, has it read them, and shakes hands with it.
 * Where sshd does not accept them, or does not show the certificate afterwards, everything is put back.
 * @throws config_invalid, access_denied, host_key_refused, and what the auth service answers
 */
export async function enrolHost(
  options: EnrolHostOptions,
): Promise<{enrolment: Enrolment; paths: EnrolPaths}> {
  const prepared = await prepare(options)
  const {control, paths, request, settings} = prepared
  const enrolment = await options.enrol(request)
  const certificate = verified(enrolment, prepared, options.now())
  const restore = await replaceFiles(await filesOf(enrolment, prepared))
  let reloaded = false
  try {
    await control.check()
    const [own] = (await control.settings()).trustedUserCaKeys
    if (own !== paths.userCa) throw overruled(own)
    reloaded = true
    await control.reload()
    await proveHost(settings, certificate)
    return {enrolment, paths}
  } catch (error) {
    await restore()
    if (reloaded) await control.reload()
    throw takenBack(asProblem(error), enrolment)
  }
}

async function prepare(options: EnrolHostOptions): Promise<Prepared> {
  const {config, token, hostname, names, address, labels} = options
  const text = await readSmallFile(config).catch((cause: unknown) => {
    const why = isMissing(cause) ? 'does not exist' : 'cannot be read by this user'
    throw problem('config_invalid', `${config} ${why}`, {hint: 'name it with --sshd-config', cause})
  })
  const paths = enrolPaths(config, text)
  const control = await controlSshd(config)
  const settings = await control.settings()
  const key = await hostKey(settings, paths)
  const {privateKey} = key
  const id = await knownId(paths.state)
  const [port] = settings.ports
  const unsigned: Omit<EnrolRequest, 'signature'> = {
    ...{publicKey: formatAuthorizedKey(publicKeyBlob(privateKey)), hostname, names: [...names], labels},
    ...(token !== undefined && {token}),
    ...(address === undefined ? {port: port ?? 22} : {address}),
    ...(id !== undefined && {id}),
  }
  const signature = sign(null, enrolmentBytes(unsigned), privateKey).toString('base64')
  const dropIn = dropInText(paths, settings, key.path)
  return {...{control, settings, key, paths, dropIn}, request: {...unsigned, signature}}
}

/**
 * The Ed25519 key that sshd has, or a new one. A certificate over another key than the host is known by would look to
 * stock clients as if the host had changed: they ask for the certificate, and then compare its key with what they know.
 */
async function hostKey(settings: SshdSettings, paths: EnrolPaths): Promise<HostKey> {
  for (const path of [...settings.hostKeys, paths.hostKey]) {
    const text = await readIfThere(path)
    const privateKey = text === undefined ? undefined : ed25519(text)
    if (privateKey) return {path, privateKey}
  }
  return {path: paths.hostKey, privateKey: generateKeyPairSync('ed25519').privateKey}
}

function ed25519(text: string): KeyObject | undefined {
  try {
    const key = parsePrivateKey(text)
    return key.asymmetricKeyType === 'ed25519' ? key : undefined
  } catch {
    // Of another type, or in another form: it goes on being served as it is.
    return undefined
  }
}

async function knownId(path: string): Promise<string | undefined> {
  const kept = await readIfThere(path)
  if (kept === undefined) return undefined
  try {
    const {id} = JSON.parse(kept) as {id?: unknown}
    if (typeof id === 'string') return id
  } catch {
    // What is no JSON has no UUID: the error below says so.
  }
  throw problem('config_invalid', `${path} holds no UUID`, {hint: 'remove it to enrol as a new host'})
}

/** The certificate, when it is what was asked for. @throws certificate_rejected */
function verified(
  {certificate: line, hostname, hostAuthorities}: Enrolment,
  {key}: Prepared,
  now: number,
): Buffer {
  const {blob} = parseAuthorizedKey(line)
  const certificate = parseCertificate(blob)
  const authorities = hostAuthorities.map(one => parseAuthorizedKey(one).blob)
  checkCertificate(certificate, {kind: 'host', authorities, principal: hostname, now})
  if (certificate.publicKey.equals(publicKeyBlob(key.privateKey))) return blob
  throw problem('certificate_rejected', 'the certificate that came back is for another key')
}

async function filesOf(enrolment: Enrolment, {paths, settings, key, dropIn}: Prepared): Promise<PlainFile[]> {
  const {id, certificate, userAuthorities, clusterName, hostname} = enrolment
  const ours = userAuthorities.map(line =>
    formatAuthorizedKey(parseAuthorizedKey(line).blob, `user CA of ${clusterName}`),
  )
  // sshd believes one file alone: who was let in before still is.
  const others = settings.trustedUserCaKeys.filter(path => path !== paths.userCa)
  const kept = await Promise.all(others.map(async path => (await readIfThere(path)) ?? ''))
  const trusted = [...kept.flatMap(text => text.split('\n')).filter(line => line.trim() !== ''), ...ours]
  return [
    ...(key.path === paths.hostKey
      ? [{path: key.path, data: formatPrivateKey(key.privateKey, hostname), mode: 0o600}]
      : []),
    {path: paths.certificate, data: `${certificate}\n`, mode: 0o644},
    {path: paths.userCa, data: `${trusted.join('\n')}\n`, mode: 0o644},
    {path: paths.dropIn, data: dropIn, mode: 0o600},
    {path: paths.state, data: `${JSON.stringify({id, clusterName})}\n`, mode: 0o600},
  ]
}

const overruled = (path: string | undefined): SallyportError =>
  problem('config_invalid', `sshd would trust ${path ?? 'no file'} and not ours`, {
    hint: 'another file sets TrustedUserCAKeys first: take that line out, its keys are kept',
  })

const takenBack = ({code, message, hint, cause}: SallyportError, {id}: Enrolment): SallyportError =>
  problem(code, `${message}; sshd has its old configuration again`, {
    hint: `${hint === undefined ? '' : `${hint}; `}the host is in the inventory: try again, or \`sallyport rm node/${id}\``,
    ...(cause !== undefined && {cause}),
  })
