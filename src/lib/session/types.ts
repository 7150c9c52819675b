import type {AuthApi} from '../auth/contract.js'

/** What the records of sessions need of the auth service. */
export type SessionAuth = Pick<AuthApi, 'emit' | 'beginRecording' | 'appendRecording' | 'sealRecording'>

export interface Log {
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
}
