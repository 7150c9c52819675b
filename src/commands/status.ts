import {BaseCommand, formatFlag, render} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Status extends BaseCommand {
  static override summary = 'Show who you are logged in as, and for how long'
  static override description =
    'In a session on a node of a cluster it shows the ID of the session as well, and needs no login.'
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --format json']
  static override flags = {format: formatFlag()}

  async run(): Promise<void> {
    const {flags} = await this.parse(Status)
    const {clientHome, currentSession, findProfile, listProfiles, loginCommand, loginStatus} = await import(
      '../lib/client/index.js'
    )
    const {sessionLines, statusLines} = await import('../lib/client/index.js')
    const session = currentSession(process.env) ?? null
    const home = clientHome()
    const now = Date.now()
    const current = await findProfile(home)
    const others = (await listProfiles(home)).filter(
      profile =>
        profile.user !== current?.user ||
        profile.proxy.host !== current.proxy.host ||
        profile.proxy.webPort !== current.proxy.webPort,
    )
    if (!current && others.length === 0 && !session)
      throw problem('not_logged_in', 'you are not logged in', {
        hint: 'run: sallyport login --proxy=HOST --user=NAME',
      })
    const active = current ? loginStatus(current, now) : null
    const profiles = others.map(profile => loginStatus(profile, now))
    const section = (title: string, status: typeof active) =>
      status ? [title, ...statusLines(status, now), ''] : []
    await render(
      {session, active, profiles},
      {
        format: flags.format,
        text: () =>
          [
            ...(session ? ['Current session', ...sessionLines(session), ''] : []),
            ...section('Current login', active),
            ...profiles.flatMap(status => section('Other login', status)),
          ]
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
