import {problem, type SallyportError} from '../../errors/index.js'
import {
  type AuditFilesVerdict,
  checkpointWords,
  headWords,
  type SessionFilesVerdict,
  type StoreFilesVerdict,
  unseenSessions,
} from '../../evidence/index.js'
import type {SessionVerdict} from '../../recording/index.js'
import type {VerifyTarget} from './verify-flags.js'

// What `recordings verify` says: the words for people, and the error that a verdict is.

type Verdict = SessionVerdict & Partial<Pick<SessionFilesVerdict, 'audit'>>

/** What was found of one recording; empty where the error says it all. */
export function sessionWords(verdict: Verdict, target: VerifyTarget): string {
  if (verdict.result !== 'verified' && verdict.result !== 'removed') return ''
  const own = verdict.result === 'removed' ? removedWords(verdict) : wholeWords(verdict)
  const log = verdict.audit ? auditWords(verdict.audit) : []
  return [...own, ...limitWords(verdict, target), ...log].join('\n')
}

function wholeWords({sid, chunks, truncated}: Extract<Verdict, {result: 'verified'}>): string[] {
  return [
    `The recording of session ${sid} is what was recorded: ${chunks} chunks, unbroken and signed.`,
    ...(truncated === undefined ? [] : [`It is not all of the session: ${truncated}.`]),
  ]
}

function removedWords(removed: Extract<Verdict, {result: 'removed'}>): string[] {
  const {sid, removedAt, removedBy, cause, reason, end} = removed
  const by = cause === 'retention' ? 'because it was older than the cluster keeps' : `by ${removedBy}`
  const why = reason === undefined ? '' : `: ${reason}`
  const what = end
    ? ` It had ${end.chunks} chunks; the last one's digest is ${end.head}.`
    : ' It was damaged.'
  const when = new Date(removedAt).toISOString()
  return [`The recording of session ${sid} was removed in order on ${when} ${by}${why}.${what}`]
}

/** What the verdict does not rest upon. */
function limitWords({vouched}: Verdict, target: VerifyTarget): string[] {
  if (target === 'file')
    return [
      'The audit log, which knows how long it was, was not asked: only its own signature speaks for it.',
      'Whether there were other recordings, now deleted, cannot be seen from one file.',
    ]
  if (vouched) return []
  const log = target === 'session' ? 'The audit log, as far as you may see it,' : 'The audit log'
  return [`${log} does not say how long it was: only its own signature speaks for it.`]
}

/** The error that a verdict on one recording is, if it is one. */
export function sessionFault(verdict: Verdict): SallyportError | undefined {
  const log = verdict.audit && auditFault(verdict.audit)
  if (log) return log
  if (verdict.result === 'bad') {
    const {chunk, reason} = verdict
    return problem('recording_corrupt', chunk === undefined ? reason : `chunk ${chunk} is bad: ${reason}`)
  }
  if (verdict.result === 'unsealed')
    return problem(
      'recording_unavailable',
      `the ${verdict.chunks} chunks of session ${verdict.sid} are unbroken, but nobody signed them: the session still runs or was cut short, and chunks missing at the end cannot be seen`,
      {hint: 'verify it again when the session has ended'},
    )
  return undefined
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`

/** What was found in a store. */
export function storeWords(verdict: StoreFilesVerdict): string {
  const {verified, truncated, unvouched, removed, open, held, removing, bad, audit} = verdict
  const notes: [number, string][] = [
    [truncated, 'of them cut short: not all of their session'],
    [
      unvouched,
      'of them without word of their length in the audit log: only their own signature speaks for them',
    ],
    [removed, 'removed in order'],
    [open, 'without an end: they run, or were cut short; chunks missing at their end cannot be seen'],
    [held, 'under legal hold'],
    [removing, 'about to be removed in order: the service finishes that when it runs'],
  ]
  return [
    `${count(verified, 'recording is', 'recordings are')} what was recorded.`,
    ...notes.filter(([number]) => number > 0).map(([number, note]) => `${number} ${note}.`),
    ...bad.map(
      ({sid, chunk, reason}) => `${sid}: ${chunk === undefined ? '' : `chunk ${chunk} is bad: `}${reason}`,
    ),
    ...auditWords(audit),
    ...(audit.ok ? [unseenSessions(audit)] : []),
  ].join('\n')
}

/** The error that a verdict on a store is, if it is one. */
export function storeFault({audit, bad}: StoreFilesVerdict): SallyportError | undefined {
  if (!audit.ok) return auditFault(audit)
  if (bad.length === 0) return undefined
  return problem(
    'recording_corrupt',
    `${count(bad.length, 'recording is', 'recordings are')} not as recorded`,
  )
}

function auditFault(audit: AuditFilesVerdict): SallyportError | undefined {
  if (audit.ok) return undefined
  const {record, reason} = audit.bad
  return problem('audit_corrupt', `record ${record} of the audit log is bad: ${reason}`, {
    hint: 'what the log says of the recordings from there on proves nothing',
  })
}

/** What is known of the log that recordings were held against, and of who signed it. */
function auditWords(audit: AuditFilesVerdict): string[] {
  if (!audit.ok) return []
  const {records, checkpoint, pruned} = audit
  return [
    `The audit log is unbroken: ${records} records${checkpoint === 'none' ? '; no checkpoint was given' : ''}.`,
    ...headWords(audit),
    ...checkpointWords(audit),
    ...(pruned
      ? ['It was pruned: of recordings from before its beginning nobody can say whether one is missing.']
      : []),
    ...(pruned?.signature === 'unchecked'
      ? ['Who signed the note of what was pruned was not checked: name the key with --key.']
      : []),
  ]
}
