import type {Address} from '../../names/index.js'
import {parsePins} from '../../pki/index.js'
import {askPinned} from './client.js'
import type {Enrolment, EnrolRequest} from './enrol-types.js'

export interface EnrolOptions {
  server: Address
  /** As `--ca-pin` has them, separated by commas. */
  pins: string
  insecure: boolean
  /** Unix ms. */
  now: () => number
  request: EnrolRequest
}

/**
 * Enrols a host at the auth service, which is known by its pins: nothing is sent to another.
 * @throws tls_untrusted, unavailable, token_invalid, access_denied, already_exists, rate_limited, invalid_input
 */
export const enrolOverNetwork = ({pins, request, ...server}: EnrolOptions): Promise<Enrolment> =>
  askPinned({...server, pins: pins === '' ? [] : parsePins(pins)}, api => api.enrolHost(request))
