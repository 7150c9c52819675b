import type {AuditInput} from '../audit/event.js'
import {serverLabels} from '../session/index.js'
import type {Target} from './types.js'

type ServerFacts = Pick<AuditInput, 'server_id' | 'server_labels'> & {server_hostname: string}

/** What every event about a target says of it: its place in the inventory, or else the name it was asked for by. */
export function serverFacts({host, registered}: Pick<Target, 'host' | 'registered'>): ServerFacts {
  if (!registered) return {server_hostname: host}
  const {id, hostname, labels} = registered
  return {...serverLabels(labels), server_id: id, server_hostname: hostname}
}
