import {createServer} from 'node:http'
import {type Address, formatAddress} from '../names/index.js'
import type {Health} from './health.js'
import {listening} from './listening.js'

export interface Diagnostics {
  address: Address
  close(): Promise<void>
}

/**
 * Plain HTTP for whoever watches the process: `/healthz` is 200 while it lives, `/readyz` 200 while it takes new
 * sessions and 503 otherwise, with how its roles fare where their auth service is elsewhere. Nobody is named there.
 */
export async function startDiagnostics(listen: Address, health: Pick<Health, 'told'>): Promise<Diagnostics> {
  const server = createServer({requestTimeout: 5000, headersTimeout: 5000}, (request, response) => {
    const [status, body] = answer(request.url, health)
    response.writeHead(status, {'content-type': 'application/json'})
    response.end(`${JSON.stringify(body)}\n`)
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

function answer(url: string | undefined, health: Pick<Health, 'told'>): [number, object] {
  if (url === '/healthz') return [200, {status: 'ok'}]
  if (url !== '/readyz') return [404, {status: 'not found'}]
  const {status, roles} = health.told()
  return [status === 'ok' ? 200 : 503, {status, ...(roles.length > 0 && {roles})}]
}
