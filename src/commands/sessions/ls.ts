import type {SessionTracker} from '../../lib/auth/index.js'
import {
  accessFlags,
  BaseCommand,
  formatFlag,
  paint,
  render,
  safe,
  table,
  tableWidth,
  utcTime,
} from '../../lib/cli/index.js'

export default class SessionsLs extends BaseCommand {
  static override summary = 'List the sessions that run now, oldest first'
  static override description =
    `Your own, those that you may join, and with the right to list sessions all of them. STATE is pending while a session
waits for those who have to look on.`
  static override examples = ['<%= config.bin %> sessions ls', '<%= config.bin %> sessions ls --format json']
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(SessionsLs)
    const {withAuthApi} = await import('../../lib/client/index.js')
    const found = await withAuthApi(flags, api => api.listTrackers())
    await render(found.map(record), {format: flags.format, text: () => text(found)})
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** Every key is always there. */
const record = (session: SessionTracker) => ({
  ...{sid: session.sid, kind: session.kind, state: session.state},
  ...{user: session.user, login: session.login, host: session.host, address: session.address},
  ...{host_id: session.hostId ?? null, started: iso(session.started), interactive: session.interactive},
  command: session.command ?? null,
  participants: session.participants.map(({id, user, mode, joined, lastActive}) => ({
    ...{id, user, mode, joined: iso(joined), last_active: iso(lastActive)},
  })),
  ...{waits_for: session.waitsFor ?? null, held_by: session.heldBy, holder: session.holder},
})

function text(found: SessionTracker[]): string {
  if (found.length === 0) return 'No session runs now that you may see.'
  const colour = paint()
  const list = table(
    found,
    [
      {header: 'Session', value: ({sid}) => sid},
      {header: 'Started (UTC)', value: ({started}) => utcTime(started)},
      {header: 'User', value: ({user}) => user},
      {header: 'Login', value: ({login}) => login},
      {header: 'Host', value: ({host}) => host},
      {
        header: 'State',
        value: ({state}) => state,
        paint: (cell, {state}) => (state === 'running' ? cell : colour.yellow(cell)),
      },
      {header: 'Joined', value: joined},
      {header: 'Command', value: ({command, interactive}) => command ?? (interactive ? '(shell)' : '')},
    ],
    {...tableWidth(), heading: line => colour.bold(line)},
  )
  const waiting = found.filter(({state, waitsFor}) => state === 'pending' && waitsFor !== undefined)
  return [list, ...waiting.map(({sid, waitsFor}) => safe(`${sid} waits for ${waitsFor}`))].join('\n')
}

const joined = ({participants}: SessionTracker): string =>
  participants.map(({user, mode}) => `${user} (${mode})`).join(', ')
