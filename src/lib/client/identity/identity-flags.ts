import {parseProxyAddress} from '../address.js'
import type {IdentityOptions} from './identity.js'

/** The flags by which a command learns as whom to act, as `clientFlags` parses them. */
export interface IdentityFlags {
  proxy?: string | undefined
  user?: string | undefined
  identity?: string | undefined
  insecure?: boolean
}

/** What `loadIdentity` needs, from flags and the environment. @throws invalid_input for a proxy that is no address */
export const identityOptions = (
  {proxy, user, identity, insecure}: IdentityFlags,
  env: NodeJS.ProcessEnv = process.env,
): IdentityOptions => ({
  proxy: proxy === undefined ? undefined : parseProxyAddress(proxy),
  ...{user, identity},
  agentSocket: env.SSH_AUTH_SOCK || undefined,
  ...(insecure !== undefined && {insecure}),
})
