import {statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {type Machine, startMachine} from '../support/machines.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const password = 'correct horse battery'
const directory = temporaryDirectory()
const passwordFile = join(directory, 'password')

const authConfig = (port = 0) => ({
  teleport: {nodename: 'auth-1'},
  auth_service: {
    ...{enabled: 'yes', cluster_name: 'test.example', listen_addr: `127.0.0.1:${port}`},
    ...{session_recording: 'proxy', authentication: {type: 'local', second_factor: 'off'}},
  },
})

const proxyConfig = (auth: Machine, changes: object = {}) => ({
  teleport: {nodename: 'proxy-1', auth_servers: [`127.0.0.1:${auth.addresses.auth?.port}`], ...changes},
  auth_service: {enabled: 'no'},
  proxy_service: {enabled: 'yes', listen_addr: '127.0.0.1:0', web_listen_addr: '127.0.0.1:0'},
})

/** The words of `nodes add` that a machine needs. */
async function invitation(
  auth: Machine,
  roles = 'proxy',
): Promise<{token: string; pin: string; line: string}> {
  const {stdout, stderr, code} = await auth.admin(['nodes', 'add', `--roles=${roles}`])
  if (code !== 0) throw new Error(stderr)
  const [, token = '', pin = ''] = /--token=(\S+) --ca-pin=(\S+) /.exec(stdout) ?? []
  return {token, pin, line: stdout.trim()}
}

const joining = ({token, pin}: {token: string; pin: string}): string[] => [
  `--token=${token}`,
  `--ca-pin=${pin}`,
]

let auth: Machine
let proxy: Machine

beforeAll(async () => {
  writeFileSync(passwordFile, `${password}\n`)
  auth = await startMachine({directory: join(directory, 'auth'), roles: 'auth', config: authConfig()})
  proxy = await startMachine({
    ...{directory: join(directory, 'proxy'), roles: 'proxy', config: proxyConfig(auth)},
    args: joining(await invitation(auth)),
  })
}, 60_000)

describe('auth on one machine, the proxy on another', () => {
  test('each says what it serves, and the auth machine what another one has to run', async () => {
    expect(auth.lines).toEqual([
      expect.stringMatching(/^auth {3}cluster test\.example, administration on /),
      `auth   other machines on 127.0.0.1:${auth.addresses.auth?.port}`,
    ])
    expect(proxy.lines.map(line => line.split(' ')[0])).toEqual(['proxy', 'web'])
    expect(proxy.addresses).toMatchObject({cluster: 'test.example'})
    const {line} = await invitation(auth, 'node')
    expect(line).toMatch(
      new RegExp(
        `^sallyport start --roles=node --token=[0-9a-f]{32} --ca-pin=sha256:[0-9a-f]{64} --auth-server=127.0.0.1:${auth.addresses.auth?.port}$`,
      ),
    )
  })

  test('what the proxy got is kept from everybody else', () => {
    for (const name of ['identity.json', 'host_uuid', 'addresses.json'])
      expect([name, statSync(join(proxy.dataDir, name)).mode & 0o777]).toEqual([name, 0o600])
  })
})
