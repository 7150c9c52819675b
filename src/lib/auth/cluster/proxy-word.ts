import {problem} from '../../errors/index.js'
import {formatAddress, hostOfAddress} from '../../names/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {joinedMachine} from '../join/joined-machine.js'

/** What a proxy says of itself and of those whose connections it carries. */
export function proxyWordMethods(
  context: AuthContext,
  caller: Caller,
): Pick<AuthApi, 'announceProxy' | 'vouchConnection'> {
  const {emit, joining} = context
  return {
    async announceProxy({webUrl}) {
      const {hostId} = joinedMachine(caller)
      if (!/^https:\/\/[A-Za-z0-9.:[\]_-]+$/.test(webUrl) || !URL.canParse(webUrl))
        throw problem('invalid_input', 'the address of a web port is https://host:port')
      const known = await joining.webAddress.get('latest')
      if (known?.value.url === webUrl) return
      await joining.webAddress.put('latest', {version: 1, url: webUrl})
      await emit({event: 'proxy.announce', server_id: hostId, fields: {url: webUrl}})
    },
    async vouchConnection({port, address}) {
      // Of connections from its own address alone: whose they are is a proxy's word, whom they harm is not.
      const from = caller.kind === 'system' ? caller.address : undefined
      if (from !== undefined) context.carried.note(formatAddress({host: hostOfAddress(from), port}), address)
    },
  }
}
