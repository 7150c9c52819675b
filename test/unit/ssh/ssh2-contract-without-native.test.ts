import {createRequire} from 'node:module'
import {expect, test} from 'vitest'
import {describeContract} from './contract-suite.js'
import {pair} from './fixture.js'

/** As on a machine where install scripts are off: ssh2 finds no sshcrypto.node. It is loaded with the first test. */
const {extensions} = createRequire(import.meta.url)
const load = extensions['.node']
extensions['.node'] = (module, filename) => {
  if (filename.endsWith('sshcrypto.node')) throw new Error('not built')
  load?.(module, filename)
}

// Before all others: by the time they run, the WebAssembly of the cipher has been compiled.
test('begins no connection before it can do what it offers', async () => {
  const ciphers = ['chacha20-poly1305@openssh.com']
  const {client, user} = await pair({client: {algorithms: {ciphers}}})
  expect(user.username).toBe('root')
  client.disconnect()
})

describeContract(false)
