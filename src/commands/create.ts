import {Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render, safe} from '../lib/cli/index.js'

export default class Create extends BaseCommand {
  static override summary = 'Create roles and users, and register hosts, from a YAML file'
  static override description =
    `The file may have several documents, with --- between them: all of them are created, or none. What
\`sallyport get --format yaml\` prints can be given back, with --force where it exists.`
  static override examples = [
    '<%= config.bin %> create -f developers.yaml',
    '<%= config.bin %> create -f hosts.yaml --force',
    '<%= config.bin %> get roles --format yaml | <%= config.bin %> create -f - --force',
  ]
  static override flags = {
    file: Flags.string({
      char: 'f',
      description: 'file to read, or - for standard input',
      required: true,
      helpValue: 'FILE',
    }),
    force: Flags.boolean({description: 'put it in the place of what exists'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Create)
    const {readResourceFile, withAuthApi} = await import('../lib/client/index.js')
    const resources = await readResourceFile(flags.file)
    const force = flags.force ? {force: true} : {}
    const outcomes = await withAuthApi(flags, api => api.createResources({resources, ...force}))
    await render(outcomes, {
      format: flags.format,
      text: () => outcomes.map(({kind, name, outcome}) => `${kind} ${safe(name)} ${outcome}`).join('\n'),
    })
    if (
      flags.format === 'text' &&
      outcomes.some(({kind, outcome}) => kind === 'user' && outcome === 'created')
    )
      this.logToStderr('New users need a link to sign up with: sallyport users reset NAME')
  }
}
