import type {HostRecord} from '../access/hosts.js'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {judgeHostKey} from '../forward/index.js'
import {type HostKeyReader, type PresentedHostKey, readHostKey} from '../ssh/index.js'
import {blobType, certificateTypes, parseCertificate} from '../sshcert/index.js'

export interface NodeProofPolicy {
  /** Public blobs of the host authorities of the cluster. */
  authorities: readonly Buffer[]
  /** Unix ms. */
  now: () => number
}

/**
 * Makes sure that the server at the other end of a connection which only client and host can read is the node that was
 * meant. A node says itself where it is, and its labels have decided who may go there: it must not lead to another machine.
 */
export const provesNode = (
  {id, hostname}: Pick<HostRecord, 'id' | 'hostname'>,
  {authorities, now}: NodeProofPolicy,
): HostKeyReader =>
  readHostKey(blob => {
    try {
      judgeHostKey(presented(blob), {host: id, authorities, check: true, now: now()})
    } catch (thrown) {
      const cause = asProblem(thrown)
      throw problem('host_key_refused', `what answers for ${hostname} is not that node: ${cause.message}`, {
        hint: 'see whether its advertise_ip is an address of its own',
        cause,
      })
    }
  })

/** Shows the proof what the server sends, until it has seen enough. */
export function shown(
  proof: HostKeyReader,
  refuse: (error: SallyportError) => void,
): (chunk: Buffer) => void {
  let over = false
  return chunk => {
    if (over) return
    try {
      over = proof.read(chunk)
    } catch (error) {
      over = true
      refuse(asProblem(error))
    }
  }
}

const presented = (blob: Buffer): PresentedHostKey =>
  blobType(blob) in certificateTypes ? {blob, certificate: parseCertificate(blob)} : {blob}
