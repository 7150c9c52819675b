import {isPreset} from '../../access/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, RoleRecord} from '../contract.js'
import {readResource} from '../resources/resource.js'
import {sameRole, storedRole} from './stored-roles.js'

type RoleMethods = Pick<AuthApi, 'listRoles' | 'getRole' | 'updateRole' | 'removeRole'>

/** Administration of roles. `actor` is who asks, for the audit log. */
export function roleMethods(context: AuthContext, actor: string): RoleMethods {
  const {roles, emit} = context
  const find = async (name: string): Promise<RoleRecord> => {
    const found = await roles.get(name)
    if (found) return found
    throw unknownRole(name)
  }
  return {
    listRoles: () => roles.list(),
    getRole: find,
    async updateRole({resource, revision}) {
      const definition = readResource(resource)
      if (definition.kind !== 'role') throw problem('invalid_input', 'this is not a role')
      const {name} = definition.role
      if (isPreset(name)) throw presetChanged(name)
      const current = await find(name)
      if (sameRole(current.resource, definition)) return current
      if (await roles.records.replace(name, revision, storedRole(definition))) {
        await emit({event: 'role.updated', fields: {by: actor, name}})
        return find(name)
      }
      throw problem('unavailable', `the role ${name} was changed by somebody else in the meantime`, {
        hint: 'look at it and change it again',
      })
    },
    async removeRole({name, force = false}) {
      if (isPreset(name)) throw presetChanged(name)
      await find(name)
      const holders = await holdersOf(context, name)
      if (holders.length > 0 && !force)
        throw problem('invalid_input', `the role ${name} is still held by ${shortList(holders)}`, {
          hint: 'take it from them with `sallyport users update --roles`, or add --force',
        })
      if (!(await roles.records.delete(name))) throw unknownRole(name)
      await emit({event: 'role.deleted', fields: {by: actor, name, holders}})
    },
  }
}

const holdersOf = async ({users}: AuthContext, role: string): Promise<string[]> =>
  (await users.list()).filter(({roles}) => roles.includes(role)).map(({name}) => name)

const maxListed = 5

const shortList = (names: readonly string[]): string => {
  const more = names.length - maxListed
  return names.slice(0, maxListed).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const unknownRole = (name: string): SallyportError =>
  problem('not_found', `there is no role ${JSON.stringify(name.slice(0, 80))}`, {
    hint: 'see `sallyport get roles`',
  })

export const presetChanged = (name: string): SallyportError =>
  problem('invalid_input', `the role ${name} belongs to every cluster and cannot be changed`, {
    hint: 'make a role of another name',
  })

/** Roles as a user may have them: existing ones, without repeated ones. @throws invalid_input */
export async function checkRoles({roles}: AuthContext, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) throw problem('invalid_input', 'a user needs at least one role')
  for (const name of names) {
    if (await roles.get(name)) continue
    throw problem('invalid_input', `there is no role ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'see `sallyport get roles`',
    })
  }
  return [...new Set(names)]
}
