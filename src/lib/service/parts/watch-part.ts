import type {Socket} from 'node:net'
import type {AuthApi} from '../../auth/contract.js'
import {asProblem, problem, problemLine, type SallyportError} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import {type SessionHub, watchHere} from '../../session/index.js'
import {startWatchSocket} from '../admin-socket.js'
import type {Part} from './part.js'

const maxWishBytes = 1024

/**
 * Lets the administrator of this machine look on at the sessions that it holds, without a login: whoever may open the
 * socket runs the service. Those of other machines are reached by SSH alone, as a user.
 */
export async function startWatchPart(
  {config, resources}: Pick<Part, 'config' | 'resources'>,
  auth: Pick<AuthApi, 'listTrackers'>,
  hub: SessionHub | undefined,
): Promise<void> {
  const watching = new Set<Promise<void>>()
  const socket = await startWatchSocket(config.dataDir, connection => {
    const served = serve(connection, auth, hub)
      .catch(thrown => {
        connection.end(`${JSON.stringify({error: problemLine(asProblem(thrown))})}\n`)
      })
      .finally(() => watching.delete(served))
    watching.add(served)
  })
  resources.add('watch socket', async () => {
    await socket.close()
    // That they left is on record before the log closes.
    await Promise.all(watching)
  })
}

async function serve(
  connection: Socket,
  auth: Pick<AuthApi, 'listTrackers'>,
  hub: SessionHub | undefined,
): Promise<void> {
  const sid = await readWish(connection)
  // What else comes is of no interest, but that it ends is.
  connection.resume()
  if (!(await watchHere(hub, sid, connection))) throw await notHere(auth, sid)
}

/** One line: the session ID. @throws invalid_input */
async function readWish(connection: Socket): Promise<string> {
  const line = await new Promise<string>((resolve, reject) => {
    let text = ''
    const take = (data: Buffer): void => {
      text += data.toString('latin1')
      if (!text.includes('\n') && text.length <= maxWishBytes) return
      connection.off('data', take)
      resolve(text.split('\n')[0] ?? '')
    }
    connection.on('data', take)
    connection.once('close', () => reject(problem('cancelled', 'nobody asked for a session')))
  })
  if (isUuid(line)) return line
  throw problem('invalid_input', 'that is not a session ID')
}

async function notHere(auth: Pick<AuthApi, 'listTrackers'>, sid: string): Promise<SallyportError> {
  const tracker = (await auth.listTrackers()).find(one => one.sid === sid)
  if (!tracker)
    return problem('not_found', `no session ${sid} runs now`, {hint: 'see `sallyport sessions ls`'})
  return problem('unavailable', `the session runs at ${tracker.holder}, and not on this machine`, {
    hint: 'watch it as a user whose roles permit that: log in, or name an identity with --identity',
  })
}
