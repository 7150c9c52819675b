import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, it} from 'vitest'
import {type RunningService, sallyport, startService} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const createUser = async ({dataDir}: RunningService, name: string): Promise<void> => {
  const {code} = await sallyport(['users', 'add', name, '--logins=root', `--data-dir=${dataDir}`])
  expect(code).toBe(0)
}

function logOf(dataDir: string) {
  const directory = join(dataDir, 'audit')
  const file = join(directory, readdirSync(directory).filter(name => name.endsWith('.jsonl'))[0] ?? '')
  const lines = () => readFileSync(file, 'utf8').trimEnd().split('\n')
  return {
    events: () => lines().map(line => JSON.parse(line).event),
    rollBack: (records: number) => writeFileSync(file, `${lines().slice(0, -records).join('\n')}\n`),
  }
}

it('a service signs its log as it stops, goes on after a crash, and says of itself that the log was rolled back', async () => {
  const first = await startService()
  const {dataDir} = first
  const key = join(temporaryDirectory(), 'recording.pub')
  const exported = await sallyport(['auth', 'export', '--type=recording', `--data-dir=${dataDir}`])
  writeFileSync(key, exported.stdout)
  await createUser(first, 'ann')
  await first.stop()
  const log = logOf(dataDir)
  expect(log.events().at(-1)).toBe('audit.signed')
  const verify = async () => {
    const words = ['audit', 'verify', `--data-dir=${dataDir}`, `--key=${key}`, '--format=json']
    const {stdout} = await sallyport(words)
    return JSON.parse(stdout.toString())
  }
  const whole = await verify()
  expect(whole).toMatchObject({ok: true, signed: {signature: 'verified', gaps: []}})
  expect(whole.vouched).toBe(whole.head.sequence)

  const second = await startService({dataDir})
  await createUser(second, 'bob')
  await second.stop('SIGKILL')
  // A start signs what the one before could not any more.
  const third = await startService({dataDir})
  await third.stop()
  const after = await verify()
  expect(after).toMatchObject({ok: true, vouched: after.head.sequence})
  expect(log.events()).not.toContain('audit.altered')

  const left = log.events().length - 2
  log.rollBack(2)
  const fourth = await startService({dataDir})
  await fourth.stop()
  expect(log.events().slice(left, left + 2)).toEqual(['audit.altered', 'audit.signed'])
  expect(await verify()).toMatchObject({ok: false, bad: {record: after.head.sequence}})
})
