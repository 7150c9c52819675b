import {problem, SallyportError} from '../../errors/index.js'
import {SEAL_CODE} from '../format/asciicast.js'
import {isGzip, type Member, readMembers} from '../format/gzip-members.js'
import {isObject, parseEvent, parseJson} from './event-line.js'

/**
 * How a recording ends, known once it was read: `sealed` by its store; `truncated`, sealed as one that was cut short;
 * `open`, without a seal, as every cast of another program or of a session that still runs; `cut` in the middle of a
 * chunk or line.
 */
export type CastEnd = 'sealed' | 'truncated' | 'open' | 'cut'

export interface ReadState {
  end: CastEnd
  /** What could not be read, where reading went on to the end nevertheless. */
  damage?: SallyportError
}

/**
 * The asciicast out of its gzip members, plain text as it is. Of a chunk that is cut off, the lines that are whole.
 * Throws `recording_corrupt` at the first damage.
 */
export async function* readContents(
  source: AsyncIterable<Uint8Array>,
  state: ReadState = {end: 'open'},
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) return
  const all = startingWith(first.value, iterator)
  if (!isGzip(first.value)) return yield* all
  for await (const member of readMembers(all)) {
    follow(member, state)
    const {content, complete} = member
    yield complete ? content : content.subarray(0, content.lastIndexOf(0x0a) + 1)
  }
}

/**
 * The bytes of a recording as they are stored, damaged ones too; `state` says in the end what became of it. Errors of the
 * source are thrown.
 */
export async function* readStored(
  source: AsyncIterable<Uint8Array>,
  state: ReadState,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  let read: Uint8Array[] = []
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const result = await iterator.next()
    if (!result.done) read.push(result.value)
    return result
  }
  const take = (): Uint8Array[] => {
    const taken = read
    read = []
    return taken
  }
  try {
    const members = followUntilDamage({[Symbol.asyncIterator]: () => ({next})}, state)
    for await (const _ of members) yield* take()
    yield* take()
    // What comes after damage cannot be told apart into chunks.
    while (!(await next()).done) yield* take()
  } finally {
    // Whoever stops early closes the source.
    await iterator.return?.()
  }
}

/** Yields after each member. */
async function* followUntilDamage(source: AsyncIterable<Uint8Array>, state: ReadState): AsyncGenerator<void> {
  try {
    for await (const member of readMembers(source)) {
      follow(member, state)
      yield
    }
  } catch (error) {
    state.damage = asDamage(error)
  }
}

/** Damage of a recording; throws any other error. */
export function asDamage(error: unknown): SallyportError {
  if (error instanceof SallyportError && error.code === 'recording_corrupt') return error
  throw error
}

function follow({complete, content}: Member, state: ReadState): void {
  if (!complete) state.end = 'cut'
  else if (content.indexOf(0x0a) === content.length - 1 && content.includes(`"${SEAL_CODE}"`)) {
    const {code, data} = parseEvent(content.toString('utf8'))
    if (code === SEAL_CODE) state.end = sealedEnd(data)
  }
}

/** The end that a seal says, which is JSON. Throws `recording_corrupt`. */
export function sealedEnd(seal: string): CastEnd {
  const value = parseJson(seal)
  return isObject(value) && value.truncated !== undefined ? 'truncated' : 'sealed'
}

async function* startingWith(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for (let next = first; ; ) {
      yield next
      const result = await rest.next()
      if (result.done) return
      next = result.value
    }
  } finally {
    // Whoever stops early closes the source.
    await rest.return?.()
  }
}

/**
 * What is wrong with a recording that ended like this, if anything; `stored` is what the index of its store says of it.
 */
export function endFault(end: CastEnd, stored?: 'live' | 'sealed' | 'truncated'): SallyportError | undefined {
  if (end === 'cut')
    return problem('recording_corrupt', 'the recording is cut off; this was all of it that can be read')
  if (stored === 'sealed' && end !== 'sealed')
    return problem('recording_corrupt', 'the end of the recording is missing, or is not the one that it had')
  return undefined
}

/** Of a recording without a single line. */
export const nothingToRead = ({end}: ReadState): SallyportError =>
  problem(
    'recording_corrupt',
    end === 'cut' ? 'the recording is cut off in its first line' : 'the recording is empty',
  )
