import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, confirm, safe, yamlText} from '../lib/cli/index.js'
import {problem, problemLine} from '../lib/errors/index.js'

export default class Edit extends BaseCommand {
  static override summary = 'Change a role in an editor'
  static override description =
    'Opens $VISUAL or $EDITOR. What was written is kept in a file when it is not accepted, or when somebody else was faster.'
  static override examples = ['<%= config.bin %> edit role/developers']
  static override args = {resource: Args.string({description: 'role/NAME', required: true})}
  static override flags = {...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Edit)
    const {editText, parseResourceName, parseRoleText, withHistoryApi} = await import(
      '../lib/client/index.js'
    )
    const {name} = parseResourceName(args.resource, ['role'])
    if (name === undefined) throw problem('usage', 'which role is to be changed?', {hint: 'as in role/NAME'})
    const {resource, revision, preset} = await withHistoryApi(flags, api => api.getRole(name))
    if (preset)
      throw problem('invalid_input', `the role ${name} belongs to every cluster and cannot be changed`, {
        hint: 'make a role of another name',
      })
    const interactive = process.stdin.isTTY === true && process.stderr.isTTY === true
    const done = await editText({
      text: await yamlText(resource),
      fileName: `role-${name}.yaml`,
      async take(text, path) {
        const changed = parseRoleText(text, path, name)
        // The connection of before may have ended in the meantime: people take their time in editors.
        return withHistoryApi(flags, api => api.updateRole({resource: changed, revision}))
      },
      again: async error => {
        if (!interactive || error.code !== 'invalid_input') return false
        this.logToStderr(safe(problemLine(error)))
        return confirm({message: 'Back to the editor?', otherwise: 'a terminal'})
      },
    })
    this.log(safe(done ? `role ${name} has been changed` : `role ${name} is as it was`))
  }
}
