import {accessFlags, BaseCommand, jsonText, outFlags, writeOut} from '../../lib/cli/index.js'

export default class AuditCheckpoint extends BaseCommand {
  static override summary = 'Sign the end of the audit log, to be kept elsewhere'
  static override description =
    `A checkpoint is worth something where the auth host cannot change it. Given to \`audit verify\` or \`recordings verify\`
later, it shows whether records before it were changed or are missing at the end. For administrators and auditors.`
  static override examples = [
    '<%= config.bin %> audit checkpoint --out checkpoint-2026-11-21.json',
    '<%= config.bin %> audit checkpoint --proxy sallyport.example.com > checkpoint.json',
  ]
  static override flags = {...outFlags, ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditCheckpoint)
    const {out: path, overwrite} = flags
    const {withAuthApi} = await import('../../lib/client/index.js')
    const checkpoint = await withAuthApi(flags, api => api.auditCheckpoint())
    await writeOut(only(`${jsonText(checkpoint)}\n`), {path, overwrite})
  }
}

async function* only(text: string): AsyncGenerator<string> {
  yield text
}
