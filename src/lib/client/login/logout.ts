import {asProblem} from '../../errors/index.js'
import {type KeyStoreContext, removeKey} from '../identity/key-store.js'
import {type Profile, removeProfile} from '../identity/profile.js'
import {removeFromAgent} from './agent-keys.js'

export interface LogoutOptions extends KeyStoreContext {
  agentSocket: string | undefined
}

/**
 * Forgets a login: the agent's entry, the key, the profile. What cannot be reached is said and does not keep the
 * rest from going.
 */
export async function logOut(profile: Profile, options: LogoutOptions): Promise<void> {
  const {agentSocket, home, notice} = options
  if (agentSocket !== undefined) {
    await removeFromAgent(agentSocket, profile.cluster, profile.user).catch(error => {
      notice(`the ssh-agent may still hold the certificate of ${profile.user}: ${asProblem(error).message}`)
    })
  }
  await removeKey(profile, options)
  await removeProfile(home, profile)
}
