import type {AuditInput} from '../audit/event.js'

/** Labels are a machine's own words, and must not take the room of what happened on it from a record. */
const maxLabelCharacters = 2048

/** What every event about a host says of its labels: as many as there is room for. */
export function serverLabels(labels: Readonly<Record<string, string>>): Pick<AuditInput, 'server_labels'> {
  let room = maxLabelCharacters
  const kept = Object.entries(labels).filter(([name, value]) => {
    room -= name.length + value.length
    return room >= 0
  })
  return kept.length > 0 ? {server_labels: Object.fromEntries(kept)} : {}
}
