import {readFileSync, writeFileSync} from 'node:fs'
import {findSshd, ownAccount, sshdObstacle, stockClient} from './account.js'
import type {Narrator} from './narrator.js'
import type {Stage} from './stage.js'
import {startOwnTarget, startSshdTarget} from './target.js'

export const targetChoices = ['auto', 'sshd', 'built-in'] as const
export type TargetChoice = (typeof targetChoices)[number]

export interface Story {
  stage: Stage
  narrator: Narrator
  target: TargetChoice
  /** Whether it stays up afterwards; then the ending says how to go on. */
  keep: boolean
}

interface Addresses {
  ssh: {port: number}
  web: {port: number; url: string}
}

const config = `teleport:
  nodename: proxy
  data_dir: DATA_DIR
auth_service:
  cluster_name: demo
  listen_addr: 127.0.0.1:0
  session_recording: proxy
  authentication: {second_factor: off}
proxy_service:
  listen_addr: 127.0.0.1:0
  web_listen_addr: 127.0.0.1:0
  tunnel_listen_addr: 127.0.0.1:0
`

const admin = '--config=sallyport.yaml'
const password = '--password-file=password'

/** From an empty directory to a session that is replayed. @throws when any step fails */
export async function tellStory({stage, narrator, target: choice, keep}: Story): Promise<void> {
  const {heading, note, run} = narrator
  const account = ownAccount()

  heading(`A cluster on this machine, in ${stage.directory}`)
  writeFileSync(stage.path('sallyport.yaml'), config.replace('DATA_DIR', stage.path('data')), {mode: 0o600})
  await run('cat sallyport.yaml')
  const started = (stdout: string): boolean => /^web .*\n/m.test(stdout)
  await narrator.start(`sallyport start ${admin}`, 'sallyport.log', started)
  const {web} = readAddresses(stage)

  heading('A host that trusts it: one key to let users in, one certificate to be known by')
  await run(`sallyport auth export --type=user ${admin} | sed 's/cert-authority //' > user_ca.pub`)
  await run(`sallyport auth sign --host=127.0.0.1,localhost --format=openssh --out=host_key ${admin}`)
  const port = await startTarget(stage, narrator, choice)

  heading('A user, who signs up with the link and logs in for the day')
  const added = await run(`sallyport users add joe ${account.name} ${admin}`)
  await run('(umask 077; head -c 18 /dev/urandom | base64 > password)')
  await run(`sallyport signup ${inviteUrl(added)} --insecure ${password}`)
  await run(`sallyport login --proxy=127.0.0.1:${web.port} --user=joe --insecure ${password}`)

  heading('A session through the recording proxy')
  const host = `-p ${port} ${account.name}@127.0.0.1`
  const said = await run(`sallyport ssh ${host} 'echo "Hello from $(uname -n)"; date'`)
  if (stockClient(account)) {
    heading('The stock client takes the same way')
    await run('sallyport config > ssh_config')
    await run('cat ssh_config')
    await run(`ssh -F ssh_config ${host} uname -n`)
  }

  heading('And what the cluster knows of it')
  const listed = await run(`sallyport recordings ls ${admin}`)
  const sid = sessionId(listed, 'echo "Hello')
  const replayed = await run(`sallyport play ${sid} --format=text ${admin}`)
  // A replay has stderr as well, where a host may have had something to say of its own.
  if (!replayed.includes(said)) throw new Error('the replay is not what the session showed')
  await run(`sallyport recordings verify ${sid} ${admin}`)
  await run(`sallyport audit ls --sid=${sid} ${admin}`)

  if (keep) note(howToGoOn(stage, web.url, host))
  else await run('sallyport logout')
}

const readAddresses = (stage: Stage): Addresses =>
  JSON.parse(readFileSync(stage.path('data/addresses.json'), 'utf8'))

async function startTarget(stage: Stage, narrator: Narrator, choice: TargetChoice): Promise<number> {
  const account = ownAccount()
  const obstacle = choice === 'built-in' ? undefined : sshdObstacle(account)
  const sshd = findSshd()
  if (choice !== 'built-in' && obstacle === undefined && sshd !== undefined)
    return startSshdTarget(stage, narrator, sshd)
  if (choice === 'sshd') throw new Error(`${obstacle}; leave --target=sshd out to use a built-in SSH server`)
  const port = await startOwnTarget(stage, account.name)
  const why = obstacle === undefined ? '' : `${obstacle}: `
  narrator.note(`(${why}a small SSH server of this script is the host, on 127.0.0.1:${port})`)
  return port
}

function inviteUrl(text: string): string {
  const [url] = /https:\/\/\S+\/web\/invite\/\S+/.exec(text) ?? []
  if (url === undefined) throw new Error('there was no link to sign up with')
  return url
}

/** The session on the line of the list that has `command`. */
function sessionId(list: string, command: string): string {
  const line = list.split('\n').find(text => text.includes(command)) ?? ''
  const [sid] = /^[0-9a-f-]{36}/.exec(line) ?? []
  if (sid === undefined) throw new Error('the session was not recorded')
  return sid
}

const howToGoOn = (stage: Stage, url: string, host: string): string => `
It goes on until Ctrl-C. In another terminal:

  cd ${stage.directory}
  export PATH="$PWD/bin:$PATH" SALLYPORT_HOME="$PWD/home"
  sallyport ssh ${host}
  sallyport recordings ls ${admin}

The web page is ${url}, its certificate self-signed; joe's password is in the file password.`
