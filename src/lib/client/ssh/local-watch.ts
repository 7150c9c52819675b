import {once} from 'node:events'
import type {Socket} from 'node:net'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {setTimeout as delay} from 'node:timers/promises'
import {findDataDir} from '../../config/index.js'
import {asProblem, parseProblemLine, problem} from '../../errors/index.js'
import type {AuthFlags} from '../api/auth-access.js'
import {connectTo} from '../api/auth-through-socket.js'
import {createCleaner, isSmaller, readingMilliseconds, restoreScreen, withJoinedSession} from './join.js'
import {openTerminal} from './terminal.js'

/**
 * Looks on at a session until it ends, or until this side leaves: on the auth host as its administrator, where the session
 * is held there; otherwise, or where `--proxy`, `--identity` or `--user` say that it is a user who asks, as that user.
 * @throws not_found, not_logged_in, service_not_running, …
 */
export async function withWatchedSession(flags: AuthFlags, sid: string): Promise<void> {
  const asUser = () => withJoinedSession(flags, {sid, mode: 'observer'})
  const {proxy, identity, user, config} = flags
  if ((proxy ?? identity ?? user) !== undefined) return await asUser()
  const named = (config ?? flags['data-dir']) !== undefined
  const directory = await findDataDir({config, dataDir: flags['data-dir']})
  const connection = await connectTo(join(directory, 'watch.sock')).catch(error => {
    if (named) throw error
  })
  if (!connection) return await asUser()
  try {
    await watchThrough(connection, sid)
  } catch (thrown) {
    const error = asProblem(thrown)
    if (named || error.code !== 'unavailable') throw error
    // It runs on another machine, where a login may lead.
    await asUser().catch(other => {
      throw asProblem(other).code === 'not_logged_in' ? error : other
    })
  }
}

const ctrlC = 0x03

/** Shows what the service sends, a line of JSON each (docs/wire-protocol.md). */
async function watchThrough(connection: Socket, sid: string): Promise<void> {
  const {stdin, stdout, stderr} = process
  const clean = createCleaner()
  let [shown, left, ended] = [false, false, false]
  const leave = (): void => {
    left = true
    connection.destroy()
  }
  const keyboard =
    stdin.isTTY && stdout.isTTY
      ? openTerminal({
          onData(data) {
            if (data.includes(ctrlC)) leave()
            return true
          },
          ...{onResize: () => undefined, onDisconnect: leave, onEnd: leave},
        })
      : undefined
  const show = async (text: string): Promise<void> => {
    const cleaned = clean(Buffer.from(text))
    const whole = keyboard && !shown ? cleaned.replace(/\r?\n/g, '\r\n') : cleaned
    if (!stdout.write(whole)) await once(stdout, 'drain')
  }
  try {
    connection.write(`${sid}\n`)
    const lines = createInterface({input: connection})
    connection.once('close', () => lines.close())
    for await (const line of lines) {
      const frame = JSON.parse(line)
      if (typeof frame.error === 'string') throw parseProblemLine(frame.error, 'unavailable')
      if (typeof frame.tell === 'string') stderr.write(`sallyport: ${frame.tell}\r\n`)
      if (typeof frame.show === 'string') await show(frame.show)
      if (frame.size && !shown) {
        shown = true
        // The screen would be drawn over that before anybody could read it.
        if (isSmaller(frame.size, {stdout, stderr}) && keyboard) await delay(readingMilliseconds)
      }
      ended ||= frame.end === true
    }
    if (!ended && !left) throw problem('unavailable', 'the service has gone away', {hint: 'watch again'})
  } finally {
    keyboard?.restore()
    connection.destroy()
    if (stdout.isTTY && shown && !ended) stdout.write(restoreScreen)
  }
}
