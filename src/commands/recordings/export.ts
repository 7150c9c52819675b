import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, outFlags, writeOut} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

const formats = ['cast', 'cast3', 'text', 'html', 'raw'] as const

export default class RecordingsExport extends BaseCommand {
  static override summary = 'Save a recording for others'
  static override description =
    `cast is an asciicast of version 2, for any player of such; to a file named *.gz it keeps the chunks as they were
recorded, so that \`recordings verify\` works on it. cast3 is an asciicast of version 3. html is one page with a player, to
open in any browser without a network. text is the lines as they could be read, raw the bytes as they went over the wire.
Of html and text, nothing reaches outside of the screen; the others hold everything that was sent. Of a recording that is
cut off or damaged, what precedes that is written, and the command ends with an error; a *.gz gets all of its bytes.`
  static override examples = [
    '<%= config.bin %> recordings export 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --format html --out session.html',
    '<%= config.bin %> recordings export 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --out session.cast',
    '<%= config.bin %> recordings export 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --format text',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    format: Flags.option({options: formats, default: 'cast' as const, description: 'what is written'})(),
    ...outFlags,
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsExport)
    const {format, out: path, overwrite} = flags
    if (path === undefined && format !== 'text' && process.stdout.isTTY)
      throw problem('usage', 'a recording could do anything to a terminal', {
        hint: 'name a file with --out, or play it: sallyport play',
      })
    const {exportRecording, sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const stored = format === 'cast' && path?.endsWith('.gz') === true
    const sid = sessionId(args.session)
    await withAuthApi(flags, async api => {
      const exported = await exportRecording(api, sid, stored ? 'stored' : format)
      await writeOut(exported.content, {path, overwrite})
      if (exported.remark !== undefined) process.stderr.write(`sallyport: ${exported.remark}\n`)
      const fault = exported.fault()
      if (fault) throw fault
    })
  }
}
