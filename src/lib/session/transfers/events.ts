import type {AuditInput} from '../../audit/event.js'
import type {FileReport, OperationReport, PathName, TransferCommand} from '../../transfer/index.js'

type Told = Pick<AuditInput, 'event' | 'success' | 'error' | 'fields'>

/** A path as fields of an event: `path`, and `path_base64` where the bytes are not UTF-8. */
function named(field: string, name: PathName | undefined): Record<string, string> {
  if (!name) return {}
  return {[field]: name.text, ...(name.bytes !== undefined && {[`${field}_base64`]: name.bytes})}
}

const failure = (error: string | undefined): Pick<AuditInput, 'success' | 'error'> =>
  error === undefined ? {} : {success: false, error}

/** A file that is open. `transfer`: the number by which it is told of again. */
export const openEvent = (
  protocol: TransferCommand['protocol'],
  {direction, path, name}: Pick<FileReport, 'direction' | 'path' | 'name'>,
  transfer: number,
): Told => ({
  event: 'session.transfer.open',
  fields: {protocol, direction, ...named('path', path), ...named('name', name), transfer},
})

/** The event about one file. `transfer`: its number, where it is on record that it was open. */
export function fileEvent(
  protocol: TransferCommand['protocol'],
  report: FileReport,
  transfer?: number,
): Told {
  const {direction, sha256, unhashed, attributes} = report
  return {
    event: fileEventName(protocol, report),
    ...failure(report.error),
    fields: {
      direction,
      ...(protocol === 'scp' && {action: direction}),
      ...named('path', report.path),
      ...named('name', report.name),
      bytes: report.bytes,
      complete: report.complete,
      ...(sha256 !== undefined && {sha256}),
      ...(unhashed !== undefined && {sha256_absent: unhashed}),
      ...(attributes && {attributes}),
      ...named('copied_from', report.copiedFrom),
      ...(transfer !== undefined && {transfer}),
    },
  }
}

function fileEventName(
  protocol: TransferCommand['protocol'],
  {direction, refused}: FileReport,
): AuditInput['event'] {
  if (protocol === 'scp') return `scp.${direction}`
  if (refused) return 'sftp.open'
  return direction === 'download' ? 'sftp.read' : 'sftp.write'
}

/** The event about something that was done to a path. */
export const operationEvent = (report: OperationReport): Told => ({
  event: `sftp.${report.operation}`,
  ...failure(report.error),
  fields: {
    ...named(report.operation === 'extended' ? 'name' : 'path', report.path),
    ...named('target', report.target),
    ...(report.attributes && {attributes: report.attributes}),
  },
})

/** A file in one line, for the recording. */
export function fileMarker({direction, path, name, bytes, complete, sha256, error}: FileReport): string {
  const outcome = error ?? (complete ? 'complete' : 'incomplete')
  const what = name && name.text !== path.text ? `${path.text} (${name.text})` : path.text
  const hash = sha256 === undefined ? '' : `, sha256 ${sha256}`
  return `${direction} ${what}: ${bytes} bytes, ${outcome}${hash}`.replace(/\p{Cc}/gu, '?')
}
