import {mayReach, type Role} from '../../access/index.js'
import {roleOf} from '../access/stored-roles.js'
import type {RoleConditionsResource, RoleResource} from '../resources/types.js'
import type {ClusterState} from './state-types.js'

/**
 * Of the state of the cluster, what a node decides by: its own entry in the inventory, the users who may come there by
 * their roles, and those roles without what they say about the administration of the cluster. A node that was broken
 * into learns of no other host, and of nobody whom it never sees. All locks are in it: whoever passed one over would let
 * somebody in. Pure.
 */
export function stateForNode(state: ClusterState, hostId: string | undefined): ClusterState {
  const own = state.hosts.filter(({id}) => id === hostId)
  const labels = own[0]?.labels ?? {}
  const resources = new Map(state.roles.map(resource => [resource.metadata.name, resource]))
  const known = new Map<string, Role | 'unreadable'>()
  const named = (name: string): (Role | 'unreadable')[] => {
    const resource = resources.get(name)
    if (!resource) return []
    const role = known.get(name) ?? readRole(resource)
    known.set(name, role)
    return [role]
  }
  const mayCome = (user: ClusterState['users'][number]): boolean => {
    const roles = user.roles.flatMap(named)
    const readable = roles.filter(role => role !== 'unreadable')
    return readable.length < roles.length || mayReach(readable, user, labels)
  }
  const users = state.users.filter(mayCome)
  const needed = new Set(users.flatMap(({roles}) => roles))
  return {
    ...state,
    ...{hosts: own, users},
    roles: state.roles.filter(({metadata}) => needed.has(metadata.name)).map(withoutRules),
  }
}

function readRole(resource: RoleResource): Role | 'unreadable' {
  try {
    return roleOf(resource)
  } catch {
    // The node cannot read it either, and refuses whoever has it. Nobody else has to suffer for it.
    return 'unreadable'
  }
}

const withoutRules = ({
  spec: {allow, deny, options},
  metadata: {name},
  ...rest
}: RoleResource): RoleResource => ({
  ...rest,
  metadata: {name},
  spec: {
    ...(allow && {allow: aboutHosts(allow)}),
    ...(deny && {deny: aboutHosts(deny)}),
    ...(options && {options}),
  },
})

const aboutHosts = ({rules: _rules, ...conditions}: RoleConditionsResource): RoleConditionsResource =>
  conditions
