import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'
import type {AuditFilesVerdict} from '../../lib/evidence/index.js'

export default class AuditVerify extends BaseCommand {
  static override summary = 'Check that the audit log is unbroken'
  static override description =
    `Follows the chain of records in the files of the log and names the first bad one; the service need not run. The chain
alone cannot show that records are missing at its end, or that the last one was changed: keep what \`audit checkpoint\` writes
elsewhere, and give it as --checkpoint later. With --key its signature is checked, too, without any service.`
  static override examples = [
    '<%= config.bin %> audit verify',
    '<%= config.bin %> audit verify --checkpoint checkpoint.json',
    '<%= config.bin %> audit verify --directory copy/audit --checkpoint checkpoint.json --key recording.pub',
  ]
  static override flags = {
    checkpoint: Flags.string({description: 'the end of the log as it was once', helpValue: 'FILE'}),
    key: Flags.string({description: 'file with the public keys that sign checkpoints', helpValue: 'FILE'}),
    directory: Flags.string({description: 'a copy of the log elsewhere', helpValue: 'DIR'}),
    format: formatFlag(),
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditVerify)
    const {verifyAuditFiles} = await import('../../lib/evidence/index.js')
    const {config, directory, checkpoint, format} = flags
    const {readKeyFile} = await import('../../lib/client/index.js')
    const keys = flags.key === undefined ? undefined : await readKeyFile(flags.key)
    const verdict = await verifyAuditFiles({config, directory, checkpoint, keys, dataDir: flags['data-dir']})
    await render(verdict, {format, text: () => (verdict.ok ? words(verdict) : '')})
    if (verdict.ok) return
    const {record, file, line, reason} = verdict.bad
    const where = file === undefined ? '' : ` (${file}${line === undefined ? '' : `, line ${line}`})`
    throw problem('audit_corrupt', `record ${record} of the audit log${where} is bad: ${reason}`)
  }
}

type Sound = Extract<AuditFilesVerdict, {ok: true}>

function words({records, head, checkpoint, signature, pruned}: Sound): string {
  const lines = [`The audit log is unbroken: ${records} records, the last one's hash is ${head.hash}.`]
  if (pruned) {
    const signed =
      pruned.signature === 'verified'
        ? 'signed by this cluster'
        : 'whose signature was not checked: use --key'
    lines.push(`It was pruned in order on ${pruned.time}, up to record ${pruned.sequence}, ${signed}.`)
  }
  if (checkpoint === 'none')
    lines.push('Without a checkpoint, records missing at its end and a changed last record cannot be seen.')
  if (checkpoint === 'pruned')
    lines.push(
      'The record that the checkpoint names was pruned: a later checkpoint is needed to see what is missing.',
    )
  if (checkpoint === 'found') {
    lines.push(
      `It holds the checkpoint${signature === 'verified' ? ', which is signed by this cluster' : ''}.`,
    )
    if (signature === 'unchecked')
      lines.push('Who signed the checkpoint was not checked: name the key with --key.')
    if (signature === 'absent') lines.push('Nobody signed the checkpoint.')
    lines.push('What was changed or removed after the checkpoint was made, at the very end, cannot be seen.')
  }
  return lines.join('\n')
}
