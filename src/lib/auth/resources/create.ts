import {randomUUID} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'
import {isPreset, mayUse, type Role} from '../../access/index.js'
import type {AuditInput} from '../../audit/index.js'
import type {Write} from '../../backend/index.js'
import {problem} from '../../errors/index.js'
import type {RoleDefinition} from '../access/role-resource.js'
import {presetChanged} from '../access/roles.js'
import {sameRole, storedRole} from '../access/stored-roles.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, ResourceOutcome} from '../contract.js'
import {hostFacts} from '../inventory/hosts.js'
import {type NodeDefinition, storedNode} from '../inventory/node-resource.js'
import {userKey} from '../names.js'
import {createTrustedCluster} from '../trust/trusted-clusters.js'
import {
  type Definition,
  maxResources,
  nameOf,
  readResource,
  resourceExists,
  type UserDefinition,
} from './resource.js'

const maxAttempts = 10

/** What one resource comes to: nothing, or a write with its event. */
interface Step {
  outcome: ResourceOutcome
  change?: {write: Write; event: AuditInput}
}

/** Makes roles and users from resources: all of them in one transaction, or none. */
export function createResourcesMethod(
  context: AuthContext,
  caller: Caller,
  callerRoles: readonly Role[],
): Pick<AuthApi, 'createResources'> {
  const actor = caller.kind === 'user' ? caller.name : caller.kind
  return {
    async createResources({resources, force = false}) {
      if (resources.length === 0 || resources.length > maxResources)
        throw problem('invalid_input', `1 to ${maxResources} resources can be created at a time`)
      const definitions = await Promise.all(resources.map(readResource).map(one => named(context, one)))
      for (const {kind} of definitions)
        for (const verb of force ? ['create', 'update'] : ['create'])
          if (caller.kind === 'user' && !mayUse(callerRoles, kind, verb))
            throw problem('access_denied', `your roles do not permit you to ${verb} a ${kind}`, {
              hint: 'ask an administrator',
            })
      refuseRepeated(definitions)
      const [only] = definitions
      if (only?.kind === 'trusted_cluster' && definitions.length === 1)
        return [await createTrustedCluster(context, only, force, actor)]
      await checkRolesOfUsers(context, definitions)
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const steps: Step[] = []
        for (const one of definitions) steps.push(await stepFor(context, one, force, actor))
        const changes = steps.flatMap(({change}) => (change ? [change] : []))
        const done =
          changes.length === 0 ||
          (await context.backend.transaction(changes.map(({write}) => write))) !== undefined
        if (!done) continue
        for (const {event} of changes) await context.emit(event)
        return steps.map(({outcome}) => outcome)
      }
      throw problem('unavailable', 'these resources are being changed by others', {hint: 'try again'})
    },
  }
}

function stepFor(context: AuthContext, definition: Definition, force: boolean, actor: string): Promise<Step> {
  switch (definition.kind) {
    case 'role':
      return roleStep(context, definition, force, actor)
    case 'user':
      return userStep(context, definition, force, actor)
    case 'node':
      return nodeStep(context, definition, force, actor)
    case 'trusted_cluster':
      // What another cluster has agreed to cannot be taken back with the rest of a transaction.
      throw problem('invalid_input', 'a trusted cluster is created by itself, in a file of its own')
  }
}

/** A host that is registered without a UUID is the one that stands there already, or a new one. */
async function named({inventory}: AuthContext, definition: Definition): Promise<Definition> {
  if (definition.kind !== 'node' || definition.name !== '') return definition
  const {hostname, address} = definition
  const same = (await inventory.matching([hostname])).find(
    host => host.subKind === 'openssh' && host.hostname === hostname && host.address === address,
  )
  return {...definition, name: same?.id ?? randomUUID()}
}

