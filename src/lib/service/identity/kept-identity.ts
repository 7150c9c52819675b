import {isDeepStrictEqual} from 'node:util'
import type {Credentials, HostCertificates, JoinRole} from '../../auth/index.js'
import type {Part} from '../parts/part.js'
import {withAnswer} from './joined.js'
import {keepIdentity, type MachineIdentity} from './machine-identity.js'

/** The identity of this machine, in memory and on disk. */
export interface KeptIdentity {
  credentials(role: JoinRole): Credentials
  current(): MachineIdentity
  take(answer: HostCertificates): Promise<void>
  /** Other authorities, PEM, from now on: there are two while they are rotated. */
  believe(authorities: string[]): Promise<void>
}

export function createIdentity({config}: Part, first: MachineIdentity): KeptIdentity {
  let identity = first
  return {
    current: () => identity,
    credentials(role) {
      const certificate = identity.certificates.find(one => one.role === role)?.certificate ?? ''
      const {key, authorities, clusterName = ''} = identity
      return {own: {key, certificate}, authorities, clusterName}
    },
    take(answer) {
      identity = withAnswer(identity, answer)
      return keepIdentity(config.dataDir, identity)
    },
    async believe(authorities) {
      if (authorities.length === 0 || isDeepStrictEqual(authorities, identity.authorities)) return
      identity = {...identity, authorities}
      await keepIdentity(config.dataDir, identity)
    },
  }
}
