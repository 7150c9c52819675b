import type {HeadGap} from '../audit/index.js'
import type {AuditFilesVerdict} from './audit-verification.js'

// What a log that verifies is worth, in words, and what cannot be seen in it.

type SoundLog = Extract<AuditFilesVerdict, {ok: true}>

/** All that there is to say of a log that verifies, a sentence a line. Pure. */
export function auditWords(verdict: SoundLog): string[] {
  const {records, head, pruned} = verdict
  const signed = pruned?.signature === 'verified' ? 'signed by this cluster' : unchecked
  return [
    `The audit log is unbroken: ${records} records, the last one's hash is ${head.hash}.`,
    ...(pruned
      ? [`It was pruned in order on ${pruned.time}, up to record ${pruned.sequence}, ${signed}.`]
      : []),
    ...headWords(verdict),
    ...checkpointWords(verdict),
    unseenRecords(verdict),
  ]
}

const unchecked = 'whose signature was not checked: use --key'

/** Who stands behind the log, where it is not the only thing to be told of. Pure. */
export function headWords({signed: {heads, through, time, signature, gaps}}: SoundLog): string[] {
  if (heads === 0) return ['There are no signed heads in it.']
  const signatures = signature === 'verified' ? 'signed by this cluster' : 'not checked: use --key'
  const shown = gaps.slice(0, SHOWN_GAPS)
  return [
    `Its signed heads are ${signatures}: ${heads}, the last of them record ${through}, of ${time}.`,
    ...shown.map(gapWords),
    ...(gaps.length > shown.length
      ? [`So it is in ${gaps.length - shown.length} more places, or still more.`]
      : []),
  ]
}

const SHOWN_GAPS = 3

const gapWords = ({from, to, since, until}: HeadGap): string =>
  `No head was signed between record ${from} (${since}) and record ${to} (${until}), though one was due: heads were taken out, or none were made.`

/** What the checkpoint is worth that was given. Pure. */
export function checkpointWords({checkpoint, signature}: SoundLog): string[] {
  if (checkpoint === 'none') return []
  if (checkpoint === 'pruned')
    return [
      'The record that the checkpoint names was pruned: a later checkpoint is needed to see what is missing.',
    ]
  const signed = signature === 'verified' ? ', which is signed by this cluster' : ''
  return [
    `It holds the checkpoint${signed}.`,
    ...(signature === 'unchecked'
      ? ['Who signed the checkpoint was not checked: name the key with --key.']
      : []),
    ...(signature === 'absent' ? ['Nobody signed the checkpoint.'] : []),
  ]
}

function unseenRecords({vouched, head: {sequence}, signed}: SoundLog): string {
  if (vouched === 0)
    return `Nothing stands behind it: whoever can write the files may have changed, added or taken out any record, wherever it stood, and hashed the rest again; that cannot be seen. ${advice(signed.heads)}`
  const cut = 'others behind the end may have been cut off'
  const behind =
    sequence > vouched ? `those behind it may have been changed, added or taken out, and ${cut}` : cut
  return `Records up to ${vouched} are those that were written; ${behind}: that cannot be seen.`
}

const advice = (heads: number): string =>
  heads > 0
    ? 'Name the key with --key, or give a checkpoint.'
    : 'Only a checkpoint that was kept elsewhere shows it.'

/** What cannot be seen where recordings are held against the log. Pure. */
export const unseenSessions = ({vouched, signed}: SoundLog): string =>
  vouched === 0
    ? `Nothing stands behind the log: sessions that were taken out of it and of the store alike, wherever they stood, cannot be seen. ${advice(signed.heads)}`
    : `Sessions from behind record ${vouched} of the log that were taken out of it and of the store alike cannot be seen.`
