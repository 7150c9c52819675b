import {isAway, problem} from '../../errors/index.js'
import {within} from '../../waiting/index.js'
import {routeCurrent} from '../access/current-route.js'
import {decideCurrent} from '../access/current-user.js'
import type {AccessState} from '../access/state.js'
import type {Caller} from '../contract.js'
import {hostFilter} from '../inventory/hosts.js'
import type {SystemApi} from '../system-api.js'
import type {ClusterFollower} from './follower.js'

/** An auth service that takes longer to decide is as good as away. */
const decisionMilliseconds = 5000

/**
 * The API of a role, which answers from what is known of the cluster while the auth service is away: who may go where,
 * by the same rules, and who is believed. Everything else waits for it.
 */
export function withoutAuth(api: SystemApi, follower: ClusterFollower, caller: Caller): SystemApi {
  const orKnown = async <Answer>(
    ask: () => Promise<Answer>,
    know: (state: AccessState) => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      if (follower.isInTouch()) return await inTime(ask())
    } catch (error) {
      if (!isAway(error)) throw error
    }
    return know(follower.accessState())
  }
  return {
    ...api,
    decide: request =>
      orKnown(
        () => api.decide(request),
        async state => {
          const decision = await decideCurrent(state, request, caller)
          return {...decision, reason: `${decision.reason}, as known before the auth service went away`}
        },
      ),
    routeHost: request =>
      orKnown(
        () => api.routeHost(request),
        state => routeCurrent(state, request),
      ),
    listHosts: query =>
      orKnown(
        () => api.listHosts(query),
        async () => follower.state().hosts.filter(hostFilter(query)),
      ),
    trustedAuthorities: () =>
      orKnown(
        () => api.trustedAuthorities(),
        async () => follower.state().authorities,
      ),
  }
}

const inTime = <Answer>(asked: Promise<Answer>): Promise<Answer> =>
  within(decisionMilliseconds, asked, () => {
    throw problem('timeout', 'the auth service did not answer in time')
  })
