import {cpSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {expect, it} from 'vitest'
import {parseAuthorizedKey, parseCertificate} from '../../src/lib/sshcert/index.js'
import {atEnd} from '../support/cleanup.js'
import {type Cluster, startCluster} from '../support/cluster.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/** Serials of host certificates that are signed one after the other. */
async function sign(cluster: Cluster, count: number): Promise<bigint[]> {
  const serials: bigint[] = []
  for (let number = 0; number < count; number += 1) {
    const out = join(temporaryDirectory(), 'host')
    const words = ['auth', 'sign', '--host=db1.example.com', '--format=openssh', `--out=${out}`]
    const {code, stderr} = await cluster.admin(words)
    expect([code, stderr]).toEqual([0, ''])
    const line = readFileSync(`${out}-cert.pub`, 'utf8')
    serials.push(parseCertificate(parseAuthorizedKey(line).blob).serial)
  }
  return serials
}

it('serials never repeat when an old backup is restored', async () => {
  const directory = temporaryDirectory()
  const backup = join(temporaryDirectory(), 'backup')
  const first = await startCluster({directory})
  const before = await sign(first, 1)
  await first.stop()
  cpSync(first.dataDir, backup, {recursive: true})
  const second = await startCluster({directory, reuse: true})
  const lost = await sign(second, 2)
  await second.stop()
  rmSync(second.dataDir, {recursive: true})
  cpSync(backup, second.dataDir, {recursive: true})
  const third = await startCluster({directory, reuse: true})
  atEnd(async () => void (await third.stop()))
  const after = await sign(third, 2)
  const all = [...before, ...lost, ...after]
  expect(new Set(all).size).toBe(all.length)
  // What comes after the copy lies above what was there before it, whatever was lost in between.
  expect([...lost, ...after].every(serial => serial > (before.at(-1) ?? 0n))).toBe(true)
})
