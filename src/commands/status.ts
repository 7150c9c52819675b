import {BaseCommand, formatFlag, render} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Status extends BaseCommand {
  static override summary = 'Show who you are logged in as, and for how long'
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --format json']
  static override flags = {format: formatFlag()}

  async run(): Promise<void> {
    const {flags} = await this.parse(Status)
    const {clientHome, findProfile, listProfiles, loginCommand, loginStatus, statusLines} = await import(
      '../lib/client/index.js'
    )
    const home = clientHome()
    const now = Date.now()
    const current = await findProfile(home)
    const others = (await listProfiles(home)).filter(
      profile =>
        profile.user !== current?.user ||
        profile.proxy.host !== current.proxy.host ||
        profile.proxy.webPort !== current.proxy.webPort,
    )
    if (!current && others.length === 0)
      throw problem('not_logged_in', 'you are not logged in', {
        hint: 'run: sallyport login --proxy=HOST --user=NAME',
      })
    const active = current ? loginStatus(current, now) : null
    const profiles = others.map(profile => loginStatus(profile, now))
    const section = (title: string, status: typeof active) =>
      status ? [title, ...statusLines(status, now), ''] : []
    await render(
      {active, profiles},
      {
        format: flags.format,
        text: () =>
          [...section('Current login', active), ...profiles.flatMap(status => section('Other login', status))]
            .join('\n')
            .trimEnd(),
      },
    )
    if (current && active?.expired)
      throw problem(
        'certificate_expired',
        `the certificate of ${current.user} expired at ${active.valid_until}`,
        {
          hint: `log in again: ${loginCommand(current)}`,
        },
      )
  }
}
