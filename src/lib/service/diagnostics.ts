import {createServer} from 'node:http'
import {type Address, formatAddress} from '../config/index.js'
import {listening} from './listening.js'

export interface Diagnostics {
  address: Address
  close(): Promise<void>
}

/**
 * Plain HTTP for whoever watches the process: `/healthz` is 200 while it lives, `/readyz` 200 while it takes new
 * sessions and 503 before and after. Nothing else is said there.
 */
export async function startDiagnostics(listen: Address, ready: () => boolean): Promise<Diagnostics> {
  const server = createServer({requestTimeout: 5000, headersTimeout: 5000}, (request, response) => {
    const up = request.url === '/healthz' ? true : request.url === '/readyz' ? ready() : undefined
    const status = up === undefined ? 404 : up ? 200 : 503
    response.writeHead(status, {'content-type': 'application/json'})
    response.end(`${JSON.stringify({status: up === undefined ? 'not found' : up ? 'ok' : 'not ready'})}\n`)
  })
  server.maxConnections = 64
  await listening(
    [{what: 'the diagnostics service', address: formatAddress(listen), setting: '--diag-addr'}],
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(listen.port, listen.host, () => {
        server.removeListener('error', reject)
        resolve()
      })
    }),
  )
  const bound = server.address()
  return {
    address: {
      host: listen.host,
      port: bound !== null && typeof bound === 'object' ? bound.port : listen.port,
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
