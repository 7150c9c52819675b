import {createHmac, createPrivateKey, hkdfSync, timingSafeEqual} from 'node:crypto'

// What a machine keeps of its cluster is of that cluster and that machine alone: three lines, the facts, the payload (JSON)
// and HMAC-SHA-256 of both under a key that is derived from the private key of the machine.

/** Whose a kept file is. */
export interface Owner {
  /** What the file holds. */
  kind: 'cluster' | 'host-keys'
  role: 'proxy' | 'node'
  clusterName: string
  /** UUID of the machine. */
  hostId: string
  /** Private key of the machine, PKCS#8 PEM. */
  key: string
}

export type Opened = {ok: true; payload: string} | {ok: false; reason: string}

const version = 1

const factsOf = ({kind, role, clusterName, hostId}: Owner): string =>
  JSON.stringify({version, kind, role, clusterName, hostId})

function macOf({key}: Owner, text: string): Buffer {
  const secret = createPrivateKey(key).export({type: 'pkcs8', format: 'der'})
  const derived = Buffer.from(hkdfSync('sha256', secret, '', 'sallyport-kept-1', 32))
  return createHmac('sha256', derived).update(text).digest()
}

/** The text of a file with this payload, which is one line. */
export function seal(owner: Owner, payload: string): string {
  const text = `${factsOf(owner)}\n${payload}\n`
  return `${text}${macOf(owner, text).toString('hex')}\n`
}

/** The payload, or why the file is not what this machine wrote as a part of this cluster. Pure. */
export function unseal(owner: Owner, file: string): Opened {
  const [facts = '', payload = '', mac = '', ...rest] = file.split('\n')
  const text = `${facts}\n${payload}\n`
  const isWhole = rest.length === 1 && rest[0] === '' && /^[0-9a-f]{64}$/.test(mac)
  if (isWhole && facts === factsOf(owner) && timingSafeEqual(macOf(owner, text), Buffer.from(mac, 'hex')))
    return {ok: true, payload}
  return {ok: false, reason: strangeness(owner, facts) ?? 'it is damaged'}
}

/** Whose else the file says that it is. */
function strangeness(owner: Owner, text: string): string | undefined {
  let facts: Record<string, unknown>
  try {
    facts = Object(JSON.parse(text))
  } catch {
    // No facts: damage, which is what the caller says of all that is nobody else's.
    return undefined
  }
  if (typeof facts.version === 'number' && facts.version !== version)
    return 'it was written by another version of sallyport'
  if (typeof facts.clusterName === 'string' && facts.clusterName !== owner.clusterName)
    return 'it is of another cluster'
  if (typeof facts.hostId === 'string' && facts.hostId !== owner.hostId) return 'it is of another machine'
  return undefined
}
