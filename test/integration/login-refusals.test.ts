import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {type Cluster, sallyport, startCluster} from '../support/cluster.js'
import {writePrivateFile} from '../support/openssh.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/** What somebody meets who cannot log in, or whose service does not start: one line each, and a status of its own. */
const password = 'correct horse battery staple'
let directory: string
let cluster: Cluster

beforeAll(async () => {
  directory = temporaryDirectory()
  cluster = await startCluster({directory})
  const {stdout} = await cluster.admin(['users', 'add', 'joe', 'joe'])
  const url = /https:\/\/\S+/.exec(stdout)?.[0] ?? ''
  const signup = ['signup', url, '--insecure', `--password-file=${passwordFile('right', password)}`]
  expect(await sallyport(signup)).toMatchObject({code: 0})
})

const passwordFile = (name: string, text: string): string =>
  writePrivateFile(join(directory, name), `${text}\n`)

const logIn = (file: string) =>
  sallyport(
    [
      ...['login', `--proxy=127.0.0.1:${cluster.addresses.web.port}`, '--user=joe', '--insecure'],
      ...[`--password-file=${file}`, '--key-store=file'],
    ],
    {env: {SALLYPORT_HOME: join(directory, 'home')}},
  )

describe('a login', () => {
  it('with a wrong password is refused, and locked after five, until an administrator unlocks it', async () => {
    const [right, wrong] = [join(directory, 'right'), passwordFile('wrong', 'not the password at all')]
    for (let attempt = 0; attempt < 5; attempt++) {
      const {code, stderr} = await logIn(wrong)
      expect(stderr).toMatch(/^sallyport: the user name, password or code is wrong; .*\[bad_credentials\]\n$/)
      expect(code).toBe(10)
    }
    for (const file of [wrong, right]) {
      const {code, stderr} = await logIn(file)
      expect(stderr).toMatch(/^sallyport: the account is locked until \d{4}-.*unlock.*\[account_locked\]\n$/)
      expect(code).toBe(11)
    }
    expect(await cluster.admin(['users', 'unlock', 'joe'])).toMatchObject({code: 0})
    expect(await logIn(right)).toMatchObject({code: 0})
  })
})

describe('a start', () => {
  it('with a wrong key in the configuration names the place', async () => {
    const path = join(directory, 'wrong.yaml')
    writeFileSync(path, 'auth_service:\n  enabled: yes\n  session_recordng: proxy\n')
    const {code, stderr} = await sallyport(['start', `--config=${path}`])
    expect(stderr).toMatch(
      /^sallyport: .*wrong\.yaml:3:3: auth_service\.session_recordng: .*\[config_invalid\]\n$/,
    )
    expect(code).toBe(30)
  })
})
