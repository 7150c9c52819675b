import type {AuthApi} from '../../auth/contract.js'
import {sessionId} from '../values.js'
import {eventNames} from './event-names.js'
import {type TimeRangeFlags, timeRange} from './time-range.js'

type Query = Parameters<AuthApi['listEvents']>[0]
type Event = Awaited<ReturnType<AuthApi['listEvents']>>[number]
type Api = Pick<AuthApi, 'listEvents'>

/** The flags by which commands narrow the audit log. */
export interface EventFlags extends TimeRangeFlags {
  event?: string[] | undefined
  user?: string | undefined
  host?: string | undefined
  login?: string | undefined
  sid?: string | undefined
  failed?: boolean
}

/** Records in one answer: some megabytes. */
const PAGE = 2000
const POLL_MS = 1000

/** What the flags ask for; `now` in Unix ms. Throws `usage`. */
export function eventQuery(flags: EventFlags, now: number): Query {
  const {event, user, host, login, sid, failed} = flags
  return {
    ...(event && {event: eventNames(event)}),
    ...(failed && {success: false}),
    ...(user !== undefined && {user}),
    ...(host !== undefined && {host}),
    ...(login !== undefined && {login}),
    ...(sid !== undefined && {sid: sessionId(sid)}),
    ...timeRange(flags, now),
  }
}

/** Every event that a query finds, oldest first, a page in memory at a time. */
export async function* allEvents(api: Api, query: Query): AsyncGenerator<Event> {
  for (let after = query.after ?? 0; ; ) {
    const page = await api.listEvents({...query, order: 'oldest', after, limit: PAGE})
    yield* page
    if (page.length < PAGE) return
    after = highest(page, after)
  }
}

/** The last events that a query finds, oldest first, and then each as it happens, without an end. */
export async function* followEvents(
  api: Api,
  query: Query,
  sleep: (ms: number) => Promise<unknown>,
): AsyncGenerator<Event> {
  let after = await latest(api, 0)
  const last = await api.listEvents(query)
  yield* last.toReversed()
  for (after = highest(last, after); ; ) {
    await sleep(POLL_MS)
    // What is asked for may be rare: it is looked for once in what is new, whatever that is.
    const head = await latest(api, after)
    if (head === after) continue
    for await (const event of allEvents(api, {...query, after})) {
      yield event
      after = Math.max(after, event.seq)
    }
    after = Math.max(after, head)
  }
}

const latest = async (api: Api, after: number): Promise<number> =>
  highest(await api.listEvents({after, limit: 1}), after)

const highest = (events: Event[], least: number): number =>
  events.reduce((most, {seq}) => Math.max(most, seq), least)
