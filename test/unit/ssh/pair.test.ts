import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {describe, expect, test} from 'vitest'
import {drain, openChannel, pair, tcpPair} from './fixture.js'

describe('a client of ours on a server of ours', () => {
  test('runs a command with input, output, errors and a status', async () => {
    const ends = await pair()
    const [local, remote] = await openChannel(ends)
    remote.onRequest = async request => {
      request.reply(true)
      remote.stderr.write('oh')
      remote.write(await drain(remote))
      remote.end(() => {
        void remote.request('exit-status', Buffer.from([0, 0, 0, 7]), false)
        remote.close()
      })
    }
    let status: number | undefined
    local.onRequest = request => {
      if (request.type === 'exit-status') status = request.data.readUInt32BE(0)
    }
    expect(await local.request('exec', Buffer.from('x'))).toBe(true)
    local.end('hello')
    const [output, errors] = await Promise.all([drain(local), drain(local.stderr), once(local, 'close')])
    expect([output.toString(), errors.toString(), status]).toEqual(['hello', 'oh', 7])
    ends.client.disconnect()
    expect(await ends.server.closed).toBeUndefined()
  })

  test('moves 50 MB each way over real sockets', async () => {
    const ends = await pair({streams: await tcpPair()})
    const [local, remote] = await openChannel(ends)
    const block = randomBytes(1_000_003)
    const sum = createHash('sha256')
    const echoed = createHash('sha256')
    remote.pipe(remote)
    local.on('data', chunk => echoed.update(chunk))
    for (let round = 0; round < 50; round++) {
      sum.update(block)
      if (!local.write(block)) await once(local, 'drain')
    }
    local.end()
    await once(local, 'end')
    expect(echoed.digest('hex')).toBe(sum.digest('hex'))
    ends.client.disconnect()
  })
})
