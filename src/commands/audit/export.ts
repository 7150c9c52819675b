import type {AuthApi} from '../../lib/auth/contract.js'
import {accessFlags, BaseCommand, eventFlags, jsonLine, outFlags, writeOut} from '../../lib/cli/index.js'

type Event = Awaited<ReturnType<AuthApi['listEvents']>>[number]

export default class AuditExport extends BaseCommand {
  static override summary = 'Save the audit log for others'
  static override description =
    `JSON lines, oldest first: the records as they are in the log, of those that you may see.

What was exported is for reading: it is filtered and written anew, so \`audit verify\` does not read it. Who is to verify the
log gets a copy of its directory, <data-dir>/audit, and the key that \`auth export --type=recording\` prints, for
\`audit verify --directory DIR --key FILE\`.`
  static override examples = [
    '<%= config.bin %> audit export --out audit.jsonl',
    '<%= config.bin %> audit export --user joe --from 2025-11-01 --to 2025-12-01',
  ]
  static override flags = {
    ...eventFlags,
    ...outFlags,
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditExport)
    const {allEvents, eventQuery, withAuthApi} = await import('../../lib/client/index.js')
    const query = eventQuery(flags, Date.now())
    const {out: path, overwrite} = flags
    // A file gets the very bytes of the log; what a terminal must not see is escaped for one.
    const format = path === undefined && process.stdout.isTTY ? jsonLine : JSON.stringify
    await withAuthApi(flags, api => writeOut(lines(allEvents(api, query), format), {path, overwrite}))
  }
}

async function* lines(
  events: AsyncIterable<Event>,
  format: (event: Event) => string,
): AsyncGenerator<string> {
  for await (const event of events) yield `${format(event)}\n`
}
