import {generateKeyPairSync} from 'node:crypto'
import {pino} from 'pino'
import type {Invite, IssuedCertificate, LoginRequest, SecondFactor} from '../../../src/lib/auth/contract.js'
import {problem} from '../../../src/lib/errors/index.js'
import {
  type CertificateFields,
  formatAuthorizedKey,
  issueCertificate,
  parseAuthorizedKey,
  publicKeyBlob,
  signerFromKey,
} from '../../../src/lib/sshcert/index.js'
import type {PublicAuth} from '../../../src/lib/web/context.js'
import {startWeb} from '../../../src/lib/web/server.js'
import {atEnd} from '../../support/cleanup.js'
import {selfSignedPem} from '../web/self-signed.js'

export const password = 'correct horse battery'
export const otp = '123456'
export const otpSecret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
export const inviteToken = 'the-invite'

export const userAuthority = signerFromKey(generateKeyPairSync('ed25519').privateKey)
export const hostAuthority = signerFromKey(generateKeyPairSync('ed25519').privateKey)
const hostAuthorityLine = formatAuthorizedKey(hostAuthority.publicBlob)

export interface ClusterOptions {
  clusterName?: string
  secondFactor?: SecondFactor
  /** How far the server's clock is ahead. */
  clockAheadMs?: number
  /** Changes the certificate's fields before it is signed. */
  fields?: (fields: CertificateFields) => CertificateFields
  /** Changes what goes out. */
  answer?: (issued: IssuedCertificate) => IssuedCertificate
}

export interface TestCluster {
  host: string
  port: number
  /** PEM of the self-signed web certificate. */
  certificate: string
  requests: LoginRequest[]
  accepted: {token: string; password: string; otp?: string}[]
}

/** A certificate as the cluster would issue it. */
export function userFields(publicKey: Buffer, user: string, ttlSeconds: number): CertificateFields {
  const now = BigInt(Math.floor(Date.now() / 1000))
  return {
    ...{publicKey, kind: 'user' as const, serial: 7n, keyId: user, principals: [user, 'root']},
    ...{validAfter: now - 60n, validBefore: now + BigInt(ttlSeconds)},
    extensions: new Map([
      ['permit-pty', ''],
      ['teleport-roles', '{"version":"v1","roles":["access"]}'],
    ]),
  }
}

/** A real web service of the proxy in front of an auth service that knows one password. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const {clusterName = 'test', secondFactor = 'off', clockAheadMs = 0} = options
  const requests: LoginRequest[] = []
  const accepted: TestCluster['accepted'] = []
  const refuse = () => Promise.reject(problem('bad_credentials', 'the name or password is wrong'))
  const auth: PublicAuth = {
    ping: async () => ({
      ...{clusterName, secondFactor, version: '0.1.0', recording: 'proxy'},
      time: Date.now() + clockAheadMs,
    }),
    async login(request) {
      requests.push(request)
      if (request.password !== password) return refuse()
      if (secondFactor === 'otp' && request.otp !== otp) return refuse()
      return issue(request, options)
    },
    async getInvite(token): Promise<Invite> {
      if (token !== inviteToken || accepted.length > 0)
        throw problem('token_invalid', 'the link is unknown, used or expired')
      const uri = `otpauth://totp/test:joe?secret=${otpSecret}&issuer=test`
      return {
        ...{user: 'joe', kind: 'invite', clusterName, secondFactor, expires: Date.now() + 60_000},
        ...(secondFactor === 'otp' ? {otp: {secret: otpSecret, uri}} : {}),
      }
    },
    async acceptInvite(request) {
      accepted.push(request)
      return {user: 'joe'}
    },
    exportAuthorities: async ({type}) => `cert-authority ${hostAuthorityLine} clustername=test&type=${type}`,
  }
  const pem = await selfSignedPem()
  const server = await startWeb({
    auth: {as: () => auth},
    ...{clusterName, now: Date.now, sshAddress: () => '0.0.0.0:3023'},
    logger: pino({level: 'silent'}),
    listen: {host: '127.0.0.1', port: 0},
    tls: {...pem, selfSigned: true},
  })
  atEnd(() => server.close())
  return {...server.address, certificate: pem.cert, requests, accepted}
}

async function issue(request: LoginRequest, options: ClusterOptions): Promise<IssuedCertificate> {
  const {fields = same => same, answer = same => same, clusterName = 'test'} = options
  const publicKey = parseAuthorizedKey(request.publicKey).blob
  const wanted = fields(userFields(publicKey, request.user, request.ttlSeconds ?? 3600))
  const certificate = await issueCertificate(wanted, userAuthority)
  return answer({
    ...{user: request.user, clusterName, hostAuthorities: [hostAuthorityLine]},
    certificate: formatAuthorizedKey(certificate, request.user),
    validBefore: Number(wanted.validBefore) * 1000,
  })
}

export const anotherKey = (): Buffer => publicKeyBlob(generateKeyPairSync('ed25519').privateKey)
