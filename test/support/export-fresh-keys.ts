// Makes keys and writes them out while the garbage collector is busy; ends by itself.
import {generateKeyPairSync} from 'node:crypto'
import {publicKeyBlob} from '../../src/lib/sshcert/index.js'

for (let key = 0; key < 1500; key++) {
  const {publicKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'})
  for (let time = 0; time < 20; time++) publicKeyBlob(publicKey)
}
