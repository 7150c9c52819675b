import {isDeepStrictEqual} from 'node:util'
import {isPreset, presetRoles, type Role} from '../../access/index.js'
import {problem} from '../../errors/index.js'
import type {RoleRecord} from '../contract.js'
import type {Records, StoredRole} from '../records.js'
import {readResource} from '../resources/resource.js'
import type {RoleResource} from '../resources/types.js'
import {type RoleDefinition, roleNameProblem, roleResource} from './role-resource.js'

/** The roles there are: the presets, and those that administrators have made. */
export interface StoredRoles {
  get(name: string): Promise<RoleRecord | undefined>
  list(): Promise<RoleRecord[]>
  /**
   * The roles of these names; a name that no role has is left out.
   * @throws store_failed where a role cannot be understood: what it would deny must not be passed over
   */
  named(names: readonly string[]): Promise<Role[]>
  records: Records<StoredRole>
}

const presetDescriptions: Readonly<Record<string, string>> = {
  access: 'Own logins on every host',
  auditor: 'Sees the sessions and events of everybody',
  editor: 'Administers users, roles and locks',
}

const preset = (role: Role): RoleRecord => ({
  resource: roleResource({role, ...describe(presetDescriptions[role.name])}),
  preset: true,
  revision: 0,
})

const describe = (description: string | undefined) => (description === undefined ? {} : {description})

const presets: Readonly<Record<string, RoleRecord>> = Object.fromEntries(
  Object.values(presetRoles).map(role => [role.name, preset(role)]),
)

export function createStoredRoles(records: Records<StoredRole>): StoredRoles {
  const get = async (name: string): Promise<RoleRecord | undefined> => {
    if (isPreset(name)) return presets[name]
    // Names come from certificates and requests; what is no name of a role is no key either.
    if (roleNameProblem(name) !== undefined) return undefined
    const stored = await records.get(name)
    return stored && {resource: resourceOf(stored.value), preset: false, revision: stored.revision}
  }
  return {
    get,
    async list() {
      const stored = await records.entries()
      return [
        ...Object.values(presets),
        ...stored.map(({value, revision}) => ({resource: resourceOf(value), preset: false, revision})),
      ]
    },
    async named(names) {
      const found = await Promise.all([...new Set(names)].map(get))
      return found.flatMap(record => (record ? [roleOf(record.resource)] : []))
    },
    records,
  }
}

const resourceOf = ({resource}: StoredRole): RoleResource => resource as unknown as RoleResource

export const roleOf = (resource: RoleResource): Role => {
  const {name} = resource.metadata
  if (isPreset(name)) return presetRoles[name] as Role
  try {
    return (readResource(resource) as RoleDefinition).role
  } catch (cause) {
    throw problem('store_failed', `the stored role ${name} cannot be understood`, {cause})
  }
}

export const storedRole = (definition: RoleDefinition): StoredRole => ({
  version: 1,
  resource: {...roleResource(definition)},
})

/** Whether the definition says what is there already. */
export const sameRole = (resource: RoleResource, definition: RoleDefinition): boolean =>
  isDeepStrictEqual(
    JSON.parse(JSON.stringify(resource)),
    JSON.parse(JSON.stringify(roleResource(definition))),
  )
