import {chooseHost, type Route} from '../../access/index.js'
import type {HostRouteRequest} from '../contract.js'
import {reachOf} from './current-user.js'
import type {AccessState} from './state.js'

/** Which host of the inventory somebody means, by what they may see now. */
export async function routeCurrent(
  state: AccessState,
  {identity, host, port, addresses = []}: HostRouteRequest,
): Promise<Route> {
  const candidates = await state.inventory.matching([host, ...addresses])
  if (candidates.length === 0) return {kind: 'none'}
  const reaches = await reachOf(state, identity)
  const found = candidates.map(one => ({host: one, visible: reaches(one)}))
  const {routingStrategy: strategy = 'unambiguous_match'} = state.settings
  return chooseHost(found, {host, port, addresses}, {strategy, now: state.now()})
}
