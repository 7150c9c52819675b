import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'

/** The auth service, as whoever is asking. */
export interface AuthConnection {
  api: RemoteAuthApi
  close(): Promise<void>
}
