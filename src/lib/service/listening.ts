import {asProblem, problem, SallyportError} from '../errors/index.js'

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program uses this port',
  EACCES: 'this account may not use this port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'the host name is unknown',
}

/** A place where something is to listen, and the setting that says so. */
export interface ListeningPlace {
  what: string
  address: string
  setting: string
}

/**
 * Waits for something that listens in these places; what keeps it from one of them becomes `config_invalid` naming the
 * setting.
 */
export async function listening<T>(
  places: readonly [ListeningPlace, ...ListeningPlace[]],
  starting: Promise<T>,
): Promise<T> {
  try {
    return await starting
  } catch (thrown) {
    if (thrown instanceof SallyportError) throw thrown
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
    const reason = reasons[code]
    if (reason === undefined) throw asProblem(thrown)
    const port = thrown instanceof Error && 'port' in thrown ? `:${thrown.port}` : ''
    const {what, address, setting} = places.find(place => place.address.endsWith(port)) ?? places[0]
    throw problem('config_invalid', `${what} cannot listen on ${address}: ${reason}`, {
      hint: `set ${setting} to a free address and port`,
      cause: thrown,
    })
  }
}

/** Whether it stands for every address of the machine. */
export const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'
