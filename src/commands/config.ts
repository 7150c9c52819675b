import {BaseCommand, clientFlags} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Config extends BaseCommand {
  static override summary = 'Print the ssh_config block that takes plain ssh through the proxy'
  static override description =
    `Host patterns narrow the block; without any it is for every host. ssh takes the first value that it finds for a
setting, so put the block behind the ones of your own. docs/guides/stock-openssh-clients.md explains its lines.`
  static override usage = 'config [PATTERN...] [--proxy HOST] [--user NAME]'
  static override examples = [
    '<%= config.bin %> config >> ~/.ssh/config',
    "<%= config.bin %> config web-1 '*.prod.example.com' >> ~/.ssh/config",
  ]
  static override strict = false
  static override flags = {proxy: clientFlags.proxy, user: clientFlags.user}

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(Config)
    const client = await import('../lib/client/index.js')
    const home = client.clientHome()
    const proxy = flags.proxy === undefined ? undefined : client.parseProxyAddress(flags.proxy)
    const profile = await client.findProfile(home, {proxy, user: flags.user})
    if (!profile)
      throw problem('not_logged_in', 'you are not logged in', {
        hint: 'run: sallyport login --proxy=HOST --user=NAME',
      })
    const paths = client.profilePaths(home, profile)
    const block = client.sshConfig({
      profile,
      paths,
      patterns: argv.map(String),
      command: client.selfCommand(),
    })
    process.stdout.write(block)
  }
}
