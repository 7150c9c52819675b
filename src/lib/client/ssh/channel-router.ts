import {type ChannelOpen, openFailure, type SshConnection} from '../../ssh/index.js'

/** Takes the channel, or answers false so that the next handler is asked. */
export type ChannelHandler = (open: ChannelOpen) => boolean

export interface ChannelRouter {
  /** Returns a function that takes the handler away again. */
  add(type: string, handler: ChannelHandler): () => void
}

/** Gives channels that the host opens to whoever asked for them; all others are refused. */
export function createChannelRouter(connection: SshConnection): ChannelRouter {
  const handlers: {type: string; handler: ChannelHandler}[] = []
  connection.onChannelOpen = open => {
    const taken = handlers.some(({type, handler}) => type === open.type && handler(open))
    if (!taken) open.reject(openFailure.administrativelyProhibited, 'this was not asked for')
  }
  return {
    add(type, handler) {
      const entry = {type, handler}
      handlers.push(entry)
      return () => void handlers.splice(handlers.indexOf(entry), 1)
    },
  }
}
