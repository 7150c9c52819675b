import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

export default class AuditVerify extends BaseCommand {
  static override summary = 'Check that the audit log is unbroken'
  static override description =
    `Follows the chain of records in the files of the log and names the first bad one; the service need not run. The chain
alone shows nothing that somebody did who hashed again what followed. The service signs the log in itself, once a minute while
there is something new: with --key, which names what \`auth export --type=recording\` printed, each signature is checked, and
whatever was done to the log before the last one shows. What was cut off behind that, or done to the last records, shows with
--checkpoint: keep what \`audit checkpoint\` writes elsewhere. The answer says up to which record something stands behind the log.`
  static override examples = [
    '<%= config.bin %> audit verify',
    '<%= config.bin %> audit verify --key recording.pub',
    '<%= config.bin %> audit verify --checkpoint checkpoint.json',
    '<%= config.bin %> audit verify --directory copy/audit --checkpoint checkpoint.json --key recording.pub',
  ]
  static override flags = {
    checkpoint: Flags.string({description: 'the end of the log as it was once', helpValue: 'FILE'}),
    key: Flags.string({description: 'file with the public keys that sign the log', helpValue: 'FILE'}),
    directory: Flags.string({description: 'a copy of the log elsewhere', helpValue: 'DIR'}),
    format: formatFlag(),
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditVerify)
    const {auditWords, verifyAuditFiles} = await import('../../lib/evidence/index.js')
    const {config, directory, checkpoint, format} = flags
    const {readKeyFile} = await import('../../lib/client/index.js')
    const keys = flags.key === undefined ? undefined : await readKeyFile(flags.key)
    const verdict = await verifyAuditFiles({config, directory, checkpoint, keys, dataDir: flags['data-dir']})
    await render(verdict, {format, text: () => (verdict.ok ? auditWords(verdict).join('\n') : '')})
    if (verdict.ok) return
    const {record, file, line, reason} = verdict.bad
    const where = file === undefined ? '' : ` (${file}${line === undefined ? '' : `, line ${line}`})`
    throw problem('audit_corrupt', `record ${record} of the audit log${where} is bad: ${reason}`)
  }
}
