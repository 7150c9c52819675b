import {once} from 'node:events'
import {connect} from 'node:net'
import {join} from 'node:path'
import {afterAll, beforeAll, expect, test} from 'vitest'
import type {SessionTracker} from '../../../src/lib/auth/contract.js'
import type {Config} from '../../../src/lib/config/index.js'
import {startWatchPart} from '../../../src/lib/service/parts/watch-part.js'
import {createResources} from '../../../src/lib/service/resources.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const sid = '5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'
const other = '6e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'
const dataDir = temporaryDirectory()
const resources = createResources()

beforeAll(async () => {
  const listTrackers = async () => [{sid, holder: 'far-1'} as SessionTracker]
  await startWatchPart({config: {dataDir} as Config, resources}, {listTrackers}, undefined)
})
afterAll(() => resources.close({error: () => undefined} as never))

async function answerTo(wish: string): Promise<string> {
  const socket = connect(join(dataDir, 'watch.sock'))
  await once(socket, 'connect')
  socket.write(wish)
  return Buffer.concat(await socket.toArray()).toString('utf8')
}

test.each([
  ['a session of another machine', `${sid}\n`, /runs at far-1, and not on this machine.*\[unavailable\]/],
  ['a session that does not run', `${other}\n`, /no session .* runs now.*\[not_found\]/],
  ['what is no session', '../../etc/passwd\n', /\[invalid_input\]/],
  ['a wish without an end', 'x'.repeat(4096), /\[invalid_input\]/],
])('%s is refused with its reason', async (_, wish, words) => {
  const answer = await answerTo(wish)
  expect(JSON.parse(answer).error).toMatch(words)
})

test('whoever hangs up without a word leaves nothing behind', async () => {
  const socket = connect(join(dataDir, 'watch.sock'))
  await once(socket, 'connect')
  socket.destroy()
  expect(JSON.parse(await answerTo(`${other}\n`)).error).toMatch(/not_found/)
})
