import {problemLine, type SallyportError} from '../../errors/index.js'
import type {Channel} from '../../ssh/index.js'
import {WireWriter} from '../../sshcert/index.js'

/** OpenSSH's own exit status for what did not come about. */
const failureStatus = 255

/** On a channel that is already open, the reason goes to stderr and the status says failure. */
export function explainOn(channel: Channel, error: SallyportError): void {
  channel.stderr.write(`sallyport: ${problemLine(error)}\r\n`, () =>
    finishChannel(channel, '', failureStatus),
  )
}

/** Ends a channel with its last output and an exit status. */
export function finishChannel(channel: Channel, output: string, status: number): void {
  channel.end(output, () => {
    void channel.request('exit-status', new WireWriter().u32(status).finish(), false)
    channel.close()
  })
}
