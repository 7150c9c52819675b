import {asProblem, problem, SallyportError} from '../errors/index.js'

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program uses this port',
  EACCES: 'this account may not use this port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'the host name is unknown',
}

/** Waits for a service to listen; what keeps it from that becomes `config_invalid` naming the setting. */
export async function listening<T>(
  what: string,
  {address, setting}: {address: string; setting: string},
  starting: Promise<T>,
): Promise<T> {
  try {
    return await starting
  } catch (thrown) {
    if (thrown instanceof SallyportError) throw thrown
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
    const reason = reasons[code]
    if (reason === undefined) throw asProblem(thrown)
    throw problem('config_invalid', `${what} cannot listen on ${address}: ${reason}`, {
      hint: `set ${setting} to a free address and port`,
      cause: thrown,
    })
  }
}
