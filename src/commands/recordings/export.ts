import {Args, Flags} from '@oclif/core'
import type {AuthApi} from '../../lib/auth/contract.js'
import {accessFlags, BaseCommand, outFlags, writeOut} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'
import type {CastEnd, RecordingSummary, SessionEnd} from '../../lib/recording/index.js'

type Api = Pick<AuthApi, 'openRecording' | 'listEvents'>
type Opened = Awaited<ReturnType<Api['openRecording']>>

interface Exported {
  content: AsyncIterable<string | Uint8Array>
  /** How the recording ended, once its content was written; undefined where nothing was read of it. */
  end: () => CastEnd | undefined
}

const formats = ['cast', 'cast3', 'text', 'html', 'raw'] as const
type Format = (typeof formats)[number]

export default class RecordingsExport extends BaseCommand {
  static override summary = 'Save a recording for others'
  static override description =
    `cast is an asciicast of version 2, for any player of such; to a file named *.gz it keeps the chunks as they were
recorded, so that \`recordings verify\` works on it. cast3 is an asciicast of version 3. html is one page with a player, to
open in any browser without a network. text is the lines as they could be read, raw the bytes as they went over the wire.
Of html and text, nothing reaches outside of the screen; the others hold everything that was sent.`
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
    const {withHistoryApi} = await import('../../lib/client/index.js')
    await withHistoryApi(flags, async api => {
      const opened = await api.openRecording(args.session.toLowerCase())
      const compressed = format === 'cast' && path?.endsWith('.gz') === true
      const {content, end} = await exported(api, opened, format, compressed)
      await writeOut(content, {path, overwrite})
      const remark = incomplete(opened.summary)
      if (remark !== undefined) process.stderr.write(`sallyport: ${remark}\n`)
      if (end() === 'cut')
        throw problem('recording_corrupt', 'the recording is cut off; this was all of it that can be read')
    })
  }
}

async function exported(api: Api, opened: Opened, format: Format, compressed: boolean): Promise<Exported> {
  const {cast3Lines, htmlPage, rawBytes, readCast, readContents, readPlayerAssets, textLines} = await import(
    '../../lib/recording/index.js'
  )
  const {summary, data} = opened
  if (format === 'cast') return {content: compressed ? data : readContents(data), end: () => undefined}
  const end = format === 'cast3' ? await sessionEnd(api, summary) : {}
  const assets = format === 'html' ? await readPlayerAssets() : undefined
  const cast = await readCast(data)
  const content = () => {
    if (assets) return htmlPage(cast, {assets, facts: facts(summary), remark: incomplete(summary)})
    if (format === 'cast3') return cast3Lines(cast, end)
    return format === 'text' ? textLines(cast) : rawBytes(cast)
  }
  return {content: content(), end: cast.end}
}

/** The exit code is in the audit log, not in the recording; who may not see the one may not see the other. */
async function sessionEnd(api: Api, {sid, state, durationMs}: RecordingSummary): Promise<SessionEnd> {
  if (state !== 'sealed') return {}
  const [event] = await api.listEvents({sid, event: ['session.end'], limit: 1})
  const code = event?.exit_code
  return {durationMs, ...(typeof code === 'number' && {exitCode: code})}
}

function incomplete({state}: RecordingSummary): string | undefined {
  if (state === 'live') return 'the session still runs: this is what was recorded of it until now'
  if (state === 'truncated') return 'the recording was cut short: the end of the session is not in it'
  return undefined
}

function facts(summary: RecordingSummary): [string, string][] {
  const {sid, cluster, user, login, host, address, startedAt, endedAt, command} = summary
  const time = (ms: number): string => new Date(ms).toISOString()
  return [
    ['Session', sid],
    ['Cluster', cluster],
    ['User', user],
    ['Login', login],
    ['Host', host === address ? host : `${host} (${address})`],
    ['Start', time(startedAt)],
    ['End', endedAt === undefined ? 'not recorded' : time(endedAt)],
    ...(command === undefined ? [] : [['Command', command] as [string, string]]),
  ]
}
