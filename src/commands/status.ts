import {adminFlags, BaseCommand, formatFlag, render} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Status extends BaseCommand {
  static override summary = 'Show who you are logged in as, and for how long'
  static override description =
    `In a session on a node of a cluster it shows the ID of the session as well, and needs no login. To the administrator
of a machine on which a service runs it shows that too: on the auth host the cluster with its version and the pins
of its authority, elsewhere whether the auth service is in touch and what waits to be delivered to it.`
  static override examples = [
    '<%= config.bin %> status',
    '<%= config.bin %> status --format json',
    '<%= config.bin %> status --config sallyport.yaml',
  ]
  static override flags = {format: formatFlag(), ...adminFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(Status)
    const client = await import('../lib/client/index.js')
    const {clientHome, currentSession, findProfile, listProfiles, loginCommand, loginStatus} = client
    const {clusterLines, clusterStatus, machineLines, machineStatus, sessionLines, statusLines} = client
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
    const service = await machineStatus(flags)
    const cluster = service ? null : await clusterStatus(flags)
    if (!current && others.length === 0 && !session && !service && !cluster)
      throw problem('not_logged_in', 'you are not logged in', {
        hint: 'run: sallyport login --proxy=HOST --user=NAME',
      })
    const active = current ? loginStatus(current, now) : null
    const profiles = others.map(profile => loginStatus(profile, now))
    const section = (title: string, status: typeof active) =>
      status ? [title, ...statusLines(status, now), ''] : []
    await render(
      {session, active, profiles, cluster, service},
      {
        format: flags.format,
        text: () =>
          [
            ...(session ? ['Current session', ...sessionLines(session), ''] : []),
            ...section('Current login', active),
            ...profiles.flatMap(status => section('Other login', status)),
            ...(cluster ? ['Cluster of this machine', ...clusterLines(cluster), ''] : []),
            ...(service ? ['Service on this machine', ...machineLines(service), ''] : []),
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
