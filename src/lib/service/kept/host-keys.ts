import {z} from 'zod'
import {fromWire, toWire} from '../../auth/index.js'
import type {HostKeyStore, HostKeys} from '../../ssh/index.js'
import {createKeeper, type KeeperOptions} from './keeper.js'
import {readKept} from './read.js'
import {type Owner, seal} from './seal.js'

/** The host key of a role, and the certificates that it has over it, on disk. */
export interface KeptHostKeys extends Pick<HostKeyStore, 'keep'> {
  /** Undefined where there are none that can be used. */
  load(): Promise<HostKeys | undefined>
  close(): Promise<void>
}

/** Of a thousand hosts and as many names, each certificate of a kilobyte. */
const maxBytes = 16 * 1024 * 1024
/** Each name that a user asks for first gives the proxy one more. */
const pauseMilliseconds = 1000

export function keepHostKeys({owner, ...options}: KeeperOptions & {owner: Owner}): KeptHostKeys {
  const keeper = createKeeper({...options, pauseMilliseconds})
  return {
    keep: keys => keeper.keep(() => seal(owner, toWire(keys()))),
    async load() {
      const read = await readKept(options.path, owner, maxBytes)
      return read.ok ? parse(read.payload) : undefined
    },
    close: keeper.close,
  }
}

const payloadSchema = z.strictObject({
  privateKey: z.string(),
  certificates: z.array(z.custom<Buffer>(value => Buffer.isBuffer(value))),
})

function parse(payload: string): HostKeys | undefined {
  const checked = payloadSchema.safeParse(fromWire(payload))
  return checked.success ? checked.data : undefined
}
