import type {KeyObject} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import {beforeAll, expect, test} from 'vitest'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {
  type Cast,
  castOfKeys,
  certificateRules,
  hostName,
  hostRules,
  type Rule,
} from '../support/certificate-rules/index.js'
import {forgeCertificate, newPrivateKey} from '../support/forged-certificate.js'
import {clientOptions, ssh, sshKeygen, writePrivateFile} from '../support/openssh.js'
import {type Sshd, startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const login = userInfo().username
const clock = (): bigint => BigInt(Math.floor(Date.now() / 1000))
const cast = castOfKeys(clock(), login)
const directory = temporaryDirectory()
let sshd: Sshd

beforeAll(async () => {
  sshd = await startSshd({directory: temporaryDirectory(), trustedUserCa: cast.trusted})
})

const isAsked = ({sshd}: Rule): boolean => typeof sshd !== 'string' || !sshd.startsWith('unasked')
const namesOf = (rules: (cast: Cast) => Rule[]): string[] =>
  rules(cast)
    .filter(isAsked)
    .map(({name}) => name)

/** The rule as of this second: those about validity would go stale while the others are tried. */
function freshRule(name: string, rules: (cast: Cast) => Rule[]): Rule {
  const rule = rules({...cast, now: clock()}).find(candidate => candidate.name === name)
  if (!rule) throw new Error(`there is no rule "${name}"`)
  return rule
}

function certificateFiles(blob: Buffer, key: KeyObject): {identity: string; certificate: string} {
  const certificate = join(directory, 'id-cert.pub')
  writeFileSync(certificate, `${formatAuthorizedKey(blob)}\n`)
  return {certificate, identity: writePrivateFile(join(directory, 'id'), formatPrivateKey(key, 'id'))}
}

test.each(namesOf(certificateRules))('OpenSSH says what the rule says of it: %s', async name => {
  const rule = freshRule(name, certificateRules)
  const blob = forgeCertificate({...cast.sound, ...rule.change})
  const files = certificateFiles(blob, rule.identity ?? cast.subject)
  // Agreement has to be stated where it is missing, and nowhere else.
  expect(rule.differs === undefined).toBe((rule.code === 'accepted') === (rule.sshd === 'accepts'))
  if (rule.sshd === 'unreadable') {
    const unreadable = /invalid key|not a certificate|not a public key/
    await expect(sshKeygen(['-L', '-f', files.certificate])).rejects.toThrow(unreadable)
    return
  }
  const since = sshd.log().length
  const options = clientOptions({port: sshd.port, ...files})
  const {code, stderr} = await ssh([...options, `${login}@127.0.0.1`, 'true'])
  if (rule.sshd === 'accepts') {
    expect({code, stderr, log: sshd.log().slice(since)}).toMatchObject({code: 0})
    expect(await sshd.waitForLog(/Accepted publickey/, since)).toContain('-CERT')
  } else {
    expect({code, stderr}).toMatchObject({code: 255, stderr: expect.stringContaining('Permission denied')})
    await sshd.waitForLog(rule.sshd as RegExp, since)
  }
})

test.each(namesOf(hostRules))('the client says what the rule says of a host: %s', async name => {
  const rule = freshRule(name, hostRules)
  expect(rule.differs === undefined).toBe((rule.code === 'accepted') === (rule.sshd === 'accepts'))
  const hostCertificate = forgeCertificate({...cast.sound, ...rule.change})
  const user = newPrivateKey('ed25519')
  const host = await startSshd({
    directory: temporaryDirectory(),
    hostKey: cast.subject,
    hostCertificate,
    authorizedKeys: [publicKeyBlob(user)],
  })
  const known = temporaryDirectory()
  const identity = writePrivateFile(join(known, 'id'), formatPrivateKey(user, 'id'))
  const knownHosts = join(known, 'known_hosts')
  const lines = cast.trusted.map(blob => `@cert-authority * ${formatAuthorizedKey(blob)}\n`)
  writeFileSync(knownHosts, lines.join(''))
  const options = clientOptions({port: host.port, knownHosts, identity})
  const target = ['-o', `HostKeyAlias=${hostName}`, `${login}@127.0.0.1`, 'true']
  const {code, stderr} = await ssh([...options, ...target])
  await host.stop()
  if (rule.sshd === 'accepts') expect({code, stderr}).toMatchObject({code: 0})
  else expect({code, stderr}).toMatchObject({code: 255, stderr: expect.stringMatching(rule.sshd as RegExp)})
})
