import type {Writable} from 'node:stream'
import type {Strictness} from '../../access/types.js'
import {asProblem, problemLine, type SallyportError} from '../../errors/index.js'
import type {Channel, ChannelRequest} from '../../ssh/index.js'
import {WireWriter} from '../../sshcert/index.js'
import {within} from '../../waiting/index.js'
import {farewellMilliseconds} from '../door/limits.js'
import {isTaken, type SessionRecord} from '../record.js'
import type {TransferWatch} from '../transfers/transfers.js'
import {type Asked, outputOnRecord, type Stream} from './output-on-record.js'
import type {Tap, WithholdingTap} from './relay.js'
import {requestQueue} from './request-queue.js'
import type {SessionExit} from './requests.js'
import {unseenTransfer} from './unseen.js'

/** OpenSSH's own exit status for what did not come about. */
const failureStatus = 255

/** What whoever serves sessions gives each of them. */
export interface ServedSessionParameters {
  /** What becomes of a session that can no longer be recorded. */
  recordSession: Strictness
  record: SessionRecord
  /** The user's sessions need somebody who looks on, and the record is kept here. */
  overseen: boolean
  /** Nobody may type now. */
  holdsInput?(): boolean
  onSubsystem(name: string): Promise<void>
  /** Watches the files that pass, where that is what the session is for. */
  watchTransfer(kind: string, command: string | undefined): TransferWatch | undefined
  /** Bytes passed, either way. */
  onActivity(): void
  /** The session is over and its end is on record. Called once. */
  onDone(): void
  /** Something that no user can be told about any more. */
  onProblem(error: unknown): void
}

export interface ClientEndParameters extends ServedSessionParameters {
  channel: Channel
  /** Answers one request, in order. What it throws is why the session cannot begin. */
  handle(request: ChannelRequest): Promise<boolean>
  /** Resolves when everything that was passed on before has arrived. */
  barrier(): Promise<void>
  /** The program, wherever it runs, is not watched any more. `ended`: it was the session that was ended from here. */
  letGo(ended: boolean): void
}

/** What may be done to a session from outside, while it runs. */
export interface SessionHandle {
  /** Ends the session, telling the user why; nothing more reaches the user. */
  end(error: SallyportError): void
  /**
   * The session cannot be recorded any more. A strict one ends, and its user gets nothing that was not on its way yet;
   * any other goes on, and its user is told.
   */
  recordingLost(error: SallyportError): void
  /** A line for the user, beside the output. */
  tell(line: string): void
}

/** The end of a session that faces its client: requests, the record, the last words. */
export interface ClientEnd extends SessionHandle {
  /** Ended from here: from now on nothing is delivered. */
  readonly ended: boolean
  /** Over, or about to be. */
  readonly finishing: boolean
  readonly exit: SessionExit | undefined
  /** How the program ended; the first word of it counts. */
  noteExit(exit: SessionExit): void
  /** Puts the beginning on record. False when the client has left in the meantime. @throws what the record says */
  begin(asked: Asked): Promise<boolean>
  /** Follows the files that pass from here on, where the session is for that. */
  watch(kind: 'exec' | 'subsystem', command: string | undefined): void
  /** Sees output before it is delivered, and says when it may be. */
  output(stream: Stream): Tap | {withhold: WithholdingTap}
  /** Sees what the client types before it is passed on. */
  readonly input: Tap
  /** Passes on what somebody else has typed; the promise asks them to wait. */
  typed(sink: Writable, data: Buffer): Promise<void> | undefined
  /** The client reads stdout no more (PROTOCOL §2.1). */
  stopReading(): void
  /** What waits for a client that does not read is given up in a moment. */
  giveUpUnread(): void
  /** The session ends in order. */
  finish(): void
}

const startsProgram: ReadonlySet<string> = new Set(['shell', 'exec', 'subsystem'])

