import {chownSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {addToAgent, type Field, login, sshText, startField, type UserKey} from '../support/field.js'
import {createLoginUser, isRoot, needsRoot, withoutRoot} from '../support/login-user.js'
import {start} from '../support/process.js'
import {startTmux} from '../support/tmux.js'
import {watch} from '../support/watch.js'

// What the configuration says of a node, as stock clients see it.

if (!isRoot) console.log(`skipped in node-settings: ${withoutRoot}`)

/** None of them the first choice of OpenSSH. */
const chosen = {cipher: 'aes256-ctr', kex: 'ecdh-sha2-nistp384', mac: 'hmac-sha2-512'}

let field: Field
let key: UserKey

beforeAll(async () => {
  const command = ['sh', '-c', 'date +%s; readlink /proc/$$/fd/* | sort -u | tail -c 200']
  field = await startField(
    {
      teleport: {
        ciphers: ['aes128-cbc', chosen.cipher],
        kex_algos: [chosen.kex],
        mac_algos: [chosen.mac],
      },
      auth_service: {session_recording: 'node'},
      ssh_service: {permit_user_env: 'yes', commands: [{name: 'open', command, period: '1s'}]},
    },
    {roles: 'auth,proxy,node'},
  )
  key = await field.userKey()
  await addToAgent(field.agent, key)
})

const at = (words: string[], command: string, env: Record<string, string> = {}) =>
  sshText([...field.straight(key), ...words, `${login}@127.0.0.1`, command], {env})

describe('ciphers, key exchange and MACs of a node', () => {
  it('are those of the configuration', async () => {
    const {code, stderr} = await at(['-v'], 'true')
    expect(code).toBe(0)
    expect(stderr).toContain(`kex: algorithm: ${chosen.kex}`)
    expect(stderr).toContain(`server->client cipher: ${chosen.cipher} MAC: ${chosen.mac}`)
    expect(stderr).toContain(`client->server cipher: ${chosen.cipher} MAC: ${chosen.mac}`)
  })

  it.each([
    ['cipher', chosen.cipher, ['-c', 'aes128-gcm@openssh.com']],
    ['cipher', chosen.cipher, ['-o', 'Ciphers=+aes128-cbc', '-c', 'aes128-cbc']],
    ['key exchange method', chosen.kex, ['-o', 'KexAlgorithms=curve25519-sha256']],
    ['MAC', chosen.mac, ['-m', 'hmac-sha2-256']],
  ])('are no others: another %s than %s is not agreed on (%j)', async (what, offered, words) => {
    const {code, stderr} = await at(words, 'true')
    expect(code).toBe(255)
    expect(stderr).toContain(`no matching ${what} found. Their offer: ${offered}`)
  })

  it('are named in the log where there is no such thing', () => {
    expect(field.cluster.log()).toMatch(/"key":"ciphers: aes128-cbc","msg":"this algorithm is not known here/)
  })

  it('are those of the proxy, too', async () => {
    const {port} = field.cluster.addresses.ssh
    const words = [...field.straight(key), '-o', `Port=${port}`]
    const proxy = ['-c', 'aes128-gcm@openssh.com', '-p', String(port), 'joe@127.0.0.1', '-s', 'proxysites']
    expect((await sshText([...words.slice(0, -2), ...proxy])).stderr).toContain('no matching cipher found')
  })
})

describe.runIf(isRoot)('~/.tsh/environment', needsRoot, () => {
  it('counts where the node permits it, and has no say in how programs are loaded', async () => {
    const user = createLoginUser()
    mkdirSync(join(user.home, '.tsh'))
    const file = join(user.home, '.tsh', 'environment')
    writeFileSync(file, 'OWN=from the file\nLD_PRELOAD=/x\nSSH_SESSION_ID=mine\nPATH=/own:/usr/bin:/bin\n')
    for (const path of [join(user.home, '.tsh'), file]) chownSync(path, user.uid, user.gid)
    await field.cluster.admin(['users', 'update', 'joe', `--logins=joe,${login},${user.name}`])
    const theirs = await field.userKey({principals: [user.name]})
    const {stdout} = await sshText([...field.straight(theirs), `${user.name}@127.0.0.1`, 'env'])
    expect(stdout).toMatch(/^OWN=from the file$/m)
    expect(stdout).toMatch(/^PATH=\/own:/m)
    expect(stdout).not.toMatch(/^LD_PRELOAD=/m)
    expect(stdout).toMatch(/^SSH_SESSION_ID=[0-9a-f-]{36}$/m)
  })
})

describe('a display', () => {
  it('is refused without harm to the session, and that is on record', async () => {
    const {result, events} = await field.during(() => at(['-Y'], 'echo "[$DISPLAY]"', {DISPLAY: ':7'}))
    expect(result).toMatchObject({code: 0, stdout: '[]\n'})
    expect(result.stderr).toContain('X11 forwarding request failed')
    expect(events.filter(({event}) => event === 'x11')).toMatchObject([
      {code: 'T3008W', success: false, user: 'joe', login},
    ])
  })
})

describe('the terminal of a session', () => {
  it('follows the size of the real one, in the login shell of the user', async () => {
    const tmux = startTmux({...field.agent.env}, {columns: 81, rows: 23})
    tmux.type(`ssh ${field.straight(key).join(' ')} -t ${login}@127.0.0.1`)
    await tmux.until(/\$ *$|# *$/m)
    tmux.type('clear; echo "<$0>"; stty size')
    await tmux.until(/<-\w+>\n23 81/)
    tmux.resize(99, 31)
    tmux.type('clear; stty size; exit 6')
    await tmux.until(/31 99[\s\S]*closed\./)
    tmux.type('echo "status $?"')
    await tmux.until(/status 6/)
  })

  it.each([['-T'], ['-tt']])('and a session with %s lose nothing at exit', async flag => {
    const size = 300_000
    const rounds = await Promise.all(
      Array.from({length: 6}, () => at([flag], `yes 123456789 | head -c ${size}; exit 7`)),
    )
    for (const {code, stdout} of rounds) expect([code, stdout.replaceAll('\r', '').length]).toEqual([7, size])
  })
})

describe('what a program of the node finds open', () => {
  it('is nothing of another session or of the node itself', async () => {
    const others = ['-tt', '-T', '-tt'].map(flag =>
      watch(
        start('ssh', [...field.straight(key), flag, `${login}@127.0.0.1`, 'echo in; exec sleep 100'], {}),
      ),
    )
    await Promise.all(others.map(other => other.saying('in')))
    for (const flag of ['-T', '-tt']) {
      const {stdout} = await at([flag], 'exec ls /proc/self/fd')
      // The fourth is the directory that ls reads.
      expect(stdout.trim().split(/\s+/)).toEqual(['0', '1', '2', '3'])
    }
    const since = Date.now()
    const open = async (): Promise<string> => {
      const {events} = await field.during(() => at([], 'true'))
      const labels = events.find(({event}) => event === 'session.end')?.server_labels as {open: string}
      const [time, ...targets] = labels.open.split(' ')
      // What was asked before the terminals were there says nothing.
      return Number(time) * 1000 > since ? targets.join(' ') : ''
    }
    await expect.poll(open, {timeout: 10_000}).toContain('/dev/null')
    expect(await open()).not.toMatch(/ptmx|pts|data|inode/)
  })
})
