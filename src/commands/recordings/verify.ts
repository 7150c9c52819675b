import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import type {VerifyFlags, VerifyTarget} from '../../lib/client/index.js'
import {isUuid} from '../../lib/names/index.js'

type Flagged = VerifyFlags & {format: 'text' | 'json' | 'yaml'}

export default class RecordingsVerify extends BaseCommand {
  static override summary = 'Check that recordings are what was recorded'
  static override description =
    `Follows the chain of a recording's chunks and checks the signature at its end; names the first bad chunk. A session is
also held against the audit log, which knows how many chunks there were; of one that was removed, the tombstone is verified.

Without a session, all of a store is verified on the machine that has its files, and held against the audit log: what was
changed, rolled back, deleted without a tombstone or put there is named. The service need not run.

With --key, which names the public key of the recording authority, a file, or with --directory a copy of a data directory and
every session in it, is verified without any service; an index beside a file (*.index.jsonl) is used where there is one.`
  static override examples = [
    '<%= config.bin %> recordings verify 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> recordings verify 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --directory copy --key recording.pub',
    '<%= config.bin %> recordings verify session.cast.gz --key recording.pub',
    '<%= config.bin %> recordings verify --all --checkpoint checkpoint.json',
    '<%= config.bin %> recordings verify --all --directory copy --key recording.pub --checkpoint checkpoint.json',
  ]
  static override args = {
    session: Args.string({description: 'session ID, or a recording file; all of a store without one'}),
  }
  static override flags = {
    all: Flags.boolean({description: 'all recordings of a store'}),
    key: Flags.string({description: 'file with the public keys to verify with', helpValue: 'FILE'}),
    index: Flags.string({description: "a recording file's index", helpValue: 'FILE'}),
    directory: Flags.string({
      description: 'a copy of a data directory, with its audit and recordings',
      helpValue: 'DIR',
    }),
    checkpoint: Flags.string({
      description: 'the end of the audit log as it was once; of a store, or a session in a copy',
      helpValue: 'FILE',
    }),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags, raw} = await this.parse(RecordingsVerify)
    const {requireEffect} = await import('../../lib/client/index.js')
    const target = targetOf(args.session, flags)
    // The environment may hold values for flags, too; only what was asked for here is worth an error.
    requireEffect(target, new Set(raw.flatMap(token => (token.type === 'flag' ? [token.flag] : []))))
    if (target === 'store' || args.session === undefined) await verifyAll(flags)
    else await verifyOne(args.session, target, flags)
  }
}

function targetOf(session: string | undefined, flags: VerifyFlags): VerifyTarget {
  if (session === undefined) return 'store'
  if (!isUuid(session.toLowerCase())) return 'file'
  return flags.directory === undefined ? 'session' : 'copied session'
}

async function verifyAll(flags: Flagged): Promise<void> {
  const {storeFault, storeWords, verifyStore} = await import('../../lib/client/index.js')
  const verdict = await verifyStore(flags, Date.now())
  await render(verdict, {format: flags.format, text: () => storeWords(verdict)})
  const fault = storeFault(verdict)
  if (fault) throw fault
}

async function verifyOne(session: string, target: VerifyTarget, flags: Flagged): Promise<void> {
  const {sessionFault, sessionWords, verifyCopiedSession, verifyFile, verifyKeptSession} = await import(
    '../../lib/client/index.js'
  )
  const sid = session.toLowerCase()
  const verdict = await (target === 'file'
    ? verifyFile(session, flags)
    : target === 'session'
      ? verifyKeptSession(sid, flags)
      : verifyCopiedSession(sid, flags, Date.now()))
  await render(verdict, {format: flags.format, text: () => sessionWords(verdict, target)})
  const fault = sessionFault(verdict)
  if (fault) throw fault
}
