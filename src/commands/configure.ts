import {hostname} from 'node:os'
import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/index.js'

export default class Configure extends BaseCommand {
  static override summary = 'Print a commented configuration to begin with'
  static override description =
    'The answer is valid as it stands and says every default. docs/configuration.md explains every key.'
  static override examples = [
    '<%= config.bin %> configure > sallyport.yaml',
    '<%= config.bin %> configure --data-dir=/srv/sallyport --nodename=bastion1',
  ]
  static override flags = {
    'data-dir': Flags.string({description: 'where the service keeps its state', helpValue: 'DIR'}),
    nodename: Flags.string({description: 'name of this machine', helpValue: 'NAME'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Configure)
    const {findDataDir, parseConfig, sampleConfig} = await import('../lib/config/index.js')
    const dataDir = await findDataDir({dataDir: flags['data-dir']})
    const text = sampleConfig({nodename: flags.nodename ?? hostname(), dataDir})
    parseConfig(text, 'the configuration')
    process.stdout.write(text)
  }
}
