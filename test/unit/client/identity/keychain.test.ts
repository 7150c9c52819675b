import {createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {systemKeychain} from '../../../../src/lib/client/identity/keychain.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const environment = (bus: string) => ({
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  DBUS_SESSION_BUS_ADDRESS: bus,
})

const lack = {meta: {lack: 'it needs Linux, where programs reach the keychain over D-Bus'}}

describe.skipIf(process.platform !== 'linux')('the keychain', lack, () => {
  it('that does not answer is given up in time, though its library blocks', async () => {
    const path = join(temporaryDirectory(), 'bus')
    const sockets: Socket[] = []
    const bus = createServer(socket => void sockets.push(socket))
    await new Promise<void>(resolve => bus.listen(path, resolve))
    atEnd(() => {
      for (const socket of sockets) socket.destroy()
      bus.close()
    })
    // On a busy machine it takes the process some time to get as far as asking.
    for (let limit = 1000; sockets.length === 0; limit *= 2)
      await expect(
        systemKeychain(limit, environment(`unix:path=${path}`)).set('a', 's'),
      ).rejects.toMatchObject({
        code: 'unavailable',
        message: `the keychain cannot be used: no answer in ${limit / 1000} s`,
      })
  })

  it('that is not there is an error, not another store in silence', async () => {
    const nowhere = `unix:path=${join(temporaryDirectory(), 'nowhere')}`
    await expect(systemKeychain(60_000, environment(nowhere)).get('a')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^the keychain cannot be used: (?!no answer)/),
    })
  })
})
