import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, jsonLine, writeOut} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'
import {isUuid} from '../lib/names/index.js'
import type {Cast, CastEnd, RecordingSummary} from '../lib/recording/index.js'

type Format = 'pty' | 'text' | 'json' | 'raw'

/** A recording that can be read from the beginning as often as wanted. */
interface Source {
  open: () => Promise<Cast>
  durationMs: () => number | undefined
  /** What its store says of it; a file is not of a store. */
  state?: RecordingSummary['state']
}

export default class Play extends BaseCommand {
  static override summary = 'Play a recorded session'
  static override description =
    `Keys while it plays: space pauses, ← and → move five seconds, 0–9 go to a tenth of the whole, + and − change the speed,
q or Ctrl-C ends. Whatever would reach outside the screen (titles, the clipboard, questions to the terminal) is left out.
text prints the lines as they could be read, json one record an event with the exact bytes where text cannot hold them,
raw the bytes as they went over the wire.`
  static override examples = [
    '<%= config.bin %> play 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> play session.cast.gz --speed 2 --idle-limit 0.5',
    '<%= config.bin %> play 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --format text | less',
  ]
  static override args = {
    session: Args.string({description: 'session ID, or a recording file', required: true}),
  }
  static override flags = {
    format: Flags.option({
      options: ['pty', 'text', 'json', 'raw'] as const,
      default: 'pty' as const,
      description: 'how it is shown',
    })(),
    speed: Flags.string({description: 'playback speed', default: '1', helpValue: 'N'}),
    'idle-limit': Flags.string({
      description: 'wait at most so long between events',
      helpValue: 'SECONDS',
      exclusive: ['skip-idle-time'],
    }),
    'skip-idle-time': Flags.boolean({description: 'the same as --idle-limit=1'}),
    at: Flags.string({
      description: 'begin here, as `recordings search` says it',
      helpValue: '[H:]M:S',
    }),
    stream: Flags.option({
      options: ['stdout', 'stderr'] as const,
      description: 'with raw: only what went to this stream',
    })(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Play)
    const pace = {speed: positive(flags.speed, '--speed'), ...idleLimit(flags), ...start(flags)}
    const show = (source: Source) => present(source, flags.format, flags.stream, pace)
    const {readCast, readFileBytes, createSpool} = await import('../lib/recording/index.js')
    if (!isUuid(args.session.toLowerCase())) {
      const open = () => readCast(readFileBytes(args.session))
      return await show({open, durationMs: await measured(open, flags.format)})
    }
    const {withAuthApi} = await import('../lib/client/index.js')
    await withAuthApi(flags, async api => {
      const {summary, data} = await api.openRecording(args.session.toLowerCase())
      const spool = await createSpool(data)
      try {
        const {durationMs, state} = summary
        await show({open: () => readCast(spool.read()), durationMs: () => durationMs, state})
      } finally {
        spool.close()
      }
    })
  }
}

function positive(text: string, flag: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw problem('usage', `${flag} expects a number above 0, not ${JSON.stringify(text)}`)
}

/** `1:02:03.5`, `2:03` or `90` as milliseconds. */
function start({at, format}: {at?: string | undefined; format: Format}): {startMs?: number} {
  if (at === undefined) return {}
  if (format !== 'pty') throw problem('usage', '--at is for playing; the other formats give everything')
  if (!/^(\d{1,4}:){0,2}\d{1,9}(\.\d{1,3})?$/.test(at))
    throw problem('usage', `--at expects a time from the start, not ${JSON.stringify(at)}`, {
      hint: 'as in --at=1:02:03 or --at=90.5',
    })
  return {startMs: Math.round(at.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) * 1000)}
}

function idleLimit(flags: {'skip-idle-time': boolean; 'idle-limit'?: string | undefined}): {
  maxIdleMs?: number
} {
  const limit = flags['idle-limit']
  if (limit !== undefined) return {maxIdleMs: positive(limit, '--idle-limit') * 1000}
  return flags['skip-idle-time'] ? {maxIdleMs: 1000} : {}
}

/** The duration of a file is known once it was read; that happens beside the playing. */
async function measured(open: () => Promise<Cast>, format: Format): Promise<() => number | undefined> {
  let duration: number | undefined
  if (format === 'pty' && process.stdin.isTTY) {
    const measure = async (): Promise<void> => {
      let last = 0
      for await (const event of (await open()).events) last = event.timeMs
      duration = last
    }
    // What is wrong with the file, the player says.
    measure().catch(() => undefined)
  }
  return () => duration
}

async function present(
  source: Source,
  format: Format,
  stream: 'stdout' | 'stderr' | undefined,
  pace: {speed: number; maxIdleMs?: number; startMs?: number},
): Promise<void> {
  const {jsonRecords, playOnTerminal, rawBytes, textLines} = await import('../lib/recording/index.js')
  if (format === 'pty') {
    const {stdin: input, stdout: output} = process
    const {end, quit} = await playOnTerminal({...source, ...pace, input, output})
    return quit ? undefined : await reportEnd(end, source.state)
  }
  if (format === 'raw' && process.stdout.isTTY)
    throw problem('usage', 'raw bytes could do anything to a terminal', {
      hint: 'send them to a file or a pipe, or play without --format',
    })
  const cast = await source.open()
  if (format === 'raw') await writeOut(rawBytes(cast, stream))
  else if (format === 'text') await writeOut(textLines(cast))
  else await writeOut(jsonLines(jsonRecords(cast)))
  await reportEnd(cast.end(), source.state)
}

async function* jsonLines(records: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const record of records) yield `${jsonLine(record)}\n`
}

/** A recording without its end is worth a word; one that was cut in the middle, or lost its seal, is an error. */
async function reportEnd(end: CastEnd, stored: RecordingSummary['state'] | undefined): Promise<void> {
  const {endFault} = await import('../lib/recording/index.js')
  const fault = endFault(end, stored)
  if (fault) throw fault
  if (end === 'truncated')
    process.stderr.write('sallyport: the recording was cut short: the session may have gone on\n')
  if (end === 'open')
    process.stderr.write('sallyport: the recording has no seal: it is not complete, or of another program\n')
}
