import {generateKeyPairSync} from 'node:crypto'
import {once} from 'node:events'
import {Duplex} from 'node:stream'
import {describe, expect, it} from 'vitest'
import {agentOver} from '../../../src/lib/agent/client.js'
import {agentMessage, encodeIdentities, encodeList, encodeSign, frame} from '../../../src/lib/agent/codec.js'
import {type AgentEntry, agentSigner, serveAgent} from '../../../src/lib/agent/index.js'
import {problem, type SallyportError} from '../../../src/lib/errors/index.js'
import {publicKeyBlob, WireWriter} from '../../../src/lib/sshcert/index.js'

/** Two ends of one stream: what is written to one is read from the other. */
function streamPair(): [Duplex, Duplex] {
  const end = (): Duplex & {peer?: Duplex} =>
    new Duplex({
      read() {},
      write(piece, _encoding, done) {
        ends[this === ends[0] ? 1 : 0].push(piece)
        done()
      },
      final(done) {
        ends[this === ends[0] ? 1 : 0].push(null)
        done()
      },
    })
  const ends: [Duplex, Duplex] = [end(), end()]
  return ends
}

const tick = () => new Promise(resolve => setImmediate(resolve))

describe('a client facing a hostile agent', () => {
  it('gives up on silence, ends the connection and rejects what waits behind', async () => {
    const [ours, theirs] = streamPair()
    theirs.resume()
    const client = agentOver(ours, {requestMs: 20})
    const outcomes = await Promise.allSettled([client.list(), client.list()])
    for (const outcome of outcomes) expect(outcome).toMatchObject({reason: {code: 'timeout'}})
    expect(ours.destroyed).toBe(true)
  })

  it('waits longer for a signature than for a list', async () => {
    const [ours, theirs] = streamPair()
    const client = agentOver(ours, {requestMs: 5, signMs: 60_000})
    const signature = new WireWriter().string('ssh-ed25519').string('s').finish()
    theirs.once('data', () => {
      const reply = frame(new WireWriter().u8(agentMessage.signResponse).string(signature).finish())
      setTimeout(() => theirs.write(reply), 30)
    })
    expect(await client.sign(Buffer.from('blob'), Buffer.from('data'), 0)).toEqual(signature)
    client.close()
  })

  it.each([
    ['an oversized reply', new WireWriter().u32(2 ** 31).finish(), 'protocol_error'],
    ['the wrong type', frame(Buffer.of(agentMessage.success)), 'protocol_error'],
    ['a cut list', frame(new WireWriter().u8(12).u32(3).finish()), 'protocol_error'],
    ['thousands of keys', frame(new WireWriter().u8(12).u32(5000).finish()), 'limit_exceeded'],
  ])('names %s', async (_, reply, code) => {
    const [ours, theirs] = streamPair()
    const client = agentOver(ours)
    theirs.once('data', () => theirs.write(reply))
    await expect(client.list()).rejects.toMatchObject({code})
    client.close()
  })

  it('ends the connection at an answer that nobody asked for', async () => {
    const [ours, theirs] = streamPair()
    const client = agentOver(ours)
    theirs.write(frame(encodeIdentities([])))
    await once(ours, 'close')
    await expect(client.list()).rejects.toMatchObject({code: 'protocol_error'})
  })

  it('keeps the number of requests under way bounded', async () => {
    const [ours, theirs] = streamPair()
    theirs.resume()
    const client = agentOver(ours)
    const asked = Array.from({length: 300}, () => client.list())
    const outcomes = Promise.allSettled(asked)
    client.close()
    const codes = (await outcomes).map(outcome => (outcome as PromiseRejectedResult).reason.code)
    expect(codes.filter(code => code === 'limit_exceeded')).toHaveLength(300 - 256)
    expect(codes.filter(code => code === 'unavailable')).toHaveLength(256)
  })

  it('refuses a signature in an algorithm that was not asked for', async () => {
    const blob = publicKeyBlob(generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey)
    const [ours, theirs] = streamPair()
    const client = agentOver(ours)
    const weak = new WireWriter().string('ssh-rsa').string('sha-1 signature').finish()
    theirs.once('data', () => theirs.write(frame(new WireWriter().u8(14).string(weak).finish())))
    await expect(agentSigner(client, {blob, comment: ''}).sign(Buffer.from('x'))).rejects.toThrow(
      'signed with ssh-rsa where rsa-sha2-512 was asked for',
    )
    client.close()
  })
})

