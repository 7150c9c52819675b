import {createHash, generateKeyPairSync, type KeyObject, sign} from 'node:crypto'
import {publicKeyBlob, signData, WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {type Forgery, forgeCertificate, signedBy, strings} from '../forged-certificate.js'
import {type Cast, type Rule, weakRsa} from './rule.js'

export function authorityRules(cast: Cast): Rule[] {
  const {sound, authority, rsaAuthority, ecAuthority, weakAuthority} = cast
  const stranger = generateKeyPairSync('ed25519').privateKey
  const rsaSignature = (label: string, hash: string) => ({
    authority: publicKeyBlob(rsaAuthority),
    sign: (tbs: Buffer) => strings([label, sign(hash, tbs, rsaAuthority)]),
  })
  const ecSignature = (r: Buffer, s: Buffer) => ({
    authority: publicKeyBlob(ecAuthority),
    sign: () => strings(['ecdsa-sha2-nistp256', strings([r, s])]),
  })
  const certified = (inner: KeyObject, depth: number): Buffer => {
    let blob = publicKeyBlob(inner)
    for (let level = 0; level < depth; level++) blob = forgeCertificate({...sound, authority: blob})
    return blob
  }
  const unreadable = {code: 'certificate_rejected', sshd: 'unreadable'} as const
  return [
    {name: 'nothing changed', change: {}, code: 'accepted', sshd: 'accepts'},
    {
      name: 'an RSA authority signs with SHA-512',
      change: signedBy(rsaAuthority),
      code: 'accepted',
      sshd: 'accepts',
    },
    {
      name: 'an RSA authority signs with SHA-256',
      change: signedBy(rsaAuthority, 'rsa-sha2-256'),
      ...{code: 'accepted', sshd: 'accepts'},
    },
    {name: 'an ECDSA authority signs', change: signedBy(ecAuthority), code: 'accepted', sshd: 'accepts'},
    {
      name: 'the authority is not trusted',
      change: signedBy(stranger),
      code: 'certificate_rejected',
      sshd: /Failed publickey .*ED25519-CERT/,
    },
    {
      name: 'nobody is trusted',
      ...{change: {}, policy: {authorities: []}, code: 'certificate_rejected'},
      sshd: 'unasked: another server configuration',
    },
    {
      name: 'a stranger signs in the name of the authority',
      change: {authority: publicKeyBlob(authority), sign: tbs => signData(stranger, tbs)},
      ...unreadable,
    },
    {
      name: 'the authority signed other data',
      change: {sign: tbs => signData(authority, tbs.subarray(1))},
      ...unreadable,
    },
    {name: 'there is no signature', change: {sign: () => Buffer.alloc(0)}, ...unreadable},
    {
      name: 'the authority is empty',
      change: {authority: Buffer.alloc(0)},
      code: 'protocol_error',
      sshd: 'unreadable',
    },
    {
      name: 'the authority is a certificate over a trusted key',
      change: {authority: certified(authority, 1)},
      ...unreadable,
    },
    {
      name: 'the authority is a certificate that is itself trusted',
      change: {authority: certified(authority, 1)},
      policy: {authorities: [certified(authority, 1)]},
      ...unreadable,
    },
    {
      name: 'the authority is a certificate nested 60 deep',
      change: {authority: certified(authority, 60)},
      ...unreadable,
    },
    {
      name: 'the authority signs with SHA-1',
      change: rsaSignature('ssh-rsa', 'sha1'),
      code: 'certificate_rejected',
      sshd: /certificate signature algorithm ssh-rsa: signature algorithm not supported/,
    },
    {name: 'SHA-1 is labelled rsa-sha2-512', change: rsaSignature('rsa-sha2-512', 'sha1'), ...unreadable},
    {name: 'SHA-1 is labelled rsa-sha2-256', change: rsaSignature('rsa-sha2-256', 'sha1'), ...unreadable},
    {name: 'SHA-256 is labelled rsa-sha2-512', change: rsaSignature('rsa-sha2-512', 'sha256'), ...unreadable},
    {
      name: 'the format of the signature is of another key type',
      change: {sign: tbs => strings(['ecdsa-sha2-nistp256', sign(null, tbs, authority)])},
      ...unreadable,
    },
    {
      name: 'the format of the signature is nobody’s',
      change: {sign: tbs => strings(['constructor', sign(null, tbs, authority)])},
      ...unreadable,
    },
    {
      name: 'the signature blob has trailing bytes',
      change: {sign: tbs => Buffer.concat([signData(authority, tbs), Buffer.of(0)])},
      ...unreadable,
    },
    {
      name: 'the signature blob ends like one of a FIDO key',
      change: {sign: tbs => Buffer.concat([signData(authority, tbs), Buffer.of(1, 0, 0, 0, 1)])},
      ...unreadable,
    },
    {
      name: 'the S of an Ed25519 signature is not reduced',
      change: {sign: tbs => withLargeS(signData(authority, tbs))},
      code: 'certificate_rejected',
      sshd: 'unasked: OpenSSH 9.2 takes it, RFC 8032 does not',
    },
    {
      name: 'r and s of an ECDSA signature are 0',
      change: ecSignature(Buffer.alloc(0), Buffer.alloc(0)),
      ...unreadable,
    },
    {
      name: 'r of an ECDSA signature is negative',
      change: ecSignature(Buffer.of(0x80), Buffer.of(1)),
      ...unreadable,
    },
    {
      name: 's of an ECDSA signature is longer than the curve',
      change: ecSignature(Buffer.of(1), Buffer.alloc(40, 1)),
      ...unreadable,
    },
    {
      name: 'the authority is a trusted RSA key with e = 1, whose signatures need no private key',
      ...{change: exponentOne(rsaAuthority), policy: {authorities: [exponentOne(rsaAuthority).authority]}},
      ...{code: 'certificate_rejected', sshd: 'unasked: sshd would have to be told to trust it'},
    },
    {
      name: 'the authority is an RSA key of 1024 bits',
      change: signedBy(weakAuthority),
      code: 'certificate_rejected',
      ...{sshd: 'accepts', differs: weakRsa},
    },
  ]
}

/** The same signature with the group order added to S: the equation still holds (RFC 8032 §5.1.7 forbids it). */
function withLargeS(blob: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const reader = new WireReader(blob)
  const [format, signature] = [reader.string(), Buffer.from(reader.string())]
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
  const large = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  return strings([format, Buffer.concat([signature.subarray(0, 32), large])])
}

/** With e = 1 the padded hash is its own signature (RFC 8017 §9.2). */
function exponentOne(key: KeyObject): Pick<Forgery, 'authority' | 'sign'> {
  const modulus = Buffer.from(key.export({format: 'jwk'}).n ?? '', 'base64url')
  const digestInfo = Buffer.from('3051300d060960864801650304020305000440', 'hex')
  return {
    authority: new WireWriter().string('ssh-rsa').mpint(Buffer.of(1)).mpint(modulus).finish(),
    sign: tbs => {
      const digest = Buffer.concat([digestInfo, createHash('sha512').update(tbs).digest()])
      const filler = Buffer.alloc(modulus.length - digest.length - 3, 0xff)
      return strings(['rsa-sha2-512', Buffer.concat([Buffer.of(0, 1), filler, Buffer.of(0), digest])])
    },
  }
}