/** Takes the requests of a client's session channel from now on. */
export function clientEnd(parameters: ClientEndParameters): ClientEnd {
  const {channel, record, onActivity, onProblem} = parameters
  let transfer: TransferWatch | undefined
  let onTerminal = false
  let running = false
  let received = 0
  let exit: SessionExit | undefined
  /** Why the session cannot begin. Told when the program is asked for, which is when the client listens. */
  let refusal: SallyportError | undefined
  let ended = false
  let unread = false
  let finishing: Promise<void> | undefined

  const conclude = async (farewell: Promise<void>): Promise<void> => {
    // Nothing runs on that nobody watches.
    parameters.letGo(ended)
    const recording = (async () => {
      await transfer?.finish()
      await record.finish(exit, received)
    })()
    // Durable first: whoever sees the session end may look for its recording at once.
    await Promise.all([recording.catch(onProblem), farewell])
    channel.close()
    parameters.onDone()
  }
  const finish = (farewell: Promise<void> = Promise.resolve()): void => {
    finishing ??= conclude(farewell)
  }
  /** Ends after the channel was accepted reach the user as text and a status, as from a failing command. */
  const end = (error: SallyportError): void => {
    if (ended || finishing) return
    ended = true
    exit ??= {reason: error.message}
    finish(sayFarewell(channel, error))
  }
  const tell = (line: string): void => {
    // On a terminal there may be a prompt in the line.
    const fresh = onTerminal && running ? '\r\n' : ''
    if (!channel.writableEnded) channel.stderr.write(`${fresh}sallyport: ${line}\r\n`)
  }
  const answer = async (request: ChannelRequest): Promise<void> => {
    try {
      if (!refusal) return request.reply(await parameters.handle(request))
    } catch (error) {
      refusal = asProblem(error)
    }
    // Success, so that the client listens to what stderr says instead of printing its own guess.
    request.reply(true)
    if (startsProgram.has(request.type)) end(refusal)
  }

  const output = outputOnRecord({
    ...{record, onActivity},
    transfer: () => transfer,
    ended: () => ended,
    mayPass: stream => !(unread && stream === 'stdout'),
    onFailure: error => end(asProblem(error)),
  })
  const requests = requestQueue(answer, {barrier: parameters.barrier, onFlood: end})
  channel.awaitsStatus = true
  channel.onRequest = request => requests.push(request)
  if (channel.isClosed) finish()
  else channel.onClosed = () => finish()

  return {
    end,
    tell,
    get ended() {
      return ended
    },
    get finishing() {
      return finishing !== undefined
    },
    get exit() {
      return exit
    },
    noteExit(known) {
      exit ??= known
    },
    finish: () => finish(),
    recordingLost(error) {
      if (ended || finishing) return
      if (parameters.recordSession === 'strict' || isTaken(error)) {
        channel.dropUnsent()
        end(error)
      } else {
        tell(`the session goes on unrecorded: ${problemLine(error)}`)
      }
    },
    async begin(wish) {
      const {subsystem, terminal, files} = wish
      if (files && parameters.overseen) throw unseenTransfer()
      onTerminal = terminal !== undefined
      await output.begin(wish)
      if (subsystem !== undefined) await parameters.onSubsystem(subsystem)
      // The client may have left while the disk was busy.
      return finishing === undefined
    },
    watch(kind, command) {
      running = true
      transfer = parameters.watchTransfer(kind, command)
    },
    output: output.tap,
    input(chunk) {
      onActivity()
      if (ended || parameters.holdsInput?.()) return false
      received += chunk.length
      const wait = transfer?.input(chunk)
      return !ended && output.isOffRecord() ? output.recordAfterAll() : wait
    },
    typed(sink, data) {
      // Files that somebody else sends would pass for the user's.
      if (!sink.writable || ended || transfer) return undefined
      onActivity()
      received += data.length
      if (sink.write(data)) return undefined
      return new Promise(resolve => {
        sink.once('drain', resolve)
        sink.once('close', resolve)
      })
    },
    stopReading() {
      // OpenSSH grants no window any more for what it had not written: waiting for it would be for ever.
      unread = true
      channel.dropUnsent()
    },
    giveUpUnread() {
      // Last words on stderr may find no window either.
      if (unread) setTimeout(() => channel.dropUnsent(), farewellMilliseconds).unref()
    },
  }
}

async function sayFarewell(channel: Channel, error: SallyportError): Promise<void> {
  const written = new Promise<void>(resolve => {
    channel.stderr.write(`sallyport: ${problemLine(error)}\r\n`, () => resolve())
  })
  await within(farewellMilliseconds, written, () => undefined)
  void channel.request('exit-status', new WireWriter().u32(failureStatus).finish(), false)
}
