import {BaseCommand, formatFlag, render} from '../lib/cli/index.js'

export default class Version extends BaseCommand {
  static override summary = 'Print the version'
  static override examples = ['<%= config.bin %> version', '<%= config.bin %> version --format json']
  static override flags = {format: formatFlag()}

  async run(): Promise<void> {
    const {flags} = await this.parse(Version)
    const {version, platform, arch} = this.config
    const value = {name: 'sallyport', version, platform: `${platform}-${arch}`, node: process.version}
    await render(value, {
      format: flags.format,
      text: () => `sallyport ${version} (${value.platform}, node ${value.node})`,
    })
  }
}
