import {generateKeyPairSync} from 'node:crypto'
import {existsSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {clientOptions, ssh, sshAdd, startAgent, writePrivateFile} from '../support/openssh.js'
import {start} from '../support/process.js'
import {startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

function keyFiles(): {directory: string; identity: string; knownHosts: string; blob: Buffer} {
  const directory = temporaryDirectory()
  const {privateKey} = generateKeyPairSync('ed25519')
  const identity = writePrivateFile(join(directory, 'id'), formatPrivateKey(privateKey, 'me'))
  return {directory, identity, knownHosts: join(directory, 'known_hosts'), blob: publicKeyBlob(privateKey)}
}

test('a scratch sshd lets an authorized key in under its pinned host key and logs it', async () => {
  const {directory, identity, knownHosts, blob} = keyFiles()
  const sshd = await startSshd({directory: temporaryDirectory(), authorizedKeys: [blob]})
  writeFileSync(knownHosts, `${sshd.knownHostsLine}\n`)
  const options = clientOptions({port: sshd.port, knownHosts, identity})
  const result = await ssh([...options, `${sshd.user}@127.0.0.1`, 'cat; exit 3'], {input: 'hello'})
  expect(result).toMatchObject({code: 3, stderr: ''})
  expect(result.stdout.toString()).toBe('hello')
  expect(await sshd.waitForLog(/Accepted publickey/)).toContain(sshd.user)

  const agent = await startAgent(directory)
  expect(await sshAdd(['-q', identity], {env: agent.env})).toMatchObject({code: 0})
  const viaAgent = clientOptions({port: sshd.port, knownHosts})
  const forwarded = await ssh([...viaAgent, '-A', `${sshd.user}@127.0.0.1`, 'ssh-add -L'], {env: agent.env})
  expect(forwarded.stdout.toString().trim()).toBe(formatAuthorizedKey(blob, 'me'))
  await agent.stop()
  expect(existsSync(agent.socket)).toBe(false)
})

test('stopping a scratch sshd ends the sessions on it', async () => {
  const {identity, blob} = keyFiles()
  const sshd = await startSshd({directory: temporaryDirectory(), authorizedKeys: [blob]})
  const options = clientOptions({port: sshd.port, identity})
  const session = start('ssh', [...options, `${sshd.user}@127.0.0.1`, 'echo ready; exec cat'])
  await new Promise(resolve => session.stdout.once('data', resolve))
  const ended = new Promise(resolve => session.once('exit', resolve))
  await sshd.stop()
  expect(await ended).toBe(255)
  expect(sshd.log()).toContain('sshd ended')
})

test('a scratch sshd that cannot start says why', async () => {
  const directory = temporaryDirectory()
  await expect(startSshd({directory, extraConfig: 'NoSuchSetting yes'})).rejects.toThrow(/NoSuchSetting/)
})
