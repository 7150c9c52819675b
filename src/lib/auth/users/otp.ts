import {randomBytes} from 'node:crypto'
import type {OtpUse, Records} from '../records.js'

/** RFC 6238 as every authenticator app does it: SHA-1, six digits, thirty seconds; one step of clock skew. */
const digits = 6
const periodSeconds = 30
const skewSteps = 1

export interface OneTimePasswords {
  newSecret(): Promise<string>
  /** `otpauth://…` for a QR code. */
  uri(secret: string, user: string): Promise<string>
  /** The counter of the code when it is right for this secret now, else undefined. Does not use the code up. */
  match(secret: string, code: string): Promise<number | undefined>
  /** Uses the code up for this user: true for exactly one of any number of attempts, and never for an older code. */
  use(user: string, counter: number): Promise<boolean>
}

export function createOneTimePasswords(
  uses: Records<OtpUse>,
  clusterName: string,
  now: () => number,
): OneTimePasswords {
  const load = () => import('otpauth')
  const totp = async (secret: string, label: string) => {
    const {TOTP, Secret} = await load()
    return new TOTP({
      issuer: clusterName,
      label,
      algorithm: 'SHA1',
      digits,
      period: periodSeconds,
      secret: Secret.fromBase32(secret),
    })
  }
  return {
    async newSecret() {
      const {Secret} = await load()
      const bytes = randomBytes(20)
      return new Secret({buffer: new Uint8Array(bytes).buffer}).base32
    },
    async uri(secret, user) {
      return (await totp(secret, user)).toString()
    },
    async match(secret, code) {
      if (!/^\d{6}$/.test(code)) return undefined
      const delta = (await totp(secret, 'check')).validate({token: code, timestamp: now(), window: skewSteps})
      return delta === null ? undefined : Math.floor(now() / 1000 / periodSeconds) + delta
    },
    async use(user, counter) {
      const value: OtpUse = {version: 1, counter}
      const last = await uses.get(user)
      if (!last) return uses.create(user, value)
      return counter > last.value.counter && (await uses.replace(user, last.revision, value))
    },
  }
}
