import type {AuditInput} from './event.js'

/** Files of a session that are noted as open at a time; beyond it the others have their event at the end alone. */
export const maxNotedFiles = 32

/** What the event of an open file says of it. */
const facts = ['direction', 'path', 'path_base64', 'name', 'name_base64', 'transfer'] as const

/** The number by which the events of one open file belong together; undefined for an event of no such file. */
export const transferNumber = ({fields}: Pick<AuditInput, 'fields'>): number | undefined =>
  typeof fields?.transfer === 'number' ? fields.transfer : undefined

/**
 * The event of a file that was open when whoever followed it was gone: that it was open, and how is known; how much of it
 * passed, and whether it was closed after that, nobody can say.
 * @param opened fields of `session.transfer.open`
 */
export function lostTransfer(
  opened: Readonly<Record<string, unknown>>,
  reason: string,
): Pick<AuditInput, 'event' | 'success' | 'error' | 'fields'> {
  const isUpload = opened.direction === 'upload'
  const sftp = isUpload ? 'sftp.write' : 'sftp.read'
  const scp = isUpload ? 'scp.upload' : 'scp.download'
  const known = facts.flatMap(key => (opened[key] === undefined ? [] : [[key, opened[key]]]))
  return {
    event: opened.protocol === 'scp' ? scp : sftp,
    success: false,
    error: `${reason}: what became of the file is not known`,
    fields: {...Object.fromEntries(known), complete: false, sha256_absent: 'not followed'},
  }
}
