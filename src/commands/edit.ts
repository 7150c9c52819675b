import {Args} from '@oclif/core'
import type {RemoteAuthApi, Resource} from '../lib/auth/index.js'
import {accessFlags, BaseCommand, confirm, safe, yamlText} from '../lib/cli/index.js'
import {problem, problemLine} from '../lib/errors/index.js'

/** What is edited, under which revision, and how it is put back. */
interface Editable {
  /** As in messages and file names. */
  label: string
  resource: Resource
  put(api: RemoteAuthApi, text: string, path: string): Promise<unknown>
}

export default class Edit extends BaseCommand {
  static override summary = 'Change a role or a registered host in an editor'
  static override description =
    'Opens $VISUAL or $EDITOR. What was written is kept in a file when it is not accepted, or when somebody else was faster.'
  static override examples = [
    '<%= config.bin %> edit role/developers',
    '<%= config.bin %> edit node/db-1.example.com',
  ]
  static override args = {
    resource: Args.string({description: 'role/NAME or node/NAME', required: true}),
  }
  static override flags = {...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Edit)
    const client = await import('../lib/client/index.js')
    const {kind, name} = client.parseResourceName(args.resource, ['role', 'node'])
    if (name === undefined)
      throw problem('usage', `which ${kind} is to be changed?`, {hint: `as in ${kind}/NAME`})
    const load = kind === 'role' ? role : node
    const {label, resource, put} = await client.withAuthApi(flags, api => load(client, api, name))
    const interactive = process.stdin.isTTY === true && process.stderr.isTTY === true
    const done = await client.editText({
      text: await yamlText(resource),
      fileName: `${label.replace(' ', '-')}.yaml`,
      // The connection of before may have ended in the meantime: people take their time in editors.
      take: (text, path) => client.withAuthApi(flags, api => put(api, text, path)),
      again: async error => {
        if (!interactive || error.code !== 'invalid_input') return false
        this.logToStderr(safe(problemLine(error)))
        return confirm({message: 'Back to the editor?', otherwise: 'a terminal'})
      },
    })
    const subject = label.charAt(0).toUpperCase() + label.slice(1)
    this.log(safe(`${subject} ${done ? 'has been changed' : 'is as it was'}`))
  }
}

type Client = typeof import('../lib/client/index.js')

async function role({parseRoleText}: Client, api: RemoteAuthApi, name: string): Promise<Editable> {
  const {resource, revision, preset} = await api.getRole(name)
  if (preset)
    throw problem('invalid_input', `the role ${name} belongs to every cluster and cannot be changed`, {
      hint: 'make a role of another name',
    })
  return {
    label: `role ${name}`,
    resource,
    put: (later, text, path) => later.updateRole({resource: parseRoleText(text, path, name), revision}),
  }
}

async function node({parseNodeText}: Client, api: RemoteAuthApi, name: string): Promise<Editable> {
  const {resource, revision} = await api.getHost(name)
  const id = resource.metadata.name
  return {
    label: `node ${id}`,
    resource,
    put: (later, text, path) => later.updateHost({resource: parseNodeText(text, path, id), revision}),
  }
}
