import type {JoinRole} from '../auth/index.js'

/** How a role fares whose auth service is on another machine. */
export interface RoleHealth {
  role: JoinRole
  /** `refused`: it is there, and has locked this machine out. */
  auth: 'in touch' | 'away' | 'refused'
  /** How old what decisions are made from is; 0 in touch. */
  known_seconds: number
  /** Why no new session begins; absent while they do. */
  reason?: string
  /** What waits for the auth service on the disk of this machine. */
  outbox: {
    events: number
    recordings: number
    bytes: number
    cap_bytes: number
    /** Since when something has been waiting, ISO 8601; absent where nothing is. */
    oldest?: string
  }
}

/** Whether a process takes new sessions, and how its roles fare. */
export interface Health {
  add(report: () => RoleHealth): void
  /** Between being ready and being stopped. */
  open: boolean
  ready(): boolean
  /** In words for whoever watches the process: nobody is named. */
  told(): {status: 'ok' | 'not ready'; roles: RoleHealth[]}
}

export function createHealth(): Health {
  const reports: (() => RoleHealth)[] = []
  const roles = (): RoleHealth[] => reports.map(report => report())
  const health: Health = {
    open: false,
    add: report => void reports.push(report),
    ready: () => health.open && roles().every(({reason}) => reason === undefined),
    told: () => ({status: health.ready() ? 'ok' : 'not ready', roles: roles()}),
  }
  return health
}
