import {Args, Flags} from '@oclif/core'
import {adminFlags, BaseCommand, clientFlags, writeOut} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

export default class RecordingsExport extends BaseCommand {
  static override summary = 'Save a recording for others'
  static override description =
    `cast is an asciicast of version 2, for any player of such; to a file named *.gz it keeps the chunks as they were
recorded, so that \`recordings verify\` works on it. text is the lines as they could be read, raw the bytes as they went
over the wire. Other players show everything a recording holds, sequences that reach outside the screen included.`
  static override examples = [
    '<%= config.bin %> recordings export 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --out session.cast',
    '<%= config.bin %> recordings export 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --format text',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    format: Flags.option({
      options: ['cast', 'text', 'raw'] as const,
      default: 'cast' as const,
      description: 'what is written',
    })(),
    out: Flags.string({
      char: 'o',
      description: 'file to write; standard output without it',
      helpValue: 'FILE',
    }),
    overwrite: Flags.boolean({description: 'replace an existing file'}),
    proxy: clientFlags.proxy,
    identity: clientFlags.identity,
    insecure: clientFlags.insecure,
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsExport)
    const {format, out: path, overwrite} = flags
    if (path === undefined && format !== 'text' && process.stdout.isTTY)
      throw problem('usage', 'a recording could do anything to a terminal', {
        hint: 'name a file with --out, or play it: sallyport play',
      })
    const {withHistoryApi} = await import('../../lib/client/index.js')
    const {rawBytes, readCast, readContents, textLines} = await import('../../lib/recording/index.js')
    await withHistoryApi(flags, async api => {
      const {data} = await api.openRecording(args.session.toLowerCase())
      const content = async () => {
        if (format === 'cast') return path?.endsWith('.gz') ? data : readContents(data)
        const cast = await readCast(data)
        return format === 'text' ? textLines(cast) : rawBytes(cast)
      }
      await writeOut(await content(), {path, overwrite})
    })
  }
}
