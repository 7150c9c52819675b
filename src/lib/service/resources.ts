import type {Logger} from 'pino'

type Close = () => Promise<unknown> | unknown

/** What was opened, to be closed in the opposite order: nothing outlives what it stands on. */
export interface Resources {
  add(name: string, close: Close): void
  /** Closes everything, also when one of them fails: that is logged, and what follows is closed all the same. */
  close(logger: Pick<Logger, 'error'>): Promise<void>
}

export function createResources(): Resources {
  const open: {name: string; close: Close}[] = []
  return {
    add: (name, close) => open.push({name, close}),
    async close(logger) {
      for (let resource = open.pop(); resource; resource = open.pop()) {
        try {
          await resource.close()
        } catch (error) {
          logger.error({resource: resource.name, err: error}, 'could not be closed in order')
        }
      }
    },
  }
}
