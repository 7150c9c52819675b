import {problem, type SallyportError} from '../../errors/index.js'
import type {Caller, JoinRole} from '../contract.js'

/** The machine that calls, which has joined. @throws access_denied */
export function joinedMachine(caller: Caller): {hostId: string; role: JoinRole} {
  if (caller.kind === 'system' && caller.hostId !== undefined) return {...caller, hostId: caller.hostId}
  throw notJoined()
}

const notJoined = (): SallyportError =>
  problem('access_denied', 'certificates are renewed for machines that have joined', {
    hint: 'join again with a new token: sallyport nodes add',
  })
