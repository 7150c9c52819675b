import type {Measured, Report} from './recording.js'

/** The report as tables for people. */
export function formatReport(report: Report): string {
  const {machine, ways, loads, measured, events, following, files, echo, idle, memory} = report
  const of = (load: string, way: string): Measured | undefined =>
    measured.find(each => each.load === load && each.way === way)
  const rows = (cell: (found: Measured) => string): string[][] =>
    loads.slice(1).map(({name}) => [
      name,
      ...ways.map(way => {
        const found = of(name, way.name)
        return found ? cell(found) : ''
      }),
    ])
  const heading = (title: string): string[] => [title, ...ways.map(({name}) => name)]
  const connecting = loads[0]?.name ?? ''
  return [
    `${machine.cpus} × ${machine.model}, Node ${machine.node}; ${report.size} MB each, median of ${report.rounds}; ${report.cipher}`,
    '',
    ...ways.map(({name, about}) => `  ${name.padEnd(12)} ${about}`),
    ...loads.map(({name, about}) => `  ${name.padEnd(12)} ${about}`),
    '',
    table([
      heading('MB/s (of direct)'),
      ...rows(
        ({megabytesPerSecond = 0, ofDirect = 0}) =>
          `${megabytesPerSecond.toFixed(0)} (${ofDirect.toFixed(2)})`,
      ),
    ]),
    table([
      heading('CPU s/GB in between'),
      ...rows(({cpuSecondsPerGigabyte: cpu}) => cpu?.toFixed(2) ?? '-'),
    ]),
    table([
      heading('connecting'),
      ['ms', ...ways.map(({name}) => (of(connecting, name)?.milliseconds ?? 0).toFixed(0))],
    ]),
    table([
      heading('echo of a byte, ms'),
      ['median', ...echo.map(({median}) => median.toFixed(2))],
      ['p99', ...echo.map(({p99}) => p99.toFixed(2))],
    ]),
    table([
      ['idle recorded session', 'kB of memory'],
      [`each of ${idle.sessions}`, idle.eachTakes.toFixed(0)],
      ['of that left when it is gone', idle.eachLeaves.toFixed(0)],
    ]),
    table([
      ['recording', 'bytes on disk per MB shown'],
      ...measured.flatMap(({load, way, diskBytesPerMegabyte: disk}) =>
        disk === undefined ? [] : [[`${load}, ${way}`, disk.toFixed(0)]],
      ),
    ]),
    table([
      ['audit log', 'durable events/s'],
      ...events.map(({atOnce, perSecond}) => [`${atOnce} at once`, perSecond.toFixed(0)]),
    ]),
    table([
      ['a file by SFTP', 'CPU s/GB'],
      ['followed and hashed', following.following.toFixed(2)],
      ['hashed alone', following.hashing.toFixed(2)],
    ]),
    table([
      ['a file, recorded', 'following, of the CPU time', 'MB/s, of jump', 'of the same bytes in a command'],
      ...files.map(({load, followingShare, ofJump, ofPlain}) => [
        load,
        ...[`${(100 * followingShare).toFixed(0)} %`, ofJump.toFixed(2), ofPlain.toFixed(2)],
      ]),
    ]),
    `Memory of the recording proxy at most: ${memory.before.toFixed(0)} MB before the transfers, ${memory.after.toFixed(0)} MB after.\n`,
  ].join('\n')
}

function table(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  const lines = rows.map(row =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  )
  return `${lines.join('\n')}\n`
}