async function nodeStep(
  {inventory, now}: AuthContext,
  definition: NodeDefinition,
  force: boolean,
  actor: string,
): Promise<Step> {
  const {name} = definition
  const outcome = (done: ResourceOutcome['outcome']): ResourceOutcome => ({kind: 'node', name, outcome: done})
  const current = await inventory.records.get(name)
  const stored = storedNode(definition, now(), current?.value)
  const fields = hostFacts(actor, name, stored)
  if (!current) {
    const write = inventory.records.creating(name, stored)
    return {outcome: outcome('created'), change: {write, event: {event: 'node.created', fields}}}
  }
  if (current.value.subKind !== 'openssh')
    throw problem('already_exists', `the UUID ${name} is that of a node of our own; nothing was created`)
  if (!force) throw resourceExists(`node ${name} (${current.value.hostname})`)
  if (isDeepStrictEqual({...current.value, registered: stored.registered}, stored))
    return {outcome: outcome('unchanged')}
  const write = inventory.records.replacing(name, current.revision, stored)
  return {outcome: outcome('updated'), change: {write, event: {event: 'node.updated', fields}}}
}

async function roleStep(
  {roles}: AuthContext,
  definition: RoleDefinition,
  force: boolean,
  actor: string,
): Promise<Step> {
  const {name} = definition.role
  const outcome = (done: ResourceOutcome['outcome']): ResourceOutcome => ({kind: 'role', name, outcome: done})
  const event = (what: 'role.created' | 'role.updated'): AuditInput => ({
    event: what,
    fields: {by: actor, name},
  })
  const current = await roles.get(name)
  if (!current) {
    const write = roles.records.creating(name, storedRole(definition))
    return {outcome: outcome('created'), change: {write, event: event('role.created')}}
  }
  // What `get roles` printed can be given back whole, presets included.
  const same = sameRole(current.resource, definition)
  if (same && (force || current.preset)) return {outcome: outcome('unchanged')}
  if (isPreset(name)) throw presetChanged(name)
  if (!force) throw resourceExists(`role ${name}`)
  const write = roles.records.replacing(name, current.revision, storedRole(definition))
  return {outcome: outcome('updated'), change: {write, event: event('role.updated')}}
}

async function userStep(
  {users, now}: AuthContext,
  {name, logins, roles}: UserDefinition,
  force: boolean,
  actor: string,
): Promise<Step> {
  const outcome = (done: ResourceOutcome['outcome']): ResourceOutcome => ({kind: 'user', name, outcome: done})
  const event = (what: 'user.create' | 'user.update'): AuditInput => ({
    ...{event: what, user: name},
    fields: {by: actor, logins, roles},
  })
  const current = await users.get(userKey(name))
  if (!current) {
    const write = users.creating(userKey(name), {version: 1, name, logins, roles, created: now()})
    return {outcome: outcome('created'), change: {write, event: event('user.create')}}
  }
  if (!force) throw resourceExists(`user ${name}`)
  if (isDeepStrictEqual([current.value.logins, current.value.roles], [logins, roles]))
    return {outcome: outcome('unchanged')}
  const write = users.replacing(userKey(name), current.revision, {...current.value, logins, roles})
  return {outcome: outcome('updated'), change: {write, event: event('user.update')}}
}

function refuseRepeated(definitions: readonly Definition[]): void {
  const names = definitions.map(one => {
    const name = nameOf(one)
    return `${one.kind}/${one.kind === 'user' ? userKey(name) : name}`
  })
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw problem('invalid_input', `${twice} is there twice`)
}

/** Every role of a user has to exist, or to come with the user. */
async function checkRolesOfUsers({roles}: AuthContext, definitions: readonly Definition[]): Promise<void> {
  const coming = definitions.filter(({kind}) => kind === 'role').map(nameOf)
  for (const definition of definitions) {
    if (definition.kind !== 'user') continue
    for (const name of definition.roles) {
      if (coming.includes(name) || (await roles.get(name))) continue
      throw problem('invalid_input', `user ${definition.name}: there is no role ${name}`, {
        hint: 'create it first, or in the same file',
      })
    }
  }
}
