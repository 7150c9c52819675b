import type {SessionRecord} from '../record.js'
import type {TransferWatch} from '../transfers/transfers.js'
import type {Withhold} from '../withheld/release.js'
import type {Tap, WithholdingTap} from './relay.js'
import type {TerminalSize} from './requests.js'

export type Stream = 'stdout' | 'stderr'

/** What is asked to run. */
export interface Asked {
  /** The name of the subsystem, where one was asked for. */
  subsystem: string | undefined
  /** What runs; undefined for a shell. */
  command: string | undefined
  terminal: (TerminalSize & {term: string}) | undefined
  /** Each of its files is told of by an event; the protocol would make no recording to watch. */
  files: boolean
}

/** What a program puts out, on its way to the user and to the record. */
export interface OutputOnRecord {
  /** The record begins now; of files, when they turn out to be something else. @throws what the record says */
  begin(asked: Asked): Promise<void>
  /** Sees output before it is delivered, and says when it may be. */
  tap(stream: Stream): Tap | {withhold: WithholdingTap}
  /** What passes is no transfer of files, and not on record either. */
  isOffRecord(): boolean
  /** What was to be files is something else: on record like any other program from here on, or over. */
  recordAfterAll(): Promise<void>
}

export interface OutputOnRecordParameters {
  record: SessionRecord
  /** Follows the files that pass, where the session is for that. */
  transfer(): TransferWatch | undefined
  /** Whether the session was ended: nothing more is delivered. */
  ended(): boolean
  /** Whether the user still reads that. */
  mayPass(stream: Stream): boolean
  onActivity(): void
  /** The record could not begin late. */
  onFailure(error: unknown): void
}

export function outputOnRecord(parameters: OutputOnRecordParameters): OutputOnRecord {
  const {record, transfer, ended, onActivity} = parameters
  let asked: Asked | undefined
  let recorded = true
  /** Of files that turned out to be none: the beginning of their recording. */
  let late: Promise<void> | undefined

  const mayPass = (stream: Stream): boolean => !ended() && parameters.mayPass(stream)
  const beginRecord = ({command, terminal}: Asked): Promise<void> =>
    record.begin({
      interactive: command === undefined,
      ...(command !== undefined && {command}),
      ...(terminal && {
        size: {columns: terminal.columns, rows: terminal.rows},
        term: terminal.term,
      }),
    })
  const recordAfterAll = (): Promise<void> => {
    late ??= (asked ? beginRecord(asked) : Promise.resolve()).then(() => {
      recorded = true
    }, parameters.onFailure)
    return late
  }
  /** sftp-server has nothing to say beside its protocol. */
  const isOffRecord = (stream?: Stream): boolean =>
    !recorded && (transfer()?.lost === true || stream === 'stderr')
  const follow = (chunk: Buffer, stream: Stream): ReturnType<TransferWatch['output']> | undefined =>
    stream === 'stdout' ? transfer()?.output(chunk) : undefined

  const recordLate = async (chunk: Buffer, stream: Stream): Promise<void> => {
    await recordAfterAll()
    if (!ended()) await record.output(chunk, stream, chunk.length)
  }
  const tap =
    (stream: Stream): Tap =>
    chunk => {
      onActivity()
      if (!mayPass(stream)) return false
      const seen = follow(chunk, stream)
      if (ended()) return false
      // The bytes are lent, and by then they are somebody else's.
      if (isOffRecord(stream)) return recordLate(Buffer.from(chunk), stream)
      const hold = recorded ? record.output(seen?.shown ?? chunk, stream, chunk.length) : undefined
      // One promise is enough: the next bytes ask again.
      return hold ?? seen?.wait
    }

  const withholdingTap =
    (withhold: Withhold, stream: Stream): WithholdingTap =>
    to => {
      const deliver = (lent: Buffer): void => {
        if (mayPass(stream)) to(lent)
      }
      const withheld = withhold(stream, deliver)
      let beginning: Promise<void> | undefined
      const beginLate = async (own: Buffer): Promise<void> => {
        await recordAfterAll()
        if (!ended()) await (withheld.output(own, own) || undefined)
      }
      return {
        take(chunk) {
          onActivity()
          if (!mayPass(stream)) return false
          const seen = follow(chunk, stream)
          if (ended()) return false
          if (isOffRecord(stream)) {
            beginning = beginLate(Buffer.from(chunk))
            return beginning
          }
          if (!recorded) {
            deliver(chunk)
            return seen?.wait
          }
          const hold = withheld.output(chunk, seen?.shown ?? chunk)
          return hold ?? seen?.wait
        },
        async flush() {
          await beginning
          await withheld.flush()
        },
      }
    }

  return {
    async begin(wish) {
      asked = wish
      recorded = !wish.files
      if (recorded) await beginRecord(wish)
    },
    tap: stream => (record.withhold ? {withhold: withholdingTap(record.withhold, stream)} : tap(stream)),
    isOffRecord: () => isOffRecord(),
    recordAfterAll,
  }
}
