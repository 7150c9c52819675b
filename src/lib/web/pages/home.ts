import type {Ping} from '../../auth/contract.js'
import {fingerprint} from '../../sshcert/index.js'
import type {PublicAuth, WebContext, WebScope} from '../context.js'
import {html} from '../html.js'
import {commandBlock} from './command.js'
import {type Page, renderPage} from './layout.js'

export interface HomeFacts {
  clusterName: string
  recording: Ping['recording']
  proxy: string
  insecure: boolean
  fingerprints: {user: string[]; host: string[]}
}

/** The front door: what this is, how to log in, and which keys to expect. */
export function homeRoutes(app: WebScope, web: WebContext): void {
  app.get('/', web.limited('reads'), async (request, reply) => {
    const auth = web.authFor(request)
    const [ping, user, host] = await Promise.all([
      auth.ping(),
      fingerprintsOf(auth, 'user'),
      fingerprintsOf(auth, 'host'),
    ])
    reply.type('text/html; charset=utf-8')
    const facts: HomeFacts = {
      clusterName: web.clusterName,
      recording: ping.recording,
      proxy: web.proxyAddress(request),
      insecure: web.selfSigned,
      fingerprints: {user, host},
    }
    return renderPage(homePage(facts), web.clusterName)
  })
  app.get('/web', async (_request, reply) => reply.redirect('/'))
}

function homePage({clusterName, recording, proxy, insecure, fingerprints}: HomeFacts): Page {
  const recorded = recording === 'proxy' || recording === 'proxy-sync'
  return {
    title: 'SSH access',
    body: html`<h1>SSH access to ${clusterName}</h1>
<p class="lede">This proxy lets people in to servers with SSH certificates that last hours, not years.${recorded && ' Sessions through it are recorded.'}</p>
<h2>Log in</h2>
${commandBlock(['sallyport', 'login', `--proxy=${proxy}`, '--user=you', ...(insecure ? ['--insecure'] : [])])}
<p class="hint">Put your own name in place of <code>you</code>.${insecure && html` <code>--insecure</code> is needed until this proxy has a certificate that your computer trusts.`}</p>
<h2>Connect</h2>
${commandBlock(['sallyport', 'ssh', 'login@host'])}
<p class="hint">No account yet, or a lost password or authenticator: ask your administrator for a link.</p>
<h2>Keys of this cluster</h2>
<dl>
${keyEntry('User certificates are signed by', fingerprints.user)}
${keyEntry('Host certificates are signed by', fingerprints.host)}
</dl>
<p class="hint">Your administrator sees the same fingerprints with <code>sallyport auth ls</code>.</p>`,
  }
}

const keyEntry = (label: string, values: string[]) =>
  html`<dt>${label}</dt>${values.map(value => html`<dd><code>${value}</code></dd>`)}`

async function fingerprintsOf(auth: PublicAuth, type: 'user' | 'host'): Promise<string[]> {
  const exported = await auth.exportAuthorities({type})
  return exported.split('\n').flatMap(line => {
    const key = line.split(' ').find(word => word.startsWith('AAAA'))
    return key === undefined ? [] : [fingerprint(Buffer.from(key, 'base64'))]
  })
}
