import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

export default class AuditVerify extends BaseCommand {
  static override summary = 'Check that the audit log is unbroken'
  static override description =
    `Follows the chain of records in the files of the log and names the first bad one; the service need not run. The chain
alone cannot show that records are missing at its end, or that the last one was changed: keep the JSON output elsewhere
and give it as --checkpoint later.`
  static override examples = [
    '<%= config.bin %> audit verify --format json > checkpoint.json',
    '<%= config.bin %> audit verify --checkpoint checkpoint.json',
  ]
  static override flags = {
    checkpoint: Flags.string({description: 'the end of the log as it was once', helpValue: 'FILE'}),
    directory: Flags.string({description: 'a copy of the log elsewhere', helpValue: 'DIR'}),
    format: formatFlag(),
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditVerify)
    const {verifyAuditFiles} = await import('../../lib/service/audit-verification.js')
    const {config, directory, checkpoint, format} = flags
    const verdict = await verifyAuditFiles({config, directory, checkpoint, dataDir: flags['data-dir']})
    await render(verdict, {format, text: () => (verdict.ok ? words(verdict) : '')})
    if (verdict.ok) return
    const {record, file, line, reason} = verdict.bad
    const where = file === undefined ? '' : ` (${file}${line === undefined ? '' : `, line ${line}`})`
    throw problem('audit_corrupt', `record ${record} of the audit log${where} is bad: ${reason}`)
  }
}

const words = ({
  records,
  head,
  checkpoint,
}: {
  records: number
  head: {hash: string}
  checkpoint: 'none' | 'found'
}): string =>
  [
    `The audit log is unbroken: ${records} records, the last one's hash is ${head.hash}.`,
    checkpoint === 'found'
      ? 'It holds the checkpoint.'
      : 'Without a checkpoint, records missing at its end and a changed last record cannot be seen.',
  ].join('\n')
