import {
  type AccessDecision,
  chooseHost,
  decide,
  foreignName,
  mapRoles,
  mayReach,
  namesOf,
} from '../../access/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, ForeignAdmission} from '../contract.js'

/**
 * Users of a cluster that this one trusts. They have no account here; what they may do is what the roles may do that the
 * role map gives them, and nothing where it gives none.
 */
export const foreignUserMethods = (context: AuthContext): Pick<AuthApi, 'admitForeign'> => ({
  async admitForeign({cluster, identity, login, host, port, addresses = []}): Promise<ForeignAdmission> {
    const {inventory, locks, now, settings, trust} = context
    const root = (await trust.roots.get(cluster))?.value
    const here = {...identity, user: foreignName(identity.user, cluster), roles: [] as string[]}
    const refused = (reason: string): ForeignAdmission => ({
      identity: here,
      route: {kind: 'none'},
      decision: {allowed: false, reason},
    })
    if (!root?.enabled) return refused(`this cluster does not trust ${cluster}`)
    here.roles = mapRoles(root.roleMap, identity.roles)
    if (here.roles.length === 0) return refused(`no role of ${identity.user} in ${cluster} means one here`)
    const roles = await context.roles.named(here.roles)
    const found = (await inventory.matching([host, ...addresses])).map(one => ({
      host: one,
      visible: mayReach(roles, here, one.labels),
    }))
    const {routingStrategy: strategy = 'unambiguous_match'} = settings
    const route = chooseHost(found, {host, port, addresses}, {strategy, now: now()})
    const at = route.kind === 'host' ? route.host : undefined
    const facts = at && {hostId: at.id, labels: at.labels, aliases: namesOf(at)}
    const inForce = await locks.list()
    const judge = (wanted: string): AccessDecision =>
      decide(roles, {identity: here, login: wanted, host, ...facts}, settings.access, inForce)
    if (login !== undefined) return {identity: here, route, decision: judge(login)}
    // Which login a connection is for that nobody here can read shows at the host: any may open the way.
    const decisions = identity.logins.map(judge)
    const decision = decisions.find(({allowed}) => allowed) ?? decisions[0]
    return decision ? {identity: here, route, decision} : refused('the certificate is for no login')
  },
})
