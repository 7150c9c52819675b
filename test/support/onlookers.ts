import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {stringify} from 'yaml'
import {login} from './field.js'

const role = (name: string, spec: object) => ({kind: 'role', version: 'v1', metadata: {name}, spec})
const joining = (...modes: string[]) => [{name: 'sessions', roles: ['access'], modes}]

const roles = [
  role('moderates', {allow: {join_sessions: joining('observer', 'moderator')}}),
  role('types', {allow: {join_sessions: joining('observer', 'peer')}}),
  role('overseen', {
    allow: {
      require_session_join: [
        {name: 'four eyes', filter: ['moderates'], modes: ['moderator'], count: 1, on_leave: 'pause'},
      ],
    },
  }),
]

/**
 * Of others' sessions ann observes (auditor), mod observes and moderates, pia observes and types, bob may join nothing, and
 * sue's sessions need a moderator.
 */
const users: Readonly<Record<string, string>> = {
  ...{ann: 'auditor', mod: 'moderates', pia: 'types', bob: 'editor', sue: 'access,overseen'},
}

/** Of those whom `addOnlookers` makes, and of others that it is given. */
export const rolesOf = (user: string, more: Readonly<Record<string, string>> = {}): string[] =>
  ({...more, ...users})[user]?.split(',') ?? []

export interface OnlookersPlace {
  directory: string
  /** A command of the administrator. @throws when it fails */
  admin(...args: string[]): Promise<string>
  identityOf(user: string): string
}

/** Makes the roles of those who look on, and the users, each with an identity file. */
export async function addOnlookers(
  {directory, admin, identityOf}: OnlookersPlace,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const path = join(directory, 'roles.yaml')
  writeFileSync(path, roles.map(one => stringify(one)).join('---\n'))
  await admin('create', '-f', path)
  for (const [name, names] of Object.entries({...more, ...users})) {
    await admin('users', 'add', name, `${name},${login}`, `--roles=${names}`)
    await admin('auth', 'sign', `--user=${name}`, `--out=${identityOf(name)}`)
  }
}