describe('the in-process agent facing a hostile peer', () => {
  const entry = (sign: AgentEntry['sign']): AgentEntry => ({blob: Buffer.from('blob'), comment: 'c', sign})
  const never = () => new Promise<Buffer>(() => {})

  it('ends the connection at an oversized message without an answer', async () => {
    const [ours, theirs] = streamPair()
    const problems: SallyportError[] = []
    const served = serveAgent(ours, [], {onProblem: error => problems.push(error)})
    theirs.write(new WireWriter().u32(2 ** 32 - 1).finish())
    await served
    expect(problems.map(({code}) => code)).toEqual(['protocol_error'])
    expect(ours.destroyed).toBe(true)
  })

  it('answers FAILURE to a failing signature, a slow one and an unknown key', async () => {
    const [ours, theirs] = streamPair()
    const failing = entry(() => Promise.reject(problem('certificate_expired', 'it is over')))
    const slow = {...entry(never), blob: Buffer.from('slow')}
    const problems: SallyportError[] = []
    serveAgent(ours, [failing, slow], {signMs: 10, onProblem: error => problems.push(error)})
    const client = agentOver(theirs)
    for (const blob of ['blob', 'slow', 'unknown'])
      await expect(client.sign(Buffer.from(blob), Buffer.alloc(0), 0)).rejects.toMatchObject({
        code: 'agent_required',
      })
    expect(problems.map(({code}) => code)).toEqual(['certificate_expired', 'timeout', 'not_found'])
    client.close()
  })

  it('still answers a peer that has ended its side after asking', async () => {
    const [ours, theirs] = streamPair()
    const signed = entry(async () => {
      await tick()
      return Buffer.from('signature')
    })
    const served = serveAgent(ours, [signed])
    theirs.end(frame(encodeSign(Buffer.from('blob'), Buffer.alloc(0), 0)))
    const received: Buffer[] = []
    for await (const piece of theirs) received.push(piece)
    await served
    expect(Buffer.concat(received)).toEqual(
      frame(new WireWriter().u8(agentMessage.signResponse).string('signature').finish()),
    )
  })

  it('takes a flood of requests one at a time and answers all of them', async () => {
    const [ours, theirs] = streamPair()
    let running = 0
    let most = 0
    const counted = entry(async () => {
      most = Math.max(most, ++running)
      await tick()
      running--
      return Buffer.from('signature')
    })
    serveAgent(ours, [counted])
    const client = agentOver(theirs)
    const signatures = await Promise.all(
      Array.from({length: 100}, () => client.sign(Buffer.from('blob'), Buffer.alloc(0), 0)),
    )
    expect(signatures.map(String)).toEqual(Array.from({length: 100}, () => 'signature'))
    expect(most).toBe(1)
    client.close()
  })

  it('is done at once when the peer goes away in the middle of a signature', async () => {
    const [ours, theirs] = streamPair()
    const problems: SallyportError[] = []
    let begin: () => void = () => {}
    const asked = new Promise<void>(resolve => {
      begin = resolve
    })
    const slow = entry(() => {
      begin()
      return never()
    })
    const served = serveAgent(ours, [slow], {onProblem: error => problems.push(error)})
    theirs.write(frame(encodeSign(Buffer.from('blob'), Buffer.alloc(0), 0)))
    theirs.write(frame(encodeList()))
    await asked
    ours.destroy()
    await served
    expect(problems.map(({code}) => code)).toEqual(['cancelled'])
  })
})
