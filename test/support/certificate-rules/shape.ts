import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import type {ErrorCode} from '../../../src/lib/errors/index.js'
import {curves, publicKeyBlob, WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {type Forgery, soundForgery, strings} from '../forged-certificate.js'
import {type Cast, type Rule, type Verdict, weakRsa} from './rule.js'

export function shapeRules({sound}: Cast): Rule[] {
  const unreadable = (code: ErrorCode): Pick<Rule, 'code' | 'sshd'> => ({code, sshd: 'unreadable'})
  return [
    {name: 'a byte follows it', change: {trailing: Buffer.of(0)}, ...unreadable('protocol_error')},
    {name: 'its type is a plain key’s', change: {type: 'ssh-ed25519'}, ...unreadable('certificate_rejected')},
    {
      name: 'its type is unknown',
      ...{change: {type: 'ssh-ed25519-cert-v02@openssh.com'}, ...unreadable('certificate_rejected')},
    },
    {
      name: 'its type is a property of every object',
      ...{change: {type: 'constructor'}, ...unreadable('certificate_rejected')},
    },
    {
      name: 'its type has another key’s name',
      change: {type: 'ssh-rsa-cert-v01@openssh.com'},
      ...unreadable('certificate_rejected'),
    },
    {name: 'its nonce is empty', change: {nonce: Buffer.alloc(0)}, code: 'accepted', sshd: 'accepts'},
    {
      name: 'the reserved field is used',
      change: {reserved: Buffer.of(1, 2)},
      code: 'accepted',
      sshd: 'accepts',
    },
    {name: 'its key id is empty', change: {keyId: ''}, code: 'accepted', sshd: 'accepts'},
    {name: 'its key id has NUL in it', change: {keyId: 'joe\0root'}, ...unreadable('certificate_rejected')},
    {
      name: 'its key id is not UTF-8',
      change: {keyId: Buffer.of(0xc3, 0x28)},
      ...{code: 'protocol_error', sshd: 'accepts', differs: 'two names that look the same must not differ'},
    },
    {
      name: 'its key id has 1 MB',
      change: {keyId: 'x'.repeat(1 << 20)},
      ...{code: 'certificate_rejected', sshd: 'unasked: longer than an SSH packet'},
    },
    {
      name: 'its key id has 60 kB',
      ...{change: {keyId: 'x'.repeat(60_000)}, code: 'accepted', sshd: 'accepts'},
    },
    {name: 'its serial is the highest', change: {serial: 2n ** 64n - 1n}, code: 'accepted', sshd: 'accepts'},
    {
      name: 'its key has a field too many',
      change: {subject: strings([sound.subject, 'x'])},
      ...unreadable('certificate_rejected'),
    },
  ]
}

export function subjectRules({rsaAuthority, weakAuthority, login, authority, now}: Cast): Rule[] {
  const reader = (blob: Buffer): Buffer => {
    const wire = new WireReader(blob)
    wire.string()
    return wire.rest()
  }
  const rsa = (exponent: Buffer, modulus: Buffer): Partial<Forgery> => ({
    type: 'ssh-rsa-cert-v01@openssh.com',
    subject: new WireWriter().mpint(exponent).mpint(modulus).finish(),
  })
  const modulus = Buffer.from(rsaAuthority.export({format: 'jwk'}).n ?? '', 'base64url')
  const f4 = Buffer.of(1, 0, 1)
  const ec = (name: string, point: Buffer): Partial<Forgery> => ({
    type: 'ecdsa-sha2-nistp256-cert-v01@openssh.com',
    subject: strings([name, point]),
  })
  const p256 = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey
  const p384 = generateKeyPairSync('ec', {namedCurve: 'P-384'}).privateKey
  const pointOf = (key: KeyObject): Buffer => {
    const wire = new WireReader(reader(publicKeyBlob(key)))
    wire.string()
    return wire.string()
  }
  const rejected = (sshd: Verdict): Pick<Rule, 'code' | 'sshd'> => ({code: 'certificate_rejected', sshd})
  const noKey = 'unasked: nobody holds the private half'
  const {size} = curves['ecdsa-sha2-nistp256'] ?? {size: 0}
  return [
    {
      name: 'its key is RSA of 1024 bits',
      change: soundForgery(weakAuthority, authority, now, login),
      identity: weakAuthority,
      ...rejected('accepts'),
      differs: weakRsa,
    },
    {name: 'its key is RSA with e = 1', change: rsa(Buffer.of(1), modulus), ...rejected(noKey)},
    {name: 'its key is RSA with e = 4', change: rsa(Buffer.of(4), modulus), ...rejected(noKey)},
    {name: 'its key is RSA with e = n', change: rsa(modulus, modulus), ...rejected(noKey)},
    {name: 'its key is RSA of no bits', change: rsa(f4, Buffer.alloc(0)), ...rejected('unreadable')},
    {
      name: 'its key is RSA of 16385 bits',
      change: rsa(f4, Buffer.concat([Buffer.of(1), Buffer.alloc(2048, 0xff)])),
      ...rejected(noKey),
    },
    {
      name: 'the modulus of its key is negative',
      change: {type: 'ssh-rsa-cert-v01@openssh.com', subject: strings([f4, modulus])},
      ...rejected('unreadable'),
    },
    {
      name: 'its key is on another curve than its type',
      change: ec('nistp384', pointOf(p384)),
      ...rejected('unreadable'),
    },
    {name: 'its key names another curve', change: ec('nistp384', pointOf(p256)), ...rejected('unreadable')},
    {
      name: 'the point of its key is on another curve',
      change: ec('nistp256', pointOf(p384)),
      ...rejected('unreadable'),
    },
    {
      name: 'the point of its key is on no curve',
      change: ec('nistp256', Buffer.concat([Buffer.of(4), Buffer.alloc(2 * size, 1)])),
      ...rejected('unreadable'),
    },
    {
      name: 'the point of its key is infinity',
      change: ec('nistp256', Buffer.of(0)),
      ...rejected('unreadable'),
    },
    {
      name: 'its Ed25519 key has 31 bytes',
      change: {subject: strings([Buffer.alloc(31, 1)])},
      ...rejected('unreadable'),
    },
    {
      name: 'its Ed25519 key has 33 bytes',
      change: {subject: strings([Buffer.alloc(33, 1)])},
      ...rejected('unreadable'),
    },
  ]
}
