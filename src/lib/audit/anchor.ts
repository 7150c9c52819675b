import {type KeyObject, verify} from 'node:crypto'
import {open} from 'node:fs/promises'
import {join} from 'node:path'
import {z} from 'zod'
import {ifMissing, writeFileAtomic} from '../durable/index.js'
import {problem} from '../errors/index.js'
import type {ChainHead} from './head.js'

// What is kept of the beginning of the log when that was pruned: where the chain goes on from. docs/audit-log.md

/** The end of what was pruned. */
export interface Anchor extends ChainHead {
  cluster: string
  /** When it was pruned, ISO 8601, UTC. */
  time: string
  /** Base64, by the recording authority of the cluster, over `anchorMessage`. */
  signature: string
}

const FILE = 'pruned.json'
const FORMAT = 'sallyport-audit-anchor'
const MOST_BYTES = 16 * 1024

const schema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  cluster: z.string().max(256),
  sequence: z.number().int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  time: z.iso.datetime(),
  signature: z.string().max(4096),
})

/** What is signed: `sallyport-audit-anchor-v1 LF cluster LF sequence LF hash LF time LF`. A checkpoint has another first line. */
const anchorMessage = ({cluster, sequence, hash, time}: Omit<Anchor, 'signature'>): Buffer =>
  Buffer.from(`${FORMAT}-v1\n${cluster}\n${sequence}\n${hash}\n${time}\n`)

export async function writeAnchor(
  directory: string,
  facts: Omit<Anchor, 'signature'>,
  sign: (message: Buffer) => string,
): Promise<void> {
  const anchor = {format: FORMAT, version: 1, ...facts, signature: sign(anchorMessage(facts))}
  await writeFileAtomic(join(directory, FILE), `${JSON.stringify(anchor)}\n`)
}

/** The anchor of a log, undefined where nothing was pruned. Throws `audit_corrupt` for one that cannot be read. */
export async function readAnchor(directory: string): Promise<Anchor | undefined> {
  const handle = await open(join(directory, FILE)).catch(ifMissing(undefined))
  if (!handle) return undefined
  try {
    if ((await handle.stat()).size > MOST_BYTES) throw new Error('it is too long')
    const {
      format: _format,
      version: _version,
      ...anchor
    } = schema.parse(JSON.parse(await handle.readFile('utf8')))
    return anchor
  } catch (cause) {
    throw problem('audit_corrupt', 'the note of what was pruned from the audit log cannot be read', {cause})
  } finally {
    await handle.close()
  }
}

/** Whether one of the keys signed the anchor. */
export function verifyAnchor(anchor: Anchor, keys: readonly KeyObject[]): boolean {
  const signature = Buffer.from(anchor.signature, 'base64')
  return keys.some(key => verify(null, anchorMessage(anchor), key, signature))
}
