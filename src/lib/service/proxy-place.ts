import {asProblem, problemLine} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {machineAddress} from './addresses.js'
import type {AuthLink} from './auth-link.js'
import type {Part} from './parts/part.js'

const beatMilliseconds = 10 * 60_000
const retryMilliseconds = 15_000

/** Tells the cluster where other proxies reach this one, for who joins sessions that it holds. Returns how to stop. */
export function keepPlace({config, logger}: Part, link: AuthLink, listening: Address): () => void {
  const address = machineAddress(config.advertiseIp, listening)
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const tell = (): void => {
    const told = link
      .as('proxy')
      .placeProxy({address})
      .then(
        () => beatMilliseconds,
        error => {
          logger.warn({error: problemLine(asProblem(error))}, 'the cluster does not know where this proxy is')
          return retryMilliseconds
        },
      )
    void told.then(pause => {
      if (!stopped) timer = setTimeout(tell, pause).unref()
    })
  }
  tell()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
