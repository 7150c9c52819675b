import type {AuditInput} from '../audit/event.js'
import type {Target} from './types.js'

/** Labels are a machine's own words, and must not take the room of what happened on it from a record. */
const maxLabelCharacters = 2048

type ServerFacts = Pick<AuditInput, 'server_id' | 'server_labels'> & {server_hostname: string}

/** What every event about a target says of it: its place in the inventory, or else the name it was asked for by. */
export function serverFacts({host, registered}: Pick<Target, 'host' | 'registered'>): ServerFacts {
  if (!registered) return {server_hostname: host}
  const {id, hostname, labels} = registered
  let room = maxLabelCharacters
  const kept = Object.entries(labels).filter(([name, value]) => {
    room -= name.length + value.length
    return room >= 0
  })
  return {
    ...{server_id: id, server_hostname: hostname},
    ...(kept.length > 0 && {server_labels: Object.fromEntries(kept)}),
  }
}
