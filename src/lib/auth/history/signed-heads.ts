import {z} from 'zod'
import type {ChainHead, HeadSigning} from '../../audit/index.js'
import type {Backend} from '../../backend/index.js'
import {asProblem, type Log, problemLine} from '../../errors/index.js'
import {createRecords} from '../records.js'

export interface SignedHeadsOptions {
  backend: Backend
  /** `signAuditStatement` of the authorities. */
  sign: (message: Buffer) => string
  log: Pick<Log, 'warn'>
}

/** How the audit log signs its end, with a note in the state of the last one: at the next start the log must hold it. */
export interface SignedHeads {
  signing: HeadSigning
  /** Once the log is closed: the last note is durable. */
  close(): Promise<void>
}

const ID = 'signed-head'
export const signedHeadSchema = z.strictObject({
  version: z.literal(1),
  sequence: z.number().int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
})

/** @throws store_failed */
export async function openSignedHeads({backend, sign, log}: SignedHeadsOptions): Promise<SignedHeads> {
  const records = createRecords(backend, 'audit', signedHeadSchema)
  const found = await records.get(ID)
  let waiting: ChainHead | undefined
  let writing: Promise<void> | undefined

  const failed = (error: unknown, what: string): void =>
    log.warn({error: problemLine(asProblem(error))}, what)

  /** One at a time; a newer one takes the place of one that waits. */
  const write = async (): Promise<void> => {
    while (waiting) {
      const {sequence, hash} = waiting
      waiting = undefined
      await records
        .put(ID, {version: 1, sequence, hash})
        .catch(error => failed(error, 'which head of the audit log was signed last is not noted'))
    }
    writing = undefined
  }

  return {
    signing: {
      sign,
      last: found?.value,
      onSigned(head) {
        waiting = head
        writing ??= write()
      },
      onProblem: error => failed(error, 'the head of the audit log could not be signed'),
    },
    async close() {
      await writing
    },
  }
}
