import {generateKeyPairSync, sign} from 'node:crypto'
import {openAuditLog} from '../../src/lib/audit/index.js'

/** Events a second that become durable, `atOnce` at a time. */
export async function eventsPerSecond(directory: string, atOnce: number, count: number): Promise<number> {
  const {privateKey} = generateKeyPairSync('ed25519')
  // As the service does.
  const signing = {sign: (message: Buffer) => sign(null, message, privateKey).toString('base64')}
  const log = await openAuditLog({directory, clusterName: 'bench', signing})
  const one = (n: number) =>
    log.emit({
      ...{event: 'sftp.write', user: 'joe', login: 'root', sid: '11111111-2222-4333-8444-555555555555'},
      ...{server_hostname: 'host', server_addr: '192.0.2.1:22', proto: 'ssh'},
      fields: {path: `/srv/data/${n}`, direction: 'upload', bytes: n, complete: true, sha256: 'a'.repeat(64)},
    })
  const began = performance.now()
  for (let n = 0; n < count; n += atOnce) {
    await Promise.all(Array.from({length: atOnce}, (_, i) => one(n + i)))
  }
  const took = (performance.now() - began) / 1000
  await log.close()
  return count / took
}
