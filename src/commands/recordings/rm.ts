import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, confirm, formatFlag, render, safe} from '../../lib/cli/index.js'
import {asProblem, problem, problemLine} from '../../lib/errors/index.js'

export default class RecordingsRm extends BaseCommand {
  static override summary = 'Remove recordings for good'
  static override description =
    `What stays is a signed tombstone: who removed it, when, why, and what it was the recording of. The audit log has it
first. Sessions that run and recordings under legal hold are refused. Only administrators may, and users whose
role grants \`delete\` on \`session\`. What was removed cannot be had back, so it asks first.`
  static override examples = [
    '<%= config.bin %> recordings rm 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --reason "asked for by the person recorded"',
    '<%= config.bin %> recordings rm 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --yes',
  ]
  static override strict = false
  static override args = {session: Args.string({description: 'session ID; may be repeated', required: true})}
  static override flags = {
    reason: Flags.string({description: 'why, for the tombstone and the audit log', helpValue: 'TEXT'}),
    yes: Flags.boolean({char: 'y', description: 'do not ask'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(RecordingsRm)
    const {sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const sids = [...new Set((argv as string[]).map(sessionId))]
    const what = sids.length === 1 ? `the recording of session ${sids[0]}` : `${sids.length} recordings`
    if (!flags.yes && !(await confirm({message: `Remove ${what} for good?`, otherwise: '--yes'})))
      throw problem('cancelled', 'nothing was removed')
    const reason = flags.reason === undefined ? {} : {reason: flags.reason}
    const removed: {sid: string; outcome: 'removed'}[] = []
    const refused = await withAuthApi(flags, async api => {
      const refusals: unknown[] = []
      for (const sid of sids)
        await api.removeRecording({sid, ...reason}).then(
          () => {
            removed.push({sid, outcome: 'removed'})
            if (flags.format === 'text') this.log(`The recording of session ${sid} has been removed`)
          },
          error => refusals.push(error),
        )
      return refusals
    })
    if (flags.format !== 'text') await render(removed, {format: flags.format, text: () => ''})
    // Of several, each refusal is told; the first one decides how the command ends.
    for (const error of refused.slice(1))
      process.stderr.write(`sallyport: ${safe(problemLine(asProblem(error)))}\n`)
    if (refused.length > 0) throw refused[0]
  }
}
