import {problem} from '../errors/index.js'
import {
  blobType,
  certificateAlgorithms,
  certificateTypes,
  parseCertificate,
  type Signer,
  signatureAlgorithms,
  WireReader,
} from '../sshcert/index.js'
import type {AgentClient} from './client.js'
import {type AgentIdentity, signFlag} from './codec.js'
import type {AgentEntry} from './server.js'

/** Throws protocol_error for a blob without a readable type. */
export const isCertificateBlob = (blob: Buffer): boolean => Object.hasOwn(certificateTypes, blobType(blob))

/**
 * A signer whose private key stays in an ssh-agent. For a certificate entry `publicBlob` is the plain key inside,
 * as for any other signer. RSA keys sign with SHA-512 unless SHA-256 is asked for; an agent that answers with
 * another algorithm, SHA-1 above all, is an error (agent_required).
 */
export function agentSigner(client: AgentClient, {blob}: AgentIdentity): Signer {
  const publicBlob = isCertificateBlob(blob) ? parseCertificate(blob).publicKey : blob
  const keyType = blobType(publicBlob)
  return {
    publicBlob,
    async sign(data, algorithm) {
      const wanted = signatureAlgorithm(keyType, algorithm)
      const signature = await client.sign(blob, data, flagsFor(wanted))
      const given = new WireReader(signature).text()
      if (given !== wanted)
        throw problem('agent_required', `the ssh-agent signed with ${given} where ${wanted} was asked for`, {
          hint: "use OpenSSH's ssh-agent",
        })
      return signature
    },
  }
}

/**
 * An entry for the in-process agent that signs with `signer`.
 * @param certificate blob to offer in place of the plain key
 */
export function signerEntry(signer: Signer, comment: string, certificate?: Buffer): AgentEntry {
  const keyType = blobType(signer.publicBlob)
  return {
    blob: certificate ?? signer.publicBlob,
    comment,
    sign: async (data, flags) => signer.sign(data, algorithmFor(keyType, flags)),
  }
}

function signatureAlgorithm(keyType: string, algorithm: string | undefined): string {
  const possible = signatureAlgorithms[keyType] ?? []
  const wanted =
    algorithm === undefined ? possible[0] : (certificateAlgorithms[algorithm]?.signature ?? algorithm)
  if (wanted === undefined || !possible.includes(wanted))
    throw problem('invalid_input', `a ${keyType} key cannot make a ${wanted ?? 'known'} signature`)
  return wanted
}

function flagsFor(algorithm: string): number {
  if (algorithm === 'rsa-sha2-512') return signFlag.rsaSha512
  if (algorithm === 'rsa-sha2-256') return signFlag.rsaSha256
  return 0
}

function algorithmFor(keyType: string, flags: number): string | undefined {
  if (keyType !== 'ssh-rsa') return undefined
  if (flags & signFlag.rsaSha512) return 'rsa-sha2-512'
  if (flags & signFlag.rsaSha256) return 'rsa-sha2-256'
  throw problem('invalid_input', 'an RSA signature with SHA-1 was asked for, which is not given')
}
