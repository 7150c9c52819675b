import type {AuthApi, SessionTracker} from '../../auth/contract.js'

export interface TrackerOptions {
  auth: Pick<AuthApi, 'upsertTracker' | 'removeTracker'>
  sid: string
  /** The session as it is now. */
  describe(): SessionTracker
  onProblem(error: unknown): void
}

/** Keeps what the cluster knows of a session true. */
export interface KeptTracker {
  /** Resolves when what is so now is known, or to false when the cluster could not be told. */
  update(): Promise<boolean>
  /** The session is over. Nothing is said of it afterwards. */
  remove(): Promise<void>
}

/** One word at a time: of the changes that come while the cluster is being told, the last one counts. */
export function keepTracker({auth, sid, describe, onProblem}: TrackerOptions): KeptTracker {
  let telling: Promise<boolean> | undefined
  let next: Promise<boolean> | undefined
  let removed = false

  const tell = async (): Promise<boolean> => {
    if (removed) return false
    try {
      await auth.upsertTracker(describe())
      return true
    } catch (error) {
      onProblem(error)
      return false
    }
  }
  const begin = (): Promise<boolean> => {
    next = undefined
    telling = tell().finally(() => {
      telling = undefined
    })
    return telling
  }
  return {
    update() {
      if (!telling) return begin()
      next ??= telling.then(begin)
      return next
    },
    async remove() {
      if (removed) return
      removed = true
      await telling
      // What cannot be removed expires.
      await auth.removeTracker(sid).catch(onProblem)
    },
  }
}
