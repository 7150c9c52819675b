import type {TerminalSize} from '../session/index.js'
import {type Channel, type ChannelOpen, openFailure} from '../ssh/index.js'

/** Sizes of the connection's terminal as text, `columns:rows`, one write for each change; a client sends nothing on it. */
export const resizeEventsChannel = 'x-teleport-request-resize-events'

const maxSubscribers = 4

/** Tells clients that ask for it of every change of a terminal's size, for those that draw what others type. */
export interface ResizeEvents {
  announce(size: TerminalSize): void
  subscribe(open: ChannelOpen): void
}

export function createResizeEvents(): ResizeEvents {
  const channels = new Set<Channel>()
  let latest: string | undefined
  return {
    announce({columns, rows}) {
      latest = `${columns}:${rows}`
      // One that does not read misses sizes; only the last one counts for it anyway.
      for (const channel of channels) if (!channel.writableNeedDrain) channel.write(latest)
    },
    subscribe(open) {
      if (channels.size >= maxSubscribers)
        return open.reject(openFailure.resourceShortage, 'too many channels')
      const channel = open.accept()
      channels.add(channel)
      channel.resume()
      channel.stderr.resume()
      channel.onClosed = () => void channels.delete(channel)
      if (latest !== undefined) channel.write(latest)
    },
  }
}
