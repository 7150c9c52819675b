import type {Readable, Writable} from 'node:stream'
import {problem} from '../../errors/index.js'
import {type Identity, type IdentityOptions, loadIdentity} from '../identity/identity.js'
import {createChannelRouter} from './channel-router.js'
import {type Forwardings, openForwardings} from './forwarding.js'
import {hostsWithLabels, runOnMany} from './many-hosts.js'
import {runRemoteSession} from './remote-session.js'
import {parseLabelTarget, parseSshTarget} from './ssh-target.js'
import {connectToTarget, type TargetOptions} from './target-connection.js'

/** What `sallyport ssh` was asked for. */
export interface SshWish {
  as: IdentityOptions
  /** `[login@]host[:port]`, or `[login@]env=prod,team=db`. */
  target: string
  login?: string | undefined
  port?: number | undefined
  cluster?: string | undefined
  /** Accept a host key that nobody vouches for. */
  insecure: boolean
  /** Undefined asks for a login shell. */
  command?: string | undefined
  /** Runs nothing: forwards until the connection ends. */
  noCommand: boolean
  /** With a terminal, without one, or as it fits. */
  terminal?: boolean | undefined
  forwardings: Forwardings
  forwardAgent: boolean
  answer: NonNullable<TargetOptions['answer']>
  stdin: Readable & {isTTY?: boolean}
  stdout: Writable
  stderr: Writable
  env: NodeJS.ProcessEnv
}

type Target = Pick<TargetOptions, 'login' | 'host' | 'otherNames' | 'port'>

/**
 * Logs in to a host, or runs a command there; a command on several hosts, where labels name more than one.
 * @returns the exit status to end with
 * @throws usage, invalid_input, host_not_found, and whatever keeps the host from being reached
 */
export async function runSsh(wish: SshWish): Promise<number> {
  const {target, as, login, port} = wish
  const labelled = parseLabelTarget(target, {login, port})
  if (!labelled) return await runOnOne(wish, parseSshTarget(target, {login, port}))
  const found = await hostsWithLabels(as, labelled.labels)
  const [first, second] = found.hosts
  if (first && !second)
    return await runOnOne(wish, {login: labelled.login, host: first.id, otherNames: [first.hostname]})
  const {command, cluster, insecure, stdout, stderr, env} = wish
  if (command === undefined || !isCommandAlone(wish))
    throw problem('usage', `${found.hosts.length} hosts have these labels: only a command runs on several`, {
      hint: 'name the command, or one host',
    })
  const shared = {command, cluster, insecure, stdout, stderr, env}
  return await withIdentity(as, identity => runOnMany({...shared, ...found, identity, login: labelled.login}))
}

const isCommandAlone = ({forwardings, noCommand, terminal}: SshWish): boolean =>
  !noCommand && terminal !== true && Object.values(forwardings).every(list => list.length === 0)

const runOnOne = (wish: SshWish, target: Target): Promise<number> =>
  withIdentity(wish.as, async identity => {
    const {cluster, insecure, answer, command, noCommand, stdin, stdout, stderr, env} = wish
    const {connection, close} = await connectToTarget({...target, identity, cluster, insecure, answer})
    const router = createChannelRouter(connection)
    const notice = (line: string): void => void stderr.write(`${line}\n`)
    try {
      const closeForwardings = await openForwardings(wish.forwardings, {connection, router, notice})
      try {
        if (!noCommand)
          return await runRemoteSession({
            ...{connection, router, command, stdin, stdout, stderr, env},
            terminal: wish.terminal ?? (command === undefined && stdin.isTTY === true),
            forwardAgent: wish.forwardAgent ? env.SSH_AUTH_SOCK || undefined : undefined,
          })
        const error = await connection.closed
        if (error) throw error
        return 0
      } finally {
        closeForwardings()
      }
    } finally {
      close()
    }
  })

/** However the work ends, no agent is kept that holds this process. */
async function withIdentity<T>(as: IdentityOptions, work: (identity: Identity) => Promise<T>): Promise<T> {
  const identity = await loadIdentity(as)
  try {
    return await work(identity)
  } finally {
    identity.close()
  }
}
