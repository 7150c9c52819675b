// Runs in a child process, see keychain.ts. One request from the parent over IPC, one answer, end.
import {AsyncEntry} from 'keytar'
import type {KeychainAnswer, KeychainRequest} from './keychain.js'

const perform = async ({operation, service, account, secret}: KeychainRequest): Promise<KeychainAnswer> => {
  // Without a store named, Linux would fall back in silence to the kernel keyring, which forgets.
  const entry = new AsyncEntry(service, account, {linux: {store: 'secret-service'}})
  if (operation === 'get') return {secret: await entry.getPassword()}
  if (operation === 'set') await entry.setPassword(secret ?? '')
  else await entry.deletePassword()
  return {secret: null}
}

process.once('message', (request: KeychainRequest) => {
  const answer = perform(request).catch((error: Error): KeychainAnswer => ({error: error.message}))
  answer.then(result => process.send?.(result, () => process.exit(0)))
})
