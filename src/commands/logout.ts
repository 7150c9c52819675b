import {Flags} from '@oclif/core'
import {agentFlags, BaseCommand, clientFlags, safe} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Logout extends BaseCommand {
  static override summary = 'Forget logins: key, certificate, and the entry in the ssh-agent'
  static override description =
    'Without flags the current login goes; --proxy and --user name others, --all means every one.'
  static override examples = [
    '<%= config.bin %> logout',
    '<%= config.bin %> logout --proxy=proxy.example.com --user=joe',
    '<%= config.bin %> logout --all',
  ]
  static override flags = {
    proxy: clientFlags.proxy,
    user: clientFlags.user,
    all: Flags.boolean({description: 'forget every login', exclusive: ['proxy', 'user']}),
    'use-local-ssh-agent': agentFlags['use-local-ssh-agent'],
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout)
    const client = await import('../lib/client/index.js')
    const context = client.clientContext(flags['use-local-ssh-agent'])
    const notice = (line: string) => this.logToStderr(`sallyport: ${safe(line)}`)
    const selector = {
      proxy: flags.proxy === undefined ? undefined : client.parseProxyAddress(flags.proxy),
      user: flags.user,
    }
    const found = await client.findProfile(context.home, selector)
    const profiles = flags.all ? await client.listProfiles(context.home) : found ? [found] : []
    if (profiles.length === 0)
      throw problem('not_logged_in', 'you are not logged in', {hint: 'there is nothing to do'})
    for (const profile of profiles) {
      await client.logOut(profile, {...context, notice})
      this.log(safe(`Logged out of ${profile.cluster} as ${profile.user}`))
    }
  }
}
